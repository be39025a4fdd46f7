"""Results that nobody measured, whole by the schema, for the tests of what reads them."""

from __future__ import annotations

import random
from typing import Any

from benchmarks.result import SCHEMA_VERSION


def sample_row(
    fmt: str = "tflite-fp32",
    threads: int | None = 1,
    p50: float = 10.0,
    *,
    half: float = 0.02,
    correct: int | None = 90,
    photos: int = 100,
    memory: float | None = 95.0,
    size: float = 16.0,
    status: str = "ok",
    reasons: tuple[str, ...] = (),
    passed: bool | None = True,
    rounds: tuple[float, ...] | None = None,
    p90: float | None = None,
    **more: Any,
) -> dict[str, Any]:
    """One configuration.

    Args:
        fmt: Format; its interpreter follows.
        threads: Threads.
        p50: Median in milliseconds.
        half: Half the width of its interval, as a share.
        correct: Photos answered right; None without labelled photos.
        photos: Of so many.
        memory: Peak in MB.
        size: Size in MB.
        status: Of the row.
        reasons: Of the status.
        passed: Whether parity held.
        rounds: Medians of the rounds; None for five around the median.
        p90: 90th percentile; None for 10 % above the median.
        more: Further fields, in place of these.
    """
    interpreter = "onnxruntime" if fmt.startswith("onnx") else "litert"
    count = "own threads" if threads is None else f"{threads} thread{'s' * (threads > 1)}"
    p90 = p50 * 1.1 if p90 is None else p90
    medians = rounds or tuple(p50 * factor for factor in (0.99, 1.0, 1.01, 1.0, 0.995))
    measured = status in ("ok", "invalid")
    step = (p90 * 1.5 / (p50 * 0.9)) ** (1 / 20)
    edges = [p50 * 0.9 * step**i for i in range(21)]
    counts = [9, 60, 140, 110, 70, 40, 25, 14, 9, 6, 5, 4, 3, 0, 2, 1, 0, 1, 0, 1]
    latency = {
        "runs": 500,
        "min_ms": p50 * 0.9,
        "mean_ms": p50 * 1.02,
        "p50_ms": p50,
        "p50_ci_ms": [p50 * (1 - half), p50 * (1 + half)],
        "p90_ms": p90,
        "p95_ms": p90 * 1.05,
        "p99_ms": p90 * 1.2,
        "p99_9_ms": p90 * 1.4,
        "max_ms": p90 * 1.5,
        "histogram": {"edges_ms": edges, "counts": counts},
        "rounds": [
            {
                "p50_ms": median,
                "p90_ms": median * p90 / p50,
                "runs": 100,
                "warm_up_runs": 20,
                "steady": True,
                "seconds": 1.0,
                "other_load": 0.02,
            }
            for median in medians
        ],
    }
    row: dict[str, Any] = {
        "name": f"{fmt}, {interpreter}, {count}",
        "status": status,
        "reasons": list(reasons),
        "artifact": {
            "subject": "bundle",
            "format": fmt,
            "file": f"model-{fmt}.{'onnx' if fmt.startswith('onnx') else 'tflite'}",
            "bytes": round(size * 1e6),
            "sha256": "0" * 64,
            "quantization": "none (float32)",
            "parity_passed": passed,
        },
        "engine": {
            "interpreter": interpreter,
            "version": "2.3.0" if measured else None,
            "threads": threads,
            "delegate": None,
            "effective": "XNNPACK" if measured and interpreter == "litert" else None,
        },
        "cold_start": {"median_ms": 210.0, "min_ms": 205.0, "ci_ms": [204.0, 216.0]},
        "imports": {"median_ms": 12.0, "min_ms": 11.0, "ci_ms": None},
        "load": {"median_ms": 15.0, "min_ms": 14.0, "ci_ms": None},
        "first": {"median_ms": p50 * 1.4, "min_ms": p50 * 1.3, "ci_ms": None},
        "latency": latency,
        "throughput": [
            {
                "streams": 2,
                "batch": 1,
                "per_second": 1900 / p50,
                "ci_per_second": [1880 / p50, 1920 / p50],
            }
        ],
        "end_to_end": {
            "photos": 20,
            "p50_ms": p50 + 4,
            "p50_ci_ms": [p50 + 3.8, p50 + 4.2],
            "p90_ms": p50 + 6,
            "decode_ms": 3.0,
            "preprocess_ms": 0.9,
            "infer_ms": p50,
            "postprocess_ms": 0.1,
        },
        "memory": {
            "peak_bytes": None if memory is None else round(memory * 1e6),
            "steady_bytes": None if memory is None else round(memory * 0.9e6),
        },
        "accuracy": None
        if correct is None
        else {
            "photos": photos,
            "unreadable": 1,
            "correct": correct,
            "accuracy": correct / photos,
            "ci": [max(0.0, correct / photos - 0.06), min(1.0, correct / photos + 0.05)],
            "agreement": 0.99,
            "reference": "tflite-fp32, litert, 1 thread",
            "ece": 0.03,
        },
        "profile": None,
    }
    if not measured:
        row |= dict.fromkeys(
            (
                "cold_start",
                "imports",
                "load",
                "first",
                "latency",
                "end_to_end",
                "memory",
                "accuracy",
            )
        )
        row["throughput"] = []
    return row | more


def condition(**more: Any) -> dict[str, Any]:
    """The machine at one moment."""
    return {
        "clock_mhz": 1800.0,
        "governor": "performance",
        "temperature_c": 51.5,
        "throttled": [],
        "other_load": 0.03,
        "swapped_bytes": 0,
    } | more


def sample_result(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A result of some rows; without any, of a bundle with every kind of them."""
    made = list(rows) or sample_rows()
    data = "photos/test" if any(row["accuracy"] for row in made) else None
    return {
        "schema_version": SCHEMA_VERSION,
        "date": "2026-01-02T03:04:05+00:00",
        "machine": {
            "cpu": "Cortex-A72",
            "board": "Raspberry Pi 4 Model B Rev 1.4",
            "cores": 4,
            "usable_cores": 4,
            "ram_bytes": 3_900_000_000,
            "governor": "performance",
            "architecture": "aarch64",
            "system": "Linux 6.6.31",
            "python": "3.11.2",
            "packages": {"ai-edge-litert": "2.3.0", "numpy": "2.0.1"},
        },
        "subject": {
            "path": "bundle",
            "kind": "bundle",
            "classes": 8,
            "width": 224,
            "height": 224,
            "default": "tflite-fp32",
            "members": [],
        },
        "settings": {"min_seconds": 5.0, "min_runs": 100, "rounds": 5, "data": data},
        "input": {"source": "golden", "photo": "bundle/golden/0.png"},
        "status": "invalid" if any(row["status"] == "invalid" for row in made) else "ok",
        "reasons": [],
        "conditions": {
            "before": condition(),
            "during": condition(temperature_c=63.0, clock_mhz=1500.0),
            "after": condition(temperature_c=60.0),
        },
        "rows": made,
        "verdict": None,
    } | more


def sample_rows() -> list[dict[str, Any]]:
    """Of each status one, and some between which a verdict can choose."""
    return [
        sample_row("tflite-fp32", 1, 40.0, memory=95, size=16.1, correct=93),
        sample_row("tflite-fp32", 4, 14.0, memory=97, size=16.1, correct=93),
        sample_row("tflite-int8", 1, 20.0, memory=64, size=5.3, correct=92),
        sample_row("tflite-int8", 4, 7.0, memory=66, size=5.3, correct=92),
        sample_row("tflite-dynamic", 4, 15.0, memory=74, size=4.9, correct=80),
        sample_row("onnx-fp32", 4, 13.0, memory=123, size=15.9, correct=93, passed=False),
        sample_row(
            "onnx-fp32",
            1,
            39.0,
            memory=122,
            size=15.9,
            correct=93,
            status="invalid",
            reasons=("throttled: the board was too hot for its clock.",),
        ),
        sample_row(
            "onnx-int8", 1, status="skipped", reasons=("onnxruntime is not installed.",), size=4.6
        ),
        sample_row(
            "tflite-int16x8",
            1,
            status="failed",
            reasons=("killed by SIGKILL: out of memory?",),
            size=6.0,
        ),
    ]


def measured_again(
    result: dict[str, Any], factor: float, noise: float, seed: int, between: float = 0.0
) -> dict[str, Any]:
    """A result as another run would give it: each round's median with noise of its own.

    Args:
        result: The truth.
        factor: By which latency differs in truth.
        noise: Standard deviation of a round's median, as a share.
        seed: Of the noise.
        between: Of what all rounds of a row have in common in one run.
    """
    import copy

    generator = random.Random(seed)
    made = copy.deepcopy(result)
    for row in made["rows"]:
        latency = row["latency"]
        if latency is None:
            continue
        common = factor * (1 + generator.gauss(0, between))
        for one in latency["rounds"]:
            drawn = common * (1 + generator.gauss(0, noise))
            one["p50_ms"] = latency["p50_ms"] * drawn
            one["p90_ms"] = latency["p90_ms"] * drawn * (1 + generator.gauss(0, noise))
        medians = sorted(one["p50_ms"] for one in latency["rounds"])
        ninth = sorted(one["p90_ms"] for one in latency["rounds"])
        latency["p50_ms"] = medians[len(medians) // 2]
        latency["p90_ms"] = ninth[len(ninth) // 2]
    return made
