"""Event files for TensorBoard, written with the package ``tensorboard`` alone.

``tf.summary`` needs TensorFlow, and so does ``tensorboard.summary.Writer`` where TensorFlow is
installed; the records themselves (Event messages of TensorBoard's own ``event.proto``, framed as
TFRecord) need neither, so that there is one way for every backend.
"""

from __future__ import annotations

import io
import itertools
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from edge_runtime import rundir

from ..packages import import_module

_numbers = itertools.count()


class EventFile:
    """One event file; what was added is on disk when a method returns."""

    def __init__(self, folder: Path, first_step: int = 0) -> None:
        """Begin a file.

        Args:
            folder: Of one run of TensorBoard, made if it is missing.
            first_step: Where a training goes on; TensorBoard forgets this step and the later ones
                of the files that are there already. 0 for a new training.

        Raises:
            MissingComponent: tensorboard is not installed.
        """
        self._event = _module("compat.proto.event_pb2")
        self._summary = _module("compat.proto.summary_pb2")
        records = _module("summary.writer.record_writer")
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads files in the order of their names, and looks for "tfevents".
        # So a second file of the same second has a later name.
        before = [int(path.name.split(".")[3]) for path in folder.glob("events.out.tfevents.*.*")]
        stamp = max([int(time.time()), *(second + 1 for second in before)])
        name = f"{stamp:010d}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
        # Buffered, so that a record reaches the disk whole with one flush.
        self._stream = open(folder / f"events.out.tfevents.{name}", "xb")  # noqa: SIM115
        self._records = records.RecordWriter(self._stream)
        self._add(0, file_version="brain.Event:2")
        if first_step:
            start = self._event.SessionLog(status=self._event.SessionLog.START)
            self._add(first_step, session_log=start)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Add numbers under their names."""
        self._write([{"tag": tag, "simple_value": float(v)} for tag, v in values.items()], step)

    def picture(self, tag: str, png: bytes, step: int) -> None:
        """Add a PNG."""
        width, height = Image.open(io.BytesIO(png)).size
        image = self._summary.Summary.Image(
            width=width, height=height, colorspace=3, encoded_image_string=png
        )
        self._write([{"tag": tag, "image": image}], step)

    def text(self, tag: str, text: str, step: int) -> None:
        """Add a text, in Markdown."""
        tensors = _module("compat.proto.tensor_pb2")
        types = _module("compat.proto.types_pb2")
        metadata = _module("plugins.text.metadata").create_summary_metadata(None, None)
        tensor = tensors.TensorProto(dtype=types.DT_STRING, string_val=[text.encode()])
        self._write([{"tag": tag, "tensor": tensor, "metadata": metadata}], step)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _write(self, values: list[dict[str, Any]], step: int) -> None:
        found = [self._summary.Summary.Value(**value) for value in values]
        self._add(step, summary=self._summary.Summary(value=found))

    def _add(self, step: int, **content: Any) -> None:
        event = self._event.Event(wall_time=time.time(), step=step, **content)
        self._records.write(event.SerializeToString())
        self._stream.flush()


class TensorBoardLog:
    """A training in ``tensorboard/train`` and ``tensorboard/validation`` of its folder."""

    def __init__(self, folder: Path, known: int) -> None:
        """Begin, or go on after ``known`` epochs.

        Raises:
            MissingComponent: tensorboard is not installed.
        """
        first = known + 1 if known else 0
        self._files = {
            part: EventFile(folder / rundir.TENSORBOARD / part, first)
            for part in ("train", "validation")
        }
        self._phase: str | None = None

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Add a row of ``history.csv``."""
        step, phase = int(row["epoch"]), str(row["phase"])
        if phase != self._phase:
            self._phase = phase
            self._files["train"].text("phase", f"{phase}, from epoch {step}", step)
        validation, train = divide(row)
        self._files["train"].scalars(train, step)
        self._files["validation"].scalars(validation, step)

    def picture(self, name: str, png: bytes, step: int) -> None:
        """Add a picture of the finished training."""
        self._files["validation"].picture(name, png, step)

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()


def divide(row: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, float]]:
    """The figures of a row of ``history.csv``: those of validation, without ``val_``, and others."""
    figures = {key: value for key, value in row.items() if key not in ("epoch", "phase")}
    validation = {k.removeprefix("val_"): v for k, v in figures.items() if k.startswith("val_")}
    return validation, {k: v for k, v in figures.items() if not k.startswith("val_")}


def _module(name: str) -> Any:
    return import_module(f"tensorboard.{name}", "tensorboard", "write TensorBoard's event files")
