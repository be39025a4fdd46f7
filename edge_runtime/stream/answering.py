"""From a frame to its answer: prepared on the feed's thread, inferred, and told on the loop's."""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeGuard

from ..backends.base import Backend
from ..classifier import Classifier
from ..errors import EdgeError, ModelError, first_line, system_failure
from ..pipeline import Decoded, Inferred
from ..prediction import Prediction
from ..preprocess import Roi
from ..sources.base import BadFrame, Frame
from .results import FrameResult
from .status import Status

if TYPE_CHECKING:
    from .feed import Prepared

_log = logging.getLogger("edge_runtime")

#: Inferences in a row that may fail; a driver that lost its device once may find it again.
_FAILURES = 10


class Tensor(Decoded):
    """A frame's tensor, and which model it was made for, with a heat map or without.

    Attributes:
        backend: The model.
        explains: Whether it is the pixels, of which a heat map is made.
    """

    backend: Backend | None = None
    explains: bool = False


@dataclass(frozen=True)
class Outcome:
    """What an inference gave for a frame, before it is made an answer.

    Attributes:
        prepared: The frame as the feed gave it.
        tensor: What the network saw, and which model it was made for.
        age_ms: The frame's age in milliseconds when inference started.
        found: The scores, or why there are none.
    """

    prepared: Prepared
    tensor: Tensor
    age_ms: float
    found: Inferred | Exception


class Answering:
    """Prepares frames and answers them; the model may change in between."""

    def __init__(
        self,
        classifier: Classifier,
        name: str,
        k: int,
        roi: Roi | None,
        keep: bool,
        wants_maps: Callable[[], bool],
        status: Status,
    ) -> None:
        """Remember what is asked of it.

        Args:
            classifier: The model.
            name: Of the source, for the answers.
            k: How many of the best classes each answer lists.
            roi: The part of each frame that is looked at.
            keep: Whether answers carry the scores of all classes.
            wants_maps: Whether somebody asks for heat maps just now.
            status: Where failures are counted.
        """
        self._classifier, self._name, self._k, self._roi = classifier, name, k, roi
        self._keep, self._wants_maps = keep, wants_maps
        self._status = status
        # The model that turned out to have no heat map; it may be replaced, and has to be free then.
        self._mapless: weakref.ref[Backend] | None = None
        self._failed = 0

    def prepare(self, frame: Frame) -> Tensor:
        """The tensor of a frame; any thread.

        Raises:
            BadFrame: It is damaged.
        """
        while True:
            backend, explains = self._classifier.backend, self._explains()
            try:
                decoded = self._classifier.decode(frame.photo, self._roi, explains)
            except Exception:
                if self._classifier.backend is backend:
                    raise
                continue  # the model changed meanwhile, and halves of two do not fit
            if self._classifier.backend is backend:
                break
        if decoded.error is not None:
            raise BadFrame(str(decoded.error))
        tensor = Tensor(*decoded._replace(path=frame.path or self._name))
        tensor.backend, tensor.explains = backend, explains
        return tensor

    def infer(self, prepared: Prepared) -> Outcome:
        """Run the network; on any thread, the classifier takes one at a time.

        Raises:
            BadFrame: The frame had to be prepared anew, and is damaged.
        """
        frame, decoded = prepared.frame, prepared.decoded
        tensor = decoded if self._fits(decoded) else self.prepare(frame)
        explain = tensor.explains
        age_ms = (time.monotonic() - frame.captured) * 1000
        try:
            found = self._classifier.infer([tensor], explain)
            return Outcome(prepared, tensor, age_ms, found)
        except Exception as error:
            if explain and isinstance(error, ModelError):
                if tensor.backend is not None:
                    self._mapless = weakref.ref(tensor.backend)
                _log.warning("no heat maps: %s", error)
                return self.infer(prepared)
            return Outcome(prepared, tensor, age_ms, error)

    def answer(self, outcome: Outcome) -> FrameResult:
        """Make an answer of what an inference gave; on the loop's thread.

        What was prepared for a model that was replaced since is inferred anew: the old model gave it,
        or the new one out of the old one's tensor.

        Returns:
            The answer; with its ``error`` where the inference failed.

        Raises:
            BadFrame: The frame had to be prepared anew, and is damaged.
            ModelError: The inference failed too often in a row.
        """
        if outcome.tensor.backend is not self._classifier.backend:
            outcome = self.infer(outcome.prepared)
        frame, found = outcome.prepared.frame, outcome.found
        if isinstance(found, Exception):
            return FrameResult(self._failure(found, frame), frame, outcome.age_ms)
        self._failed = 0
        prediction = _timed(found.answers(self._k, self._keep)[0], frame, outcome.tensor)
        spec = found.info.preprocess
        return FrameResult(prediction, frame, outcome.age_ms, spec=spec, roi=self._roi)

    def _explains(self) -> bool:
        mapless = None if self._mapless is None else self._mapless()
        return self._wants_maps() and self._classifier.backend is not mapless

    def _fits(self, tensor: Decoded) -> TypeGuard[Tensor]:
        return (
            isinstance(tensor, Tensor)
            and tensor.backend is self._classifier.backend
            and tensor.explains == self._explains()
        )

    def _failure(self, error: Exception, frame: Frame) -> Prediction:
        self._failed += 1
        self._status.count("inference_failures")
        known = error if isinstance(error, EdgeError) else system_failure(error)
        reason = str(known) if known is not None else f"{type(error).__name__}: {first_line(error)}"
        if self._failed == 1:
            _log.warning("the inference failed: %s", reason)
        if self._failed >= _FAILURES:
            if known is not None:
                raise known from error
            raise ModelError(
                f"{self._name}: the inference failed {self._failed} times in a row ({reason}). "
                "Try another --format, --interpreter or --delegate; edge-classify doctor says "
                "which work here."
            ) from error
        return Prediction(frame.path or self._name, error=f"the inference failed: {reason}")


def _timed(prediction: Prediction, frame: Frame, tensor: Decoded) -> Prediction:
    """The answer with the times of a frame: what a source decoded, the preprocessing did not."""
    ms = prediction.ms or {}
    reading = tensor.reading * 1000 if isinstance(frame.photo, bytes) else 0.0
    decoding = frame.decode_ms + reading
    preprocessing = tensor.seconds * 1000 - reading
    infer = ms.get("infer", 0.0)
    post = max(ms.get("total", 0.0) - ms.get("decode", 0.0) - infer, 0.0)
    times = {
        "decode": decoding,
        "preprocess": preprocessing,
        "infer": infer,
        "postprocess": post,
        "total": decoding + preprocessing + infer + post,
    }
    return replace(prediction, ms={name: round(value, 3) for name, value in times.items()})
