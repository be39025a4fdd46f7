"""A result as one HTML file that needs no network and no script.

A Jinja template with escaping on, since classes and files may be called anything; plots are inline
SVG, and a content security policy forbids whatever else the page could load.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from edge_runtime import pages

from ..model_options import model_options
from ..result import Result, Row
from .plots import histogram_chart, tradeoff_chart
from .text import (
    accuracy_of,
    accuracy_source,
    condition_facts,
    faults,
    half_width,
    machine_facts,
    marks,
    megabytes,
    milliseconds,
    notes,
    ordered,
    percent,
    state,
    subject_line,
)

_TEMPLATES = Path(__file__).parent / "templates"

#: Operators of a profile that are listed; the rest is summed.
_LISTED = 12


def check_page() -> None:
    """Raise MissingComponent unless a page can be made."""
    _environment()


def render(result: Result) -> str:
    """The page as text.

    Raises:
        MissingComponent: Jinja is not installed.
    """
    environment = _environment()
    environment.filters |= {
        "ms": milliseconds,
        "mb": megabytes,
        "points": percent,
        "state": state,
        "sentence": lambda text: f"{text[:1].upper()}{text[1:]}",
    }
    rows = ordered(result)
    peaks = [m["peak_bytes"] for row in rows if (m := row["memory"]) is not None]
    verdict = result["verdict"]
    template = environment.get_template("report.html.j2")
    return str(
        template.render(
            style=pages.style(_TEMPLATES / "report.css"),
            r=result,
            title=f"Benchmark of {Path(str(result['subject'].get('path'))).name}",
            subject=subject_line(result),
            rows=rows,
            marks=marks(result),
            mood=_mood(result),
            best=next((r for r in rows if verdict and r["name"] == verdict["recommended"]), None),
            command=_command(result, rows),
            accuracy=lambda row: accuracy_of(result, row),
            accuracy_source=accuracy_source(result),
            half_width=half_width,
            tradeoff=tradeoff_chart(result),
            histogram=histogram_chart,
            peak=max((p for p in peaks if p), default=None),
            faults=faults(result),
            notes=notes(result),
            machine=machine_facts(result["machine"]),
            conditions={name: condition_facts(c) for name, c in _conditions(result).items()},
            settings=_settings(result),
            listed=_LISTED,
        )
    )


def _conditions(result: Result) -> dict[str, Any]:
    found = result["conditions"]
    return {"before": found["before"], "during": found["during"], "after": found["after"]}


def _mood(result: Result) -> str:
    """Class of the verdict in the style sheet."""
    verdict = result["verdict"]
    if verdict is None or verdict["recommended"] is None:
        return "fails"
    return "warns" if result["status"] == "invalid" else "holds"


def _command(result: Result, rows: list[Row]) -> str | None:
    """What runs the recommended row; None where nothing is recommended."""
    verdict = result["verdict"]
    row = next((r for r in rows if verdict and r["name"] == verdict["recommended"]), None)
    if row is None:
        return None
    artifact, engine = row["artifact"], row["engine"]
    words = ["edge-classify", "image", "--model", artifact["subject"]]
    if _is_bundle(result, artifact["subject"]):
        words += ["--format", artifact["format"]]
    if engine["threads"] is not None:
        words += ["--threads", str(engine["threads"])]
    if engine["interpreter"] is not None and artifact["format"].startswith("tflite"):
        words += ["--interpreter", engine["interpreter"]]
    if engine["delegate"] is not None:
        option = "--delegate" if artifact["format"].startswith("tflite") else "--provider"
        words += [option, engine["delegate"]]
    words += model_options(result["settings"].get("model") or {}, "labels.txt")
    return f"{shlex.join(words)} photo.jpg"


def _is_bundle(result: Result, subject: str) -> bool:
    """Whether a subject is one from which ``--format`` chooses."""
    about = result["subject"]
    kinds = {member["path"]: member["kind"] for member in about["members"]}
    return bool(kinds.get(subject, about["kind"]) == "bundle")


def _settings(result: Result) -> list[tuple[str, str]]:
    found = [
        (name.replace("_", " "), str(value))
        for name, value in result["settings"].items()
        if value is not None and not isinstance(value, (dict, list))
    ]
    return [("date", result["date"]), *found]


def _environment() -> Any:
    return pages.environment(_TEMPLATES, "bench", "write the page")
