"""What ``test_pi.py`` runs on a board, each command compared with the same one on x86."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from pi_compare import Row, allowed_difference, compare_answers, compare_pictures
from pi_machines import Machine, last_lines

#: The classes of the largest label list in use, ImageNet's with its background class.
_ALL_CLASSES = "1001"


@dataclass(frozen=True)
class Subject:
    """A model file with the photos that it is asked about, below the work folder.

    Attributes:
        name: What the table calls it.
        model: Bundle or file.
        photos: Files.
        fmt: Artifact of a bundle; None for a single file.
    """

    name: str
    model: str
    photos: tuple[str, ...]
    fmt: str | None = None

    @property
    def options(self) -> list[str]:
        """``--model`` and ``--format``."""
        return ["--model", self.model, *(["--format", self.fmt] if self.fmt else [])]


@dataclass
class Reference:
    """What x86 gave, so that two boards are compared with one run of it."""

    machine: Machine
    outputs: dict[tuple[str, ...], str] = field(default_factory=dict)

    def output(self, *arguments: str) -> str:
        """Standard output of ``edge-classify`` on x86, where it has to succeed."""
        if arguments not in self.outputs:
            done = self.machine.edge_classify(*arguments)
            if done.returncode != 0:
                raise click.ClickException(
                    f"on x86, `edge-classify {' '.join(arguments)}` ended with "
                    f"{done.returncode}:\n{last_lines(done.stderr)}"
                )
            self.outputs[arguments] = done.stdout
        return self.outputs[arguments]

    def info(self, subject: Subject) -> dict[str, Any]:
        """What the model says of itself."""
        fmt = ["--format", subject.fmt] if subject.fmt else []
        info: dict[str, Any] = json.loads(self.output("info", subject.model, *fmt, "--json"))
        return info


def check_board(
    board: Machine, x86: Reference, subjects: Sequence[Subject], wheel: str
) -> Iterator[Row]:
    """Install on a board and run every check there.

    Args:
        board: The emulated board.
        x86: What it is compared with.
        subjects: The models.
        wheel: The wheel's name in the work folder.
    """
    name = board.name
    board.install(wheel)
    first = next(s for s in subjects if s.fmt and s.fmt.startswith("tflite"))
    yield answers(board, x86, first, "base install, ")
    for subject in subjects:
        if subject.fmt and subject.fmt.startswith("onnx"):
            done = board.edge_classify("image", *subject.options, *subject.photos)
            named = done.returncode == 5 and "edge-classify[onnx]" in done.stderr
            problem = None if named else f"exit code {done.returncode}:\n{last_lines(done.stderr)}"
            yield Row(name, "base install, ONNX names its extra", problem=problem)
            break
    board.install(wheel, "onnx")
    click.echo(f"{name}: {board.versions()}", err=True)
    yield succeeds(board, "doctor", "--json")
    for bundle in dict.fromkeys(s.model for s in subjects if s.fmt):
        yield succeeds(board, "selftest", bundle, "--json")
        yield succeeds(board, "info", bundle, "--json")
    for subject in subjects:
        yield answers(board, x86, subject)
        yield heat_maps(board, x86, subject)
    for subject in single_files(board.work, subjects):
        yield answers(board, x86, subject)
        yield explained(board, x86, subject)


def single_files(work: Path, subjects: Sequence[Subject]) -> Iterator[Subject]:
    """The first .tflite and the first .onnx file of each bundle, to be opened by themselves."""
    seen = set()
    for subject in subjects:
        if subject.fmt is None:
            continue
        file = next((work / subject.model).glob(f"model-{subject.fmt}.*"))
        if (subject.model, file.suffix) not in seen:
            seen.add((subject.model, file.suffix))
            path = str(file.relative_to(work))
            yield Subject(f"{subject.name}, single file", path, subject.photos)


def succeeds(board: Machine, *arguments: str) -> Row:
    """Run a command that prints JSON and has to end with 0."""
    done = board.edge_classify(*arguments)
    check = f"{arguments[0]} {' '.join(a for a in arguments[1:] if a != '--json')}".strip()
    if done.returncode != 0:
        problem = f"exit code {done.returncode}:\n{last_lines(done.stderr or done.stdout)}"
        return Row(board.name, check, problem=problem)
    try:
        json.loads(done.stdout)
    except ValueError:
        return Row(board.name, check, problem=f"no JSON on stdout: {done.stdout[:200]!r}")
    return Row(board.name, check)


def answers(board: Machine, x86: Reference, subject: Subject, prefix: str = "") -> Row:
    """``edge-classify image`` on all photos of a model, every class listed."""
    line = ("image", *subject.options, "--json", "--top-k", _ALL_CLASSES, *subject.photos)
    check = f"{prefix}image, {subject.name}"
    expected, done = x86.output(*line), board.edge_classify(*line)
    if done.returncode != 0:
        problem = f"exit code {done.returncode}:\n{last_lines(done.stderr)}"
        return Row(board.name, check, problem=problem)
    allowed = allowed_difference(x86.info(subject))
    return compare_answers(board.name, check, expected, done.stdout, allowed)


def heat_maps(board: Machine, x86: Reference, subject: Subject) -> Row:
    """``edge-classify image --heatmap`` on all photos of a model."""
    folder = f"maps {subject.name}".replace(" ", "-")
    line = ("image", *subject.options, "--heatmap")
    x86.output(*line, f"x86-{folder}", *subject.photos)
    done = board.edge_classify(*line, f"{board.name}-{folder}", *subject.photos)
    return _pictures(board, f"image --heatmap, {subject.name}", folder, done)


def explained(board: Machine, x86: Reference, subject: Subject) -> Row:
    """``edge-classify gradcam`` on the first photo of a model."""
    file = f"gradcam {subject.name}.png".replace(" ", "-")
    line = ("gradcam", *subject.options, subject.photos[0], "--out")
    x86.output(*line, f"x86-{file}")
    done = board.edge_classify(*line, f"{board.name}-{file}")
    return _pictures(board, f"gradcam, {subject.name}", file, done)


def _pictures(
    board: Machine, check: str, output: str, done: subprocess.CompletedProcess[str]
) -> Row:
    if done.returncode != 0:
        problem = f"exit code {done.returncode}:\n{last_lines(done.stderr)}"
        return Row(board.name, check, problem=problem)
    here, there = board.work / f"x86-{output}", board.work / f"{board.name}-{output}"
    return compare_pictures(board.name, check, here, there)
