"""The verdict and the bundle: what it states of its files, and the choice that is written into it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edge_runtime.bundle import Bundle, is_bundle
from edge_runtime.choices import Choice, board_name, check_writable, may_name, write_choice
from edge_runtime.confidence import wilson
from edge_runtime.engine import INTERPRETERS
from edge_runtime.errors import EdgeError, UsageError

from .pareto import AccuracyOf
from .result import Interval, Result

#: What the full name of an execution provider ends with.
_PROVIDER = "ExecutionProvider"


def stated_accuracy(result: Result) -> AccuracyOf:
    """Accuracies that the bundles of a result state of their files, from their parity checks.

    Args:
        result: It. A bundle that is not here, damaged, or was exported again since it was measured
            states what it stated when the result got its verdict.

    Returns:
        By (subject, format): the share of the validation photos, and Wilson's interval.
    """
    found = _stated_before(result)
    measured = {
        (row["artifact"]["subject"], row["artifact"]["format"], row["artifact"]["sha256"])
        for row in result["rows"]
    }
    for subject in {subject for subject, _, _ in measured}:
        try:
            if not os.path.exists(subject) or not is_bundle(subject):
                continue
            artifacts = Bundle.open(subject).manifest.artifacts
        except (EdgeError, OSError):
            continue
        for artifact in artifacts:
            if (subject, artifact.format, artifact.sha256) not in measured:
                continue
            accuracy, n = artifact.parity.get("accuracy"), artifact.parity.get("n")
            if isinstance(accuracy, (int, float)) and isinstance(n, int) and n > 0:
                low, high = wilson(round(accuracy * n), n)
                found[subject, artifact.format] = (accuracy, (low, high))
    return found


def _stated_before(result: Result) -> dict[tuple[str, str], tuple[float, Interval]]:
    found: dict[tuple[str, str], tuple[float, Interval]] = {}
    verdict = result["verdict"]
    if verdict is None or verdict["accuracy_from"] != "bundle":
        return found
    for row in result["rows"]:
        figures = verdict["compared"].get(row["name"])
        if figures is None:
            continue
        accuracy, interval = figures["accuracy"], figures["accuracy_ci"]
        if accuracy is not None and interval is not None:
            key = (row["artifact"]["subject"], row["artifact"]["format"])
            found[key] = (accuracy, (interval[0], interval[1]))
    return found


def board_of(machine: dict[str, Any]) -> str:
    """What the machine of a result is called in a bundle's choices."""
    return board_name(
        machine.get("board"),
        machine.get("cpu"),
        str(machine.get("architecture")),
        machine.get("cores"),
    )


def check_saveable(subject: str) -> None:
    """Refuse, before minutes of measuring, what no choice could be written into.

    Raises:
        UsageError: It is no bundle, a zipped one, one that cannot be written to, or has choices
            that a newer version wrote.
        BundleError: The choices that it has are damaged.
    """
    if not os.path.isdir(subject):
        zipped = os.path.isfile(subject) and is_bundle(subject)
        raise UsageError(
            f"--save-choice: {subject} is a zip file, and stays as it is. Unzip it, measure the "
            "folder, and zip that again if it is to travel."
            if zipped
            else f"--save-choice: {subject} is no bundle; a single file leaves nothing to choose."
        )
    if not is_bundle(subject):
        raise UsageError(f"--save-choice: {subject} is no bundle that edge-export wrote.")
    if not os.access(subject, os.W_OK):
        raise UsageError(f"--save-choice: {subject} cannot be written to. Check its permissions.")
    check_writable(Path(subject))


def check_nameable(delegates: Iterable[str], providers: Iterable[str]) -> None:
    """Refuse, before minutes of measuring, delegates and providers that no choice may name.

    Args:
        delegates: As they were asked for.
        providers: As they were asked for.

    Raises:
        UsageError: One is the path of a library, or has an option that is a path.
    """
    for text in (*delegates, *map(_full_name, providers)):
        if not may_name(text):
            raise UsageError(
                f"--save-choice: {text}: a bundle may name a delegate or provider, no library and no "
                "path. Leave out one of the two."
            )


def _full_name(provider: str) -> str:
    """A provider as a choice names it, whose short name onnxruntime does not know."""
    name, colon, options = provider.partition(":")
    short = re.sub(f"{_PROVIDER}$", "", name.strip(), flags=re.IGNORECASE)
    return f"{short}{_PROVIDER}{colon}{options}"


def save_choice(result: Result) -> tuple[Path, Choice]:
    """Write the recommended row into its bundle, as the choice of the board that was measured.

    Args:
        result: With a verdict that recommends a row.

    Returns:
        The file that holds it, and the choice.

    Raises:
        UsageError: Nothing is recommended, or it belongs to no bundle that can be written to.
        BundleError: The bundle, or the choices in it, are damaged.
        SystemFailure: It cannot be written.
    """
    verdict = result["verdict"]
    if verdict is None or verdict["recommended"] is None:
        raise UsageError("--save-choice: nothing is recommended, so nothing was chosen.")
    row = next(row for row in result["rows"] if row["name"] == verdict["recommended"])
    subject, sha256 = row["artifact"]["subject"], row["artifact"]["sha256"]
    check_saveable(subject)
    bundle, interpreter = Bundle.open(subject), row["engine"]["interpreter"]
    delegate = row["engine"]["delegate"]
    if delegate is not None and row["artifact"]["format"].startswith("onnx"):
        delegate = _full_name(delegate)
    choice = Choice(
        format=row["artifact"]["format"],
        sha256=sha256 or "",
        threads=row["engine"]["threads"],
        interpreter=interpreter if interpreter in INTERPRETERS else None,
        delegate=delegate,
        reason=verdict["reason"],
        date=result["date"],
    )
    return write_choice(bundle.path, bundle.manifest, board_of(result["machine"]), choice), choice
