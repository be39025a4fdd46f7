"""What a stream tells: the answer for a frame, and what happened."""

from __future__ import annotations

import datetime
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..prediction import Prediction
from ..sources.base import Frame

if TYPE_CHECKING:
    from ..manifest import PreprocessSpec
    from ..preprocess import Roi


@dataclass(frozen=True)
class Steady:
    """The label that stands, after smoothing and hysteresis.

    Attributes:
        label: Class name; None while nothing is decided yet, and while it is unknown.
        index: Its class index, or None.
        unknown: Whether the state is "unknown": no class is certain enough.
        score: Smoothed score of ``label`` (of the best class while unknown), 0..1.
        since: Seconds since the epoch at which the frame arrived that began this state.
        frame: Number of that frame.
        changed: Whether this very frame changed the state.
        previous: The :attr:`state` before this one; None for the first.
        stood_s: Seconds that it stood, on the clock that answers are smoothed on; None for the
            first.
    """

    label: str | None
    index: int | None
    unknown: bool
    score: float
    since: float
    frame: int
    changed: bool = False
    previous: str | None = None
    stood_s: float | None = None

    @property
    def state(self) -> str | None:
        """The label, ``"unknown"``, or None while nothing is decided yet."""
        return "unknown" if self.unknown else self.label

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "label": self.label,
            "index": self.index,
            "unknown": self.unknown,
            "score": round(self.score, 6),
            "since": iso_time(self.since),
            "frame": self.frame,
        }

    def change(self) -> dict[str, Any]:
        """The JSON object of the "label" event: the state, and the one that it follows."""
        stood = None if self.stood_s is None else round(self.stood_s, 3)
        return self.to_dict() | {"previous": self.previous, "stood_s": stood}


@dataclass(frozen=True)
class FrameResult:
    """The answer for one frame.

    Attributes:
        prediction: As for a photo; ``path`` is the source, or the file of a picture. Its ``ms``
            are ``decode``, ``preprocess``, ``infer``, ``postprocess`` and their ``total``.
            ``explanation`` is set while somebody asks for heat maps.
        frame: The frame that was classified.
        age_ms: Its age in milliseconds when inference started.
        steady: The label that stands after this frame; None without smoothing.
        spec: The preprocessing that the network saw the frame through; places a heat map on it.
        roi: The part of the frame that was looked at; None for all of it.
    """

    prediction: Prediction
    frame: Frame
    age_ms: float
    steady: Steady | None = None
    spec: PreprocessSpec | None = None
    roi: Roi | None = None

    def with_steady(self, steady: Steady | None) -> FrameResult:
        """The same with the label that stands; lighter than ``dataclasses.replace``."""
        return FrameResult(self.prediction, self.frame, self.age_ms, steady, self.spec, self.roi)

    def without_picture(self) -> FrameResult:
        """The same without the frame's pixels, for a queue in which many may wait."""
        frame = self.frame.without_picture()
        return FrameResult(self.prediction, frame, self.age_ms, self.steady, self.spec, self.roi)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that ``--json`` prints."""
        extra = {
            "frame": self.frame.number,
            "time": iso_time(self.frame.time),
            "seconds": self.frame.seconds,
            "age_ms": round(self.age_ms, 3),
            "steady": None if self.steady is None else self.steady.to_dict(),
        }
        return self.prediction.to_dict() | extra


@dataclass(frozen=True)
class Event:
    """Something that happened, to be told to whoever listens.

    Attributes:
        kind: ``label`` (the steady label changed), ``source`` (opened, lost, stalled, ended),
            ``reload`` (the model was loaded anew, or could not be) or ``stop``.
        data: JSON values that say more; see docs/json.md for each kind.
        time: Seconds since the epoch.
        result: The frame that caused it, with its picture; None where none did.
    """

    kind: str
    data: dict[str, Any]
    time: float = field(default_factory=time.time)
    result: FrameResult | None = None

    def without_picture(self) -> Event:
        """The same without the frame's pixels."""
        if self.result is None:
            return self
        return Event(self.kind, self.data, self.time, self.result.without_picture())

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that outputs write."""
        return {"event": self.kind, "time": iso_time(self.time), **self.data}


def iso_time(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339 writes a time, in UTC, to the millisecond."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.isoformat(timespec="milliseconds")
