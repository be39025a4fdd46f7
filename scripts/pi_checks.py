"""What ``test_pi.py`` runs on a board, each command compared with the same one on x86."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from pi_compare import (
    Row,
    allowed_difference,
    compare_answers,
    compare_pictures,
    noted,
    picture_tolerance,
)  # fmt: skip
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
        judged: Whether LiteRT's difference is judged, or stated only. Of models that this project did
            not make it is stated: an older uint8 MobileNetV2 differs by 3 steps on a Cortex-A72, on
            equal pixels, because LiteRT's kernels round in another way there. Labels are judged.
    """

    name: str
    model: str
    photos: tuple[str, ...]
    fmt: str | None = None
    judged: bool = True

    @property
    def options(self) -> list[str]:
        """``--model`` and ``--format``."""
        return ["--model", self.model, *(["--format", self.fmt] if self.fmt else [])]

    def file(self, what: str) -> str:
        """A name of its own in the work folder for an output."""
        return "-".join([self.model.replace("/", "-"), *([self.fmt] if self.fmt else []), what])


class Failed(Exception):
    """A command failed, here or on a board, so that nothing can be compared; the others go on."""


@dataclass
class Reference:
    """What x86 gave, so that two boards are compared with one run of it."""

    machine: Machine
    outputs: dict[tuple[str, ...], str] = field(default_factory=dict)

    def output(self, *arguments: str) -> str:
        """Standard output of ``edge-classify`` on x86.

        Raises:
            Failed: It failed.
        """
        if arguments not in self.outputs:
            self.outputs[arguments] = output_of(self.machine, *arguments)
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
        formats = [s.fmt for s in subjects if s.fmt and s.model == bundle]
        for kind in ("tflite", "onnx"):
            if chosen := [fmt for fmt in formats if fmt.startswith(kind)]:
                yield proves(board, bundle, kind, chosen)
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
    check = " ".join(argument for argument in arguments if argument != "--json")
    try:
        found = output_of(board, *arguments)
        json.loads(found)
    except Failed as problem:
        return Row(board.name, check, problem=str(problem))
    except ValueError:
        return Row(board.name, check, problem=f"no JSON on stdout: {found[:200]!r}")
    return Row(board.name, check)


def proves(board: Machine, bundle: str, kind: str, formats: Sequence[str]) -> Row:
    """``edge-classify selftest`` of the files of one interpreter.

    The stored scores are x86's. TFLite files have to pass; of ONNX files the difference is stated,
    whatever the bundle allows: onnxruntime computes int8 in another way on Arm (0.04 of a
    probability was measured).
    """
    options = [word for fmt in formats for word in ("--format", fmt)]
    check = f"selftest {bundle}, {', '.join(formats)}"
    done = board.edge_classify("selftest", bundle, *options, "--json")
    accepted: tuple[int, ...] = (0, 4) if kind == "onnx" else (0,)
    try:
        checks = json.loads(done.stdout)["checks"]
        if any(c["kind"] != "artifact" and c["result"] == "failed" for c in checks):
            accepted = (0,)  # checksums and pixels have to hold whatever the interpreter is
        differences = [float(c["max_abs_diff"]) for c in checks if c["subject"] in formats]
    except (ValueError, KeyError, TypeError):
        differences = []
    if done.returncode not in accepted or len(differences) != len(formats):
        said = last_lines(done.stderr or done.stdout)
        problem = f"exit code {done.returncode} on {board.name}:\n{said}"
        return Row(board.name, check, problem=problem)
    return Row(board.name, check, difference=max(differences))


def answers(board: Machine, x86: Reference, subject: Subject, prefix: str = "") -> Row:
    """``edge-classify image`` on all photos of a model, every class listed."""
    line = ("image", *subject.options, "--json", "--top-k", _ALL_CLASSES, *subject.photos)
    check = f"{prefix}image, {subject.name}"
    try:
        info = x86.info(subject) if subject.judged else None
        allowed = None if info is None else allowed_difference(info)
        expected, found = x86.output(*line), output_of(board, *line)
    except Failed as problem:
        return Row(board.name, check, problem=str(problem))
    row = compare_answers(board.name, check, expected, found, allowed)
    return row if info is None else noted(row, info)


def heat_maps(board: Machine, x86: Reference, subject: Subject) -> Row:
    """``edge-classify image --heatmap`` on all photos of a model."""
    line = ("image", *subject.options, *subject.photos, "--heatmap")
    return _pictures(board, x86, subject, "image --heatmap", line, subject.file("maps"))


def explained(board: Machine, x86: Reference, subject: Subject) -> Row:
    """``edge-classify gradcam`` on the first photo of a model."""
    line = ("gradcam", *subject.options, subject.photos[0], "--out")
    return _pictures(board, x86, subject, "gradcam", line, subject.file("gradcam.png"))


def output_of(machine: Machine, *arguments: str) -> str:
    """Standard output of ``edge-classify``.

    Raises:
        Failed: It ended with anything but 0.
    """
    done = machine.edge_classify(*arguments)
    if done.returncode != 0:
        said = last_lines(done.stderr or done.stdout)
        raise Failed(f"exit code {done.returncode} on {machine.name}:\n{said}")
    return done.stdout


def _pictures(
    board: Machine, x86: Reference, subject: Subject, what: str, line: tuple[str, ...], output: str
) -> Row:
    """Run a command on both that writes to the path at its end, and compare what it wrote."""
    check, here, there = f"{what}, {subject.name}", f"x86-{output}", f"{board.name}-{output}"
    try:
        allowed = picture_tolerance(x86.info(subject)) if subject.judged else None
        x86.output(*line, here)
        output_of(board, *line, there)
    except Failed as problem:
        return Row(board.name, check, problem=str(problem))
    return compare_pictures(board.name, check, board.work / here, board.work / there, allowed)
