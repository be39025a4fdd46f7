"""A readable line, or a JSON object, on standard output."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ...output.plain import visible
from ...output.sink import to_stdout
from ...output.text import format_answer
from ..results import Event, FrameResult
from ..summary import summarize
from .base import Output

#: What is printed: answers of frames, what happened, or both.
PRINTED = ("frames", "events", "all")


class Lines(Output):
    """Writes to standard output."""

    name = "stdout"
    wants_pictures = False
    lossless = True
    vital = True
    capacity = 64

    def __init__(self, as_json: bool, printed: str, threshold: float | None) -> None:
        """Choose the form.

        Args:
            as_json: Whether lines are JSON objects.
            printed: One of :data:`PRINTED`.
            threshold: Of "unknown", to be named.
        """
        self._as_json, self._threshold = as_json, threshold
        self.wants_results = printed != "events"
        self._events = printed != "frames"

    def result(self, result: FrameResult) -> None:
        """One line a frame."""
        if self._as_json:
            self._write(json.dumps(result.to_dict()))
            return
        prediction = result.prediction
        if prediction.error is not None:
            said = f"error: {prediction.error}"
        else:
            said = format_answer(prediction, self._threshold)
        self._write(f"frame {result.frame.number}: {said}  age {result.age_ms:.0f} ms")

    def event(self, event: Event) -> None:
        """One line an event."""
        if event.kind == "reload" and event.data["ok"]:
            self._threshold = event.data["unknown_threshold"]
        if not self._events:
            return
        if self._as_json:
            self._write(json.dumps(event.to_dict()))
        else:
            self._write(f"{event.kind}: {_READABLE[event.kind](event.data)}")

    def _write(self, text: str) -> None:
        to_stdout(f"{visible(text)}\n")


def _label(data: dict[str, Any]) -> str:
    """The new label, since which frame, and what stood before."""
    label = "unknown" if data["unknown"] else data["label"]
    place = "" if data["seconds"] is None else f" at {data['seconds']:.2f} s"
    before = ""
    if data["previous"] is not None:
        before = f", after {data['previous']} for {data['stood_s']:.1f} s"
    return f"{label} {data['score']:.3f}, frame {data['frame']}{place}{before}"


def _source(data: dict[str, Any]) -> str:
    """Its state; of a lost one why, and when it is tried again."""
    if data.get("reason") is None:
        return str(data["state"])
    wait = data.get("retry_in_s")
    again = "Given up." if wait is None else f"Again in {wait:.1f} s (attempt {data['attempt']})."
    return f"{data['state']}: {data['reason']} {again}"


def _reload(data: dict[str, Any]) -> str:
    """Whether the new model is in use."""
    if not data["ok"]:
        return f"the model stays as it was: {data['error']}"
    return f"done in {data['seconds']:.1f} s: {data['format']}, {data['classes']} classes"


def _stop(data: dict[str, Any]) -> str:
    """Why, and what the run came to."""
    return f"{data['reason']}: {data['error'] or summarize(data)}"


#: What a line says of each kind of event.
_READABLE: dict[str, Callable[[dict[str, Any]], str]] = {
    "label": _label,
    "source": _source,
    "reload": _reload,
    "stop": _stop,
}
