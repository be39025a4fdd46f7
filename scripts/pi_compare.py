"""What ``test_pi.py`` compares: answers and pictures of a board with those of x86."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

#: LiteRT's float kernels differ between x86 and Arm in the last bits of a sum.
FLOAT_TOLERANCE = 1e-5

#: Steps of a quantised output that a file with some float32 layers may differ by. Integer kernels
#: round alike on x86 and Arm, so a file that is int8 throughout is held to one step. Where a float
#: sum comes out in another last bit, the next layer's 8-bit value may be its neighbour, and what that
#: does is the network's own sensitivity. Measured on x86 (benchmarks/perf/rounding_noise.py) with an
#: EfficientNetB0 of 11 float32 layers: one grey level of one value of one pixel moves the scores of
#: its four golden photos by 3 steps (median of 1,000; 10 in 95 %, 19 at most), and the interpreter's
#: own kernels in place of XNNPACK's, on equal pixels, by 3 to 13; a Cortex-A72 by 4. Eight steps are
#: also what the bundle's own selftest allows another device.
PARTLY_FLOAT_STEPS = 8

#: Grey levels of 255, mean over a picture. Measured with LiteRT: 0.002 at most, where a map that
#: differs in its last bits lands on the neighbouring colour here and there.
PICTURE_TOLERANCE = 0.1

#: The same for a file with some float32 layers, whose maps are as sensitive as its scores: on x86, two
#: grey levels on 25 pixels of that EfficientNetB0's golden photos change its pictures by 2.3 (median
#: of 32; 4.7 in 90 %, 31 at most); a Cortex-A72 by 3.6. Another class's map is another picture.
PARTLY_FLOAT_PICTURE = 8.0


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        board: Which machine.
        check: What was run.
        labels: ``equal``, or how many differ; ``-`` where there are none.
        difference: Largest difference from x86; None where nothing was measured.
        allowed: What it may be at most; None where it is only stated.
        problem: Why the check failed; None if it passed.
        note: What a reader has to know of the verdict.
    """

    board: str
    check: str
    labels: str = "-"
    difference: float | None = None
    allowed: float | None = None
    problem: str | None = None
    note: str = ""


def is_partly_float(info: dict[str, Any]) -> bool:
    """Whether a model with quantised scores has layers that compute in float32.

    Args:
        info: What ``edge-classify info --json`` says of the model.
    """
    quantised = info["outputs"][0]["dtype"] in {"uint8", "int8"}
    return quantised and bool((info.get("activations") or {}).get("float32"))


def allowed_difference(info: dict[str, Any]) -> float | None:
    """How far a model's scores may lie from x86's.

    Args:
        info: What ``edge-classify info --json`` says of the model.

    Returns:
        One step of a quantised output, :data:`PARTLY_FLOAT_STEPS` where some layers compute in
        float32; 1e-5 for TFLite with float scores; None for ONNX, whose difference is stated.
    """
    if info["file"].endswith(".onnx"):
        return None
    output = info["outputs"][0]
    if output["dtype"] not in {"uint8", "int8"}:
        return FLOAT_TOLERANCE
    steps = PARTLY_FLOAT_STEPS if is_partly_float(info) else 1
    # Scores are multiples of the step in float32, whose difference rounds in its seventh digit.
    return float(output["scale"]) * steps * (1 + 1e-6)


def picture_tolerance(info: dict[str, Any]) -> float | None:
    """By how many grey levels a heat map may differ, as a mean; None for ONNX, which is only stated.

    Args:
        info: What ``edge-classify info --json`` says of the model.
    """
    if info["file"].endswith(".onnx"):
        return None
    return PARTLY_FLOAT_PICTURE if is_partly_float(info) else PICTURE_TOLERANCE


def noted(row: Row, info: dict[str, Any]) -> Row:
    """A row of :func:`compare_answers` with what its verdict rests on, for a partly float file.

    Args:
        row: Of the model.
        info: What ``edge-classify info --json`` says of it.
    """
    if not is_partly_float(info) or row.difference is None or not math.isfinite(row.difference):
        return row
    steps = round(row.difference / float(info["outputs"][0]["scale"]))
    return replace(
        row,
        note=f"partly float32: {steps} step{'s' * (steps != 1)} of {PARTLY_FLOAT_STEPS} that are "
        "its rounding noise, labels judged",
    )


def compare_answers(board: str, check: str, here: str, there: str, allowed: float | None) -> Row:
    """Compare what ``edge-classify image --json`` printed on the two machines.

    Args:
        board: Name of the board.
        check: Name of the check.
        here: x86's JSON Lines, with every class in ``top``.
        there: The board's.
        allowed: As :func:`allowed_difference` says.
    """
    ours, theirs = _answers(here), _answers(there)
    if not ours or ours.keys() != theirs.keys():
        return Row(board, check, problem=f"{len(theirs)} answers, x86 gave {len(ours)}")
    wrong, largest = [], 0.0
    for path, expected in ours.items():
        answer = theirs[path]
        if expected["error"] or answer["error"]:
            return Row(board, check, problem=answer["error"] or f"x86: {expected['error']}")
        if answer["label"] != expected["label"]:
            wrong.append(f"{path}: {answer['label']}, x86: {expected['label']}")
        scores = {entry["index"]: entry["score"] for entry in answer["top"]}
        for entry in expected["top"]:
            difference = abs(scores.get(entry["index"], math.inf) - entry["score"])
            # NaN is larger than nothing and smaller than nothing.
            largest = max(largest, difference if math.isfinite(difference) else math.inf)
    problem = wrong[0] if wrong else None
    if problem is None and largest == math.inf:
        problem = "a class of x86's answer has no score here"
    elif problem is None and allowed is not None and largest > allowed:
        problem = f"a score differs by {largest:.2g}, allowed is {allowed:.2g}"
    labels = f"{len(wrong)} of {len(ours)} differ" if wrong else "equal"
    return Row(board, check, labels, largest, allowed, problem)


def compare_pictures(
    board: str, check: str, here: Path, there: Path, allowed: float | None = PICTURE_TOLERANCE
) -> Row:
    """Compare two files, or all pictures below two folders, by their pixels.

    Args:
        board: Name of the board.
        check: Name of the check.
        here: What was written on x86.
        there: What was written on the board.
        allowed: Mean difference of a picture in grey levels; None to state it only.
    """
    if here.is_file():
        pairs = [(here, there)]
    else:
        names = sorted(p.relative_to(here) for p in here.rglob("*") if p.is_file())
        found = sorted(p.relative_to(there) for p in there.rglob("*") if p.is_file())
        if not names or names != found:
            return Row(board, check, problem=f"{len(found)} files, x86 wrote {len(names)}")
        pairs = [(here / name, there / name) for name in names]
    largest = 0.0
    for mine, other in pairs:
        difference = _mean_difference(mine, other)
        if difference is None:
            return Row(board, check, problem=f"{other.name}: another size than on x86")
        largest = max(largest, difference)
    problem = None
    if allowed is not None and largest > allowed:
        problem = f"a picture differs by {largest:.2g} grey levels, allowed is {allowed:.2g}"
    return Row(board, check, "-", largest, allowed, problem)


def table(rows: list[Row]) -> str:
    """The rows as text, with a verdict each."""
    head = ("board", "check", "labels", "largest difference", "allowed", "verdict")
    lines = [head]
    for row in rows:
        stated = "" if row.difference is None else "stated only"
        lines.append((
            row.board,
            row.check,
            row.labels,
            "" if row.difference is None else f"{row.difference:.1e}",
            stated if row.allowed is None else f"{row.allowed:.1e}",
            ("ok" if row.problem is None else "FAILED") + (f" ({row.note})" if row.note else ""),
        ))  # fmt: skip
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _answers(lines: str) -> dict[str, dict[str, Any]]:
    answers = [json.loads(line) for line in lines.splitlines()]
    return {answer["path"]: answer for answer in answers}


def _mean_difference(here: Path, there: Path) -> float | None:
    """Mean difference of two pictures in grey levels of 255; None if their sizes differ."""
    import numpy as np
    from PIL import Image

    with Image.open(here) as first, Image.open(there) as second:
        if first.size != second.size:
            return None
        a, b = (np.asarray(image.convert("RGB"), np.float32) for image in (first, second))
    return float(np.abs(a - b).mean())
