"""What is compared with what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Inputs:
    """What the scripts are given.

    Attributes:
        shared: Real photos and weights.
        run: A finished training on them.
        bundle: Its export: tflite-fp32, tflite-int8, onnx-fp32.
        quick: Whether few rounds will do.
    """

    shared: Path
    run: Path
    bundle: Path
    quick: bool

    @property
    def video(self) -> Path:
        """Bottles on a table, one lifted out."""
        return self.shared / "video" / "bottle-detection.mp4"

    def rounds(self, option: str, quick: int = 3) -> list[str]:
        """An option that shortens a script where it has to be quick."""
        return [option, str(quick)] if self.quick else []


@dataclass(frozen=True)
class Comparison:
    """One script, with what it needs.

    Attributes:
        name: For ``--only``.
        peer: Whom this toolkit is compared with.
        question: What the script asks.
        module: The script.
        arguments: From the inputs to its arguments.
        shown_arguments: The same as a reader of the results would type them.
        environment: Name of one of ``ENVIRONMENTS`` that it runs in; None for this one.
        peer_python: Whether the script runs here, and its peer in that environment.
        minutes: About how long it takes on two cores.
    """

    name: str
    peer: str
    question: str
    module: str
    arguments: Callable[[Inputs], list[str]]
    shown_arguments: tuple[str, ...]
    minutes: float
    environment: str | None = None
    peer_python: bool = False


def _peer(name: str, program: str, environment: str) -> Comparison:
    return Comparison(
        name,
        program,
        "one photo from start to exit, and a photo of many, each program as it is used",
        "benchmarks.perf.peer_speed",
        lambda i: [name, str(i.bundle), "--shared", str(i.shared), *i.rounds("--pairs")],
        (name, "bundle"),
        6,
        environment,
        peer_python=True,
    )


COMPARISONS = (
    Comparison(
        "startup",
        "a bare script (numpy, Pillow, the interpreter)",
        "one photo, cold: time from start to exit, and peak memory",
        "benchmarks.perf.startup",
        lambda i: [str(i.bundle), "--shared", str(i.shared), *i.rounds("--runs")],
        ("bundle",),
        2,
    ),
    Comparison(
        "folder",
        "the interpreter alone; a plain loop of Pillow and the interpreter",
        "photos a second of a folder, and of 12-megapixel photos",
        "benchmarks.perf.folder_speed",
        lambda i: [str(i.bundle), "--shared", str(i.shared), *i.rounds("--rounds", 1)],
        ("bundle",),
        6,
    ),
    Comparison(
        "bench",
        "a loop by hand around the same interpreter",
        "the medians that edge-bench reports",
        "benchmarks.perf.bare_loop",
        lambda i: [str(i.bundle), *i.rounds("--pairs", 40)],
        ("bundle",),
        6,
    ),
    _peer("mediapipe", "MediaPipe Tasks", "mediapipe"),
    _peer("opencv", "OpenCV DNN", "opencv"),
    _peer("openvino", "OpenVINO", "openvino"),
    _peer("ultralytics", "Ultralytics classify", "ultralytics"),
    Comparison(
        "same-answers",
        "MediaPipe Tasks, OpenCV DNN, OpenVINO",
        "labels and scores of the exported files on the same pixels",
        "benchmarks.perf.other_programs",
        lambda i: [str(i.bundle), str(i.shared / "data" / "groceries" / "test")],
        ("bundle", "SHARED/data/groceries/test"),
        1,
        "programs",
    ),
    Comparison(
        "foreign-model",
        "MediaPipe Tasks",
        "labels and scores of Coral's MobileNetV2 with nothing but its own metadata",
        "benchmarks.perf.foreign_model",
        lambda i: ["--shared", str(i.shared)],
        (),
        1,
        "programs",
    ),
    Comparison(
        "heat-maps",
        "Grad-CAM on the Keras model",
        "correlation of the maps of exported files, and what a map costs",
        "benchmarks.perf.heatmap_cost",
        lambda i: [str(i.run), str(i.bundle), *i.rounds("--photos", 8)],
        ("runs/groceries", "bundle"),
        3,
    ),
    Comparison(
        "stream-speed",
        "the interpreter alone",
        "answers a second of a stream",
        "benchmarks.perf.stream_speed",
        lambda i: [str(i.bundle), "--shared", str(i.shared), *i.rounds("--pairs")],
        ("bundle",),
        4,
    ),
    Comparison(
        "stream-lag",
        "a loop of cv2.VideoCapture.read()",
        "how old frames are, of a camera of 30 a second and an inference of 100 ms",
        "benchmarks.perf.stream_lag",
        lambda i: [str(i.bundle), "--video", str(i.video), *i.rounds("--minutes", 1)],
        ("bundle", "--video SHARED/video/bottle-detection.mp4"),
        25,
    ),
    Comparison(
        "serving",
        "edge-classify image; Classifier in process",
        "photos a second of eight clients, and the latency of one",
        "benchmarks.perf.serve_load",
        lambda i: [
            *(str(i.bundle), "--shared", str(i.shared)),
            *("--seconds", "10", "--requests", "2000"),
            *i.rounds("--rounds", 1),
        ],
        ("bundle", "--seconds 10", "--requests 2000"),
        4,
    ),
    Comparison(
        "augmentation",
        "Keras's augmentation layers",
        "milliseconds of a batch for the same ranges",
        "benchmarks.perf.augment_speed",
        lambda i: ["--shared", str(i.shared), *i.rounds("--rounds")],
        (),
        2,
    ),
    Comparison(
        "training",
        "a plain Keras recipe",
        "time of the head's phase, and accuracy, over three seeds",
        "benchmarks.perf.against_plain",
        lambda i: ["--shared", str(i.shared), "--seeds", "1" if i.quick else "3"],
        (),
        40,
    ),
)
