"""``--csv``: a row a frame, or a row an event, added to a file as they come.

CSV as :mod:`edge_runtime.output.rows` writes it. A file of an earlier run is added to, if it has
the same columns; a row is written in one piece, so that a kill cuts at most the last one.
"""

from __future__ import annotations

import contextlib
import json

from ...errors import SystemFailure
from ...output.rows import csv_line, safe_path, safe_text
from ...output.sink import appended
from ..results import Event, FrameResult, iso_time
from .base import Output

#: What a row is.
ROWS = ("frames", "events")

_TIMES = ("decode", "preprocess", "infer", "postprocess", "total")

FRAME_COLUMNS = (
    "time", "frame", "seconds", "age_ms", "path", "label", "index", "score", "calibrated_score",
    "unknown", "state", "state_score", "state_since", *(f"ms_{name}" for name in _TIMES), "error",
)  # fmt: skip

EVENT_COLUMNS = ("time", "event", "state", "label", "index", "score", "frame", "details")


class CsvFile(Output):
    """Adds rows to a file."""

    name = "csv"
    wants_pictures = False
    lossless = True
    capacity = 64

    def __init__(self, path: str, rows: str = "frames", overwrite: bool = False) -> None:
        """Open the file.

        Args:
            path: Made if it is not there.
            rows: One of :data:`ROWS`.
            overwrite: Whether what the file holds is dropped.

        Raises:
            UsageError: It holds something else.
            SystemFailure: It cannot be opened or written.
        """
        self.wants_results = rows == "frames"
        head = csv_line(FRAME_COLUMNS if self.wants_results else EVENT_COLUMNS)
        self._stack = contextlib.ExitStack()
        try:
            self._write = self._stack.enter_context(appended(path, head, head, overwrite))
        except IsADirectoryError as error:
            raise SystemFailure(f"{path}: is a folder; the name of a file was expected.") from error

    def result(self, result: FrameResult) -> None:
        """A row of a frame."""
        self._write(csv_line(_frame_row(result)))

    def event(self, event: Event) -> None:
        """A row of an event."""
        if not self.wants_results:
            self._write(csv_line(_event_row(event)))

    def close(self) -> None:
        """Close the file."""
        self._stack.close()


def _frame_row(result: FrameResult) -> list[object]:
    answer, frame, steady = result.prediction, result.frame, result.steady
    times = answer.ms or {}
    return [
        iso_time(frame.time),
        frame.number,
        frame.seconds,
        round(result.age_ms, 3),
        safe_path(answer.path),
        None if answer.label is None else safe_text(answer.label),
        answer.index,
        answer.score,
        answer.calibrated_score,
        _truth(answer.unknown),
        None if steady is None or steady.state is None else safe_text(steady.state),
        None if steady is None else round(steady.score, 6),
        None if steady is None else iso_time(steady.since),
        *(times.get(name) for name in _TIMES),
        None if answer.error is None else safe_text(answer.error),
    ]


def _event_row(event: Event) -> list[object]:
    data = dict(event.data)
    unknown, label = data.pop("unknown", None), data.pop("label", None)
    state = "unknown" if unknown else label if event.kind == "label" else data.pop("state", None)
    known = [data.pop(key, None) for key in ("index", "score", "frame")]
    return [
        iso_time(event.time),
        event.kind,
        None if state is None else safe_text(str(state)),
        None if label is None else safe_text(label),
        *known,
        json.dumps(data) if data else None,
    ]


def _truth(value: bool | None) -> str | None:
    return None if value is None else str(value).lower()
