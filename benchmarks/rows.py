"""One row of the result: the figures of a configuration, out of what its processes answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from edge_runtime.manifest import Artifact

from .timing import percentile, summarize, to_ms

#: What TensorFlow decides for itself: these formats are measured once, not once a thread count.
OWN_THREADS = frozenset({"saved_model"})


@dataclass
class Configuration:
    """One row in the making.

    Attributes:
        artifact: The model file.
        threads: Interpreter threads; None where the interpreter decides.
        answers: What its process answered in each round.
        skipped: Why it was not measured, where that is no failure.
        error: Why it failed.
    """

    artifact: Artifact
    threads: int | None
    answers: list[dict[str, Any]] = field(default_factory=list)
    skipped: str | None = None
    error: str | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        if self.threads is None:
            return self.artifact.format
        return f"{self.artifact.format}, {self.threads} thread{'s' * (self.threads > 1)}"


@dataclass(frozen=True)
class Accuracy:
    """What one format made of the labelled photos.

    Attributes:
        photos: How many could be read.
        correct: How many of these had the right label first.
        unreadable: How many were left out.
    """

    photos: int
    correct: int
    unreadable: int

    @property
    def accuracy(self) -> float | None:
        """Share of the readable photos that were right, 0..1."""
        return self.correct / self.photos if self.photos else None


def make_row(configuration: Configuration, accuracy: Accuracy | None) -> dict[str, Any]:
    """The JSON object of one configuration.

    Percentiles are over the pooled samples of all rounds; ``rounds_p50_ms`` has each round's
    own, so that a drift shows. Import, load and first inference are the smallest of the rounds
    (the first one may have read the file from the disk), memory is the largest, prepare and
    end to end are the mean of the rounds' medians.
    """
    artifact = configuration.artifact
    measured = not (configuration.error or configuration.skipped)
    answers = configuration.answers if measured else []

    def over(key: str, combine: Callable[[list[Any]], Any]) -> Any:
        values = [answer[key] for answer in answers if answer[key] is not None]
        return combine(values) if values else None

    samples = [sample for answer in answers for sample in answer["samples_ns"]]
    latency: dict[str, Any] = dict.fromkeys(
        ("runs", "min_ms", "mean_ms", "p50_ms", "p90_ms", "p99_ms", "max_ms")
    )
    if samples:
        latency = summarize(samples)
    return {
        "format": artifact.format,
        "file": artifact.file,
        "quantization": artifact.quantization,
        "parity_passed": artifact.passed,
        "threads": configuration.threads,
        "threads_note": "TensorFlow's own" if artifact.format in OWN_THREADS else None,
        "interpreter": answers[0]["interpreter"] if answers else None,
        "size_bytes": artifact.bytes,
        "import_ms": over("import_ms", min),
        "load_ms": over("load_ms", min),
        "first_inference_ms": over("first_inference_ms", min),
        **latency,
        "rounds_p50_ms": [to_ms(percentile(sorted(a["samples_ns"]), 50)) for a in answers],
        "prepare_ms": over("prepare_ms", _mean),
        "end_to_end_ms": over("end_to_end_ms", _mean),
        "peak_memory_bytes": over("peak_memory_bytes", max),
        "resident_memory_bytes": over("resident_memory_bytes", max),
        "accuracy": accuracy.accuracy if accuracy else None,
        "correct": accuracy.correct if accuracy else None,
        "photos": accuracy.photos if accuracy else None,
        "unreadable": accuracy.unreadable if accuracy else None,
        "skipped": configuration.skipped,
        "error": configuration.error,
    }


def _mean(values: list[float]) -> float:
    return round(sum(values) / len(values), 4)
