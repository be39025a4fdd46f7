"""Do other programs read the exported files as they are, and answer as ``edge-classify`` does?

Run ``python -m benchmarks.perf.other_programs BUNDLE DATA`` in an environment of its own, with
MediaPipe, OpenVINO and OpenCV (README.md beside this file). Each program is given the model file
and nothing else (MediaPipe takes labels and normalisation out of its metadata), and the pixels that
``edge_runtime`` resized, spread over the photos below DATA. Exit code 4 where a program refuses a
file, gives another label, or a score that differs by more than the tolerance.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import click
import numpy as np

from benchmarks.perf.common import EXIT_CHECK_FAILED, print_machine, record
from edge_runtime.backends.onnx import SCORES_NAME
from edge_runtime.bundle import Bundle
from edge_runtime.classifier import Classifier
from edge_runtime.errors import first_line
from edge_runtime.files import find_photos
from exporter.thresholds import device_tolerance

_ONNX = ("onnx-fp32", "onnx-fp16", "onnx-int8")

#: Largest difference of a score. 0.01 leaves two steps (1/256) of an int8 output; float32 sums in
#: another order differ by 1e-5. The other formats are held to their labels: a program may compute
#: float16 wider, and each rounds int8 in places of its own.
_TOLERANCES = {"tflite-fp32": 0.01, "tflite-int8": 0.01, "onnx-fp32": 1e-3}


@dataclass(frozen=True)
class Program:
    """Another program.

    Attributes:
        package: Distribution that it comes in.
        formats: Formats that it reads.
        scores: Takes a model file, uint8 pixels (n, h, w, 3) and the class names; gives the
            scores, float32 (n, classes).
        excused: Formats that it is known to get wrong, whatever this toolkit writes, and why; they
            are shown, and another program has to read them.
    """

    package: str
    formats: tuple[str, ...]
    scores: Callable[[str, np.ndarray, tuple[str, ...]], np.ndarray]
    excused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """What a program made of a file.

    Attributes:
        same: Photos with the label of ``edge-classify``.
        ties: Photos with another one, whose two best classes are a tie.
        difference: Largest difference of a score.
        refusal: Why it did not run; empty where it did.
        excuse: Why the row does not count; empty where it does.
    """

    fmt: str
    program: str
    same: int = 0
    ties: int = 0
    difference: float = 0.0
    refusal: str = ""
    excuse: str = ""

    def holds(self, photos: int) -> bool:
        """Whether it ran, gave the labels and kept the tolerance, or is excused."""
        if self.excuse:
            return True
        within = self.difference <= _TOLERANCES.get(self.fmt, 1)
        return not self.refusal and self.same + self.ties == photos and within

    def text(self) -> str:
        """A line of the table."""
        start = f"{self.fmt:12} {self.program:26}"
        figures = f"{self.same:10} {self.ties:5} {self.difference:19.1e}"
        end = f"  (does not count: {self.excuse})" if self.excuse else ""
        return f"{start} {f'refuses it: {self.refusal}' if self.refusal else figures}{end}"


@click.command()
@click.argument("bundle")
@click.argument("data", type=click.Path(exists=True, file_okay=False))
@click.option("--photos", type=click.IntRange(1), default=40, show_default=True)
def main(bundle: str, data: str, photos: int) -> None:
    """Give the files of BUNDLE and photos below DATA to other programs."""
    print_machine()
    paths = find_photos(data)
    if not paths:
        raise click.UsageError(f"{data} holds no photos.")
    count = min(photos, len(paths))
    paths = [paths[k * len(paths) // count] for k in range(count)]
    formats = [artifact.format for artifact in Bundle.open(bundle).manifest.artifacts]
    click.echo(f"{bundle}, {count} photos")
    click.echo(
        f"{'file':12} {'program':26} {'same label':>10} {'ties':>5} {'largest difference':>19}"
    )
    rows = [row for fmt in formats for row in compare(bundle, fmt, paths)]
    if not rows:
        raise click.UsageError(f"{bundle} has no file that these programs read.")
    if not all(row.holds(count) for row in rows):
        click.echo("NOT EQUAL")
        raise click.exceptions.Exit(EXIT_CHECK_FAILED)
    click.echo("equal")


def compare(bundle: str, fmt: str, paths: Sequence[str]) -> list[Row]:
    """Give one file to every program that reads its format, and print what each made of it."""
    programs = {name: program for name, program in PROGRAMS.items() if fmt in program.formats}
    if not programs:
        return []
    classifier = Classifier.open(bundle, fmt)
    pixels = np.stack([classifier.pixels(path) for path in paths])
    expected = np.stack([classifier.scores(image) for image in pixels])
    _, file = Bundle.open(bundle).file(fmt)
    rows = []
    for name, program in programs.items():
        title = f"{name} {importlib.metadata.version(program.package)}"
        excuse = program.excused.get(fmt, "")
        try:
            found = program.scores(os.fspath(file), pixels, classifier.info.class_names)
            row = counted(Row(fmt, title, excuse=excuse), expected, found)
        except Exception as error:  # each program raises its own, of no common class
            row = Row(fmt, title, refusal=first_line(error), excuse=excuse)
        click.echo(row.text())
        if not (row.refusal or row.excuse):
            share = (row.same + row.ties) / len(paths)
            record(f"`{fmt}`, {title}: share of photos with the same label", [share], "", least=1.0)
            most = _TOLERANCES.get(fmt)
            named = f"`{fmt}`, {title}: largest difference of a score"
            record(named, [row.difference], "", most=most)
        rows.append(row)
    return rows


def counted(row: Row, expected: np.ndarray, found: np.ndarray) -> Row:
    """Compare the scores of ``edge-classify`` with a program's, both (photos, classes).

    Two classes are a tie where each need only move by what another device may make of the file.
    """
    tie = 2 * device_tolerance(row.fmt)["max_abs_diff"]
    equal = found.argmax(axis=1) == expected.argmax(axis=1)
    best = np.sort(expected, axis=1)
    tied = ~equal & (best[:, -1] - best[:, -2] <= tie)
    return replace(
        row,
        same=int(equal.sum()),
        ties=int(tied.sum()),
        difference=float(np.abs(found - expected).max()),
    )


def mediapipe_scores(file: str, pixels: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """MediaPipe Tasks' ``ImageClassifier``, with the labels that the file carries."""
    import mediapipe as mp

    options = mp.tasks.vision.ImageClassifierOptions(
        base_options=mp.tasks.BaseOptions(model_asset_path=file)
    )
    scores = np.zeros((len(pixels), len(names)), np.float32)
    with mp.tasks.vision.ImageClassifier.create_from_options(options) as classifier:
        for row, image in zip(scores, pixels, strict=True):
            answer = classifier.classify(mp.Image(mp.ImageFormat.SRGB, image))
            for category in answer.classifications[0].categories:
                row[names.index(category.category_name)] = category.score
    return scores


def opencv_scores(file: str, pixels: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """OpenCV's DNN module, with the engine that it chooses itself."""
    import cv2

    return _opencv(cv2.dnn.readNetFromONNX(file), pixels, names)


def classic_scores(file: str, pixels: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """OpenCV's DNN module with the engine of OpenCV 4, which has int8 and no float16."""
    import cv2

    return _opencv(cv2.dnn.readNetFromONNX(file, cv2.dnn.ENGINE_CLASSIC), pixels, names)


def _opencv(network: Any, pixels: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    scores = np.empty((len(pixels), len(names)), np.float32)
    for row, image in zip(scores, pixels, strict=True):
        network.setInput(image[None].astype(np.float32))
        row[:] = network.forward(SCORES_NAME)[0]
    return scores


def openvino_scores(file: str, pixels: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """OpenVINO on the CPU, in float32, since some processors make it take bfloat16 instead."""
    import openvino as ov

    core = ov.Core()
    model = core.compile_model(core.read_model(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    output = model.output(SCORES_NAME)
    scores = np.empty((len(pixels), len(names)), np.float32)
    for row, image in zip(scores, pixels, strict=True):
        row[:] = model(image[None].astype(np.float32))[output][0]
    return scores


#: onnxruntime gives its answers with every operator computed as it is defined, too (optimisations
#: off), and OpenCV's classic engine agrees. The new engine agrees only where weights or outputs of
#: the convolutions are left in float, so that it fuses none into int8; weights of 7 bits change
#: nothing, and floating squeeze-and-excitation mends most of it, not all.
_NEW_ENGINE = "OpenCV 5.0.0 gives wrong answers where its new engine fuses int8 convolutions"

PROGRAMS = {
    "MediaPipe": Program("mediapipe", ("tflite-fp32", "tflite-int8"), mediapipe_scores),
    "OpenCV": Program("opencv-contrib-python", _ONNX, opencv_scores, {"onnx-int8": _NEW_ENGINE}),
    "OpenCV classic": Program("opencv-contrib-python", ("onnx-fp32", "onnx-int8"), classic_scores),
    "OpenVINO": Program("openvino", _ONNX, openvino_scores),
}


if __name__ == "__main__":
    main()
