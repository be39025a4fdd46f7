"""A result as CSV (RFC 4180): a row a configuration, a column a figure.

What is not known is empty. A cell that begins with what a spreadsheet takes for a formula gets an
apostrophe in front, as OWASP advises ("CSV Injection").
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from ..result import Result, Row
from .text import accuracy_of, ordered

_FORMULA = ("=", "+", "-", "@", "\t", "\r")

_LATENCY = (
    "runs",
    "min_ms",
    "mean_ms",
    "p50_ms",
    "p90_ms",
    "p95_ms",
    "p99_ms",
    "p99_9_ms",
    "max_ms",
)
_MEASURED = ("cold_start", "imports", "load", "first")
_END_TO_END = (
    "photos",
    "p50_ms",
    "p90_ms",
    "decode_ms",
    "preprocess_ms",
    "infer_ms",
    "postprocess_ms",
)


def csv_text(result: Result) -> str:
    """The whole file, with its header and CR LF."""
    rows = [_cells(result, row) for row in ordered(result)]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    names = list(rows[0]) if rows else []
    writer.writerow(names)
    writer.writerows([[_cell(row[name]) for name in names] for row in rows])
    return stream.getvalue()


def _cells(result: Result, row: Row) -> dict[str, Any]:
    verdict, accuracy, latency = result["verdict"], row["accuracy"], row["latency"]
    low, high = latency["p50_ci_ms"] if latency else (None, None)
    shown = accuracy_of(result, row)
    share, interval = shown if shown else (None, None)
    best = max(row["throughput"], key=lambda entry: entry["per_second"], default=None)
    return {
        "name": row["name"],
        "status": row["status"],
        "reasons": " ".join(row["reasons"]),
        "recommended": None if verdict is None else row["name"] == verdict["recommended"],
        "pareto": None if verdict is None else row["name"] in verdict["pareto"],
        **_of(row["artifact"], ("subject", "format", "file", "bytes", "quantization", "parity_passed")),
        **_of(row["engine"], ("interpreter", "version", "threads", "delegate", "effective")),
        **_of(latency, _LATENCY),
        "p50_low_ms": low,
        "p50_high_ms": high,
        **{
            f"{name}_ms": found["median_ms"] if (found := row[name]) else None  # type: ignore[literal-required]
            for name in _MEASURED
        },
        **_of(row["end_to_end"], _END_TO_END, "end_to_end_"),
        "throughput_per_second": best["per_second"] if best else None,
        "throughput_streams": best["streams"] if best else None,
        "throughput_batch": best["batch"] if best else None,
        **_of(row["memory"], ("peak_bytes", "steady_bytes"), "memory_"),
        "accuracy": share,
        "accuracy_low": interval[0] if interval else None,
        "accuracy_high": interval[1] if interval else None,
        "accuracy_from": None
        if share is None
        else "data" if accuracy else "bundle",
        **_of(accuracy, ("photos", "correct", "unreadable", "agreement", "ece")),
    }  # fmt: skip


def _of(figures: Any, names: tuple[str, ...], prefix: str = "") -> dict[str, Any]:
    found: Mapping[str, Any] = figures or {}
    return {f"{prefix}{name}": found.get(name) for name in names}


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
