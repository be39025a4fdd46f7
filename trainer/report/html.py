"""``report.html``: everything about a run, or an evaluation, in one file that needs no network.

The page is a Jinja template with escaping on; pictures are data URIs, charts are inline SVG, and a
content security policy forbids whatever else it could load.
"""

from __future__ import annotations

import base64
import hashlib
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime import pages
from edge_runtime.pages import percent
from edge_runtime.pictures import Picture

from ..evaluation.label_errors import Suspect
from .photos import PhotoCard
from .svg import line_chart, reliability_chart

_TEMPLATES = Path(__file__).parent / "templates"

#: Up to this many classes the confusion matrix is shown whole.
_MOST_CLASSES = 40

_MOST_CONFUSIONS = 20

#: Cells from this share of their row up are so dark that their text is light.
_STRONG = 0.75

#: What the page says of each ``kind`` of photos that were left out; a row without one could not be
#: read.
_LEFT_OUT = {
    "unreadable": "could not be read",
    "leakage": "also in a part that measures",
    "contradiction": "also in another class",
}

#: Full names of the parts; another name stands for itself.
_NAMES = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class Report:
    """What a report shows. Metrics are those of ``metrics.json``."""

    title: str
    subtitle: str
    class_names: tuple[str, ...]
    #: Figures by part; the first one is what the report is about.
    parts: dict[str, dict[str, Any]]
    temperature: dict[str, Any] | None = (
        None  #: of :func:`trainer.evaluation.calibration.fit_temperature`
    )
    unknown: dict[str, Any] | None = None
    class_thresholds: dict[str, Any] | None = None
    mistakes: Sequence[PhotoCard] = ()
    hits: Sequence[PhotoCard] = ()
    suspects: Sequence[tuple[Suspect, Picture | None]] = ()
    suspects_count: int = 0  #: all of them, of which ``suspects`` are the surest
    history: Sequence[Mapping[str, Any]] = ()  #: rows of ``history.csv``
    counts: dict[str, dict[str, int]] = field(default_factory=dict)  #: by class, by part
    left_out: Sequence[Mapping[str, str]] = ()  #: ``part``, ``path``, ``error``, ``kind``
    notes: Sequence[str] = ()  #: warnings, at the top
    texts: dict[str, str] = field(default_factory=dict)  #: configuration, environment, by heading


def write_report(report: Report, file: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write the page.

    Args:
        report: What to show.
        file: File to write.
        overwrite: Whether an existing file may be replaced.

    Raises:
        MissingComponent: Jinja is not installed.
        OutputExists: The file exists and ``overwrite`` is false.
    """
    pages.write(render(report), file, overwrite)


def render(report: Report) -> str:
    """The page as text."""
    environment = pages.environment(_TEMPLATES, "train", "write the report")
    environment.filters["part"] = _part_name
    script = (_TEMPLATES / "report.js").read_text(encoding="utf-8")
    main = next(iter(report.parts))
    metrics = report.parts[main]
    shared = os.path.commonpath(paths) if len(paths := _folders(report)) else ""
    text = environment.get_template("report.html.j2").render(
        r=report,
        main=main,
        facts=facts(report),
        style=pages.style(_TEMPLATES / "report.css"),
        script=script,
        # The browser runs this very script and no other, whatever a class may be called.
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
        left_out=left_out_counts(report.left_out),
        charts=history_charts(report.history),
        reliability=_reliability_charts(report),
        matrix=_matrix(metrics) if len(report.class_names) <= _MOST_CLASSES else None,
        confusions=confusions(metrics, report.class_names)[:_MOST_CONFUSIONS],
        shared=shared,
        short=lambda path: os.path.relpath(path, shared) if shared else path,
    )
    return str(text)


def facts(report: Report) -> list[tuple[str, str, str]]:
    """What a reader wants to know first: heading, value, explanation."""
    found = []
    for part, metrics in report.parts.items():
        if part == "train":
            continue
        interval = metrics["accuracy_interval"]
        right = sum(row[i] for i, row in enumerate(metrics["confusion_matrix"]))
        found.append(
            (
                f"Accuracy, {_part_name(part)} photos",
                percent(metrics["accuracy"]),
                f"{right} of {metrics['n']} right; 95 % interval {percent(interval['low'])} to "
                f"{percent(interval['high'])}",
            )
        )
    part, metrics = next(iter(report.parts.items()))
    rows = {name: row for name, row in metrics["per_class"].items() if row["support"]}
    weakest = min(rows, key=lambda name: rows[name]["f1"])
    row = rows[weakest]
    found.append(
        (
            "Weakest class",
            weakest,
            f"F1 {row['f1']:.2f}: recall {percent(row['recall'])}, precision "
            f"{percent(row['precision'])}; {row['support']} {_part_name(part)} photos",
        )
    )
    worst = confusions(metrics, report.class_names)
    found.append(
        ("Most frequent confusion", f"{worst[0][0]} taken for {worst[0][1]}",
         f"{worst[0][2]} of {worst[0][3]} {_part_name(part)} photos")
        if worst
        else ("Most frequent confusion", "none", f"no mistake on the {_part_name(part)} photos")
    )  # fmt: skip
    raw, after = metrics["calibration"]["raw"], metrics["calibration"]["calibrated"]
    found.append(
        (
            "Calibration error (ECE)",
            percent((after or raw)["ece"]),
            f"{percent(raw['ece'])} before the temperature"
            if after
            else "of the raw scores; no temperature was fitted",
        )
    )
    found.append(
        ("Suspected label errors", str(report.suspects_count), "photos to look at, see below")
    )
    return found


def confusions(
    metrics: Mapping[str, Any], class_names: Sequence[str]
) -> list[tuple[str, str, int, int]]:
    """True class, answer, photos, and photos of the true class; most frequent first."""
    matrix = np.array(metrics["confusion_matrix"])
    totals = matrix.sum(axis=1)
    np.fill_diagonal(matrix, 0)
    order = np.argsort(-matrix, axis=None, kind="stable")[: np.count_nonzero(matrix)]
    cells = [divmod(int(place), len(class_names)) for place in order]
    return [
        (class_names[row], class_names[column], int(matrix[row, column]), int(totals[row]))
        for row, column in cells
    ]


def left_out_counts(rows: Sequence[Mapping[str, str]]) -> list[tuple[str, int]]:
    """Why photos were left out, in words, and how many for each reason."""
    counts = Counter(row.get("kind", "unreadable") for row in rows)
    return [(words, counts[kind]) for kind, words in _LEFT_OUT.items() if counts[kind]]


def history_charts(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Loss, accuracy and learning rate over all epochs, as SVG; what is not in the rows is left out."""
    phases = [str(row.get("phase", "")) for row in rows]
    marks = {
        i + 0.5: phases[i]
        for i in range(1, len(phases))
        if phases[i] != phases[i - 1]
    }  # fmt: skip
    charts = []
    for key, title in (("loss", "Loss"), ("accuracy", "Accuracy")):
        series = {
            name: [_value(row.get(prefix + key)) for row in rows]
            for prefix, name in (("", "training"), ("val_", "validation"))
        }
        charts.append(line_chart(title, series, marks))
    rates = [_value(row.get("learning_rate")) for row in rows]
    charts.append(line_chart("Learning rate", {"learning rate": rates}, marks, logarithmic=True))
    return [chart for chart in charts if chart]


def _value(text: Any) -> float | None:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _reliability_charts(report: Report) -> list[str]:
    part, metrics = next(iter(report.parts.items()))
    both = metrics["calibration"]
    after = " before the temperature" if both["calibrated"] else ""
    charts = [reliability_chart(f"{_part_name(part)}{after}", both["raw"]["bins"])]
    if both["calibrated"]:
        title = f"{_part_name(part)} after the temperature"
        charts.append(reliability_chart(title, both["calibrated"]["bins"]))
    return charts


def _matrix(metrics: Mapping[str, Any]) -> list[list[dict[str, Any]]]:
    """Cells of the confusion matrix: count, share of the row, and how to colour it."""
    found = []
    for i, row in enumerate(metrics["confusion_matrix"]):
        total = max(sum(row), 1)
        cells = []
        for j, count in enumerate(row):
            # A square root, so that a single confusion is seen.
            shade = math.sqrt(count / total)
            kind = "strong" if shade >= _STRONG else "zero" if not count else ""
            cells.append(
                {"count": count, "shade": f"{shade:.2f}", "kind": f"{kind}{' right' * (i == j)}"}
            )
        found.append(cells)
    return found


def _folders(report: Report) -> list[str]:
    paths = [card.path for card in (*report.mistakes, *report.hits)]
    paths += [suspect.path for suspect, _ in report.suspects]
    paths += [row["path"] for row in report.left_out]
    folders = {os.path.dirname(path) for path in paths}
    # A relative and an absolute path, or two drives, have no folder in common.
    return sorted(folders) if len({os.path.isabs(folder) for folder in folders}) == 1 else []


def _part_name(part: str) -> str:
    return _NAMES.get(part, part)
