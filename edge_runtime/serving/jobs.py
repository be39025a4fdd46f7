"""What waits for a model's thread: photos, and tensors of the Open Inference Protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import EdgeError, ModelError, first_line
from .problems import ClientGone, Problem, detail_of

if TYPE_CHECKING:
    import numpy as np

    from ..classifier import Classifier
    from ..pipeline import Decoded
    from ..prediction import Prediction
    from .wishes import Wishes

#: How the classifier calls a photo that it was given as bytes.
_NAMELESS = "<memoryview>"


class Job:
    """Something that a model's thread does, and somebody on the event loop waits for.

    Attributes:
        classifier: The model that it was prepared for, which may have been replaced meanwhile.
        future: Of the event loop.
        gone: Whether nobody waits any more: it is left out.
    """

    def __init__(self, classifier: Classifier, loop: asyncio.AbstractEventLoop) -> None:
        self.classifier = classifier
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.gone = False

    def finish(self, found: object) -> None:
        """Hand a result or an exception over; on the event loop."""
        if self.future.done():
            return
        if isinstance(found, BaseException):
            self.future.set_exception(found)
        else:
            self.future.set_result(found)


class PhotoJob(Job):
    """One photo; several may share a run.

    Attributes:
        name: How the client calls it.
        photo: Its bytes; None once they are not needed any more.
        wishes: What is asked for.
        decoded: The tensor, once there is one.
    """

    def __init__(
        self,
        classifier: Classifier,
        loop: asyncio.AbstractEventLoop,
        name: str,
        photo: memoryview,
        wishes: Wishes,
    ) -> None:
        super().__init__(classifier, loop)
        self.name, self.wishes = name, wishes
        self.photo: memoryview | None = photo
        self.decoded: Decoded | None = None

    @property
    def explain(self) -> bool:
        """Whether a heat map is wanted."""
        return self.wishes.heatmap is not None

    def decode(self) -> None:
        """From bytes to a tensor; on a thread of the pool."""
        assert_photo = self.photo if self.photo is not None else b""
        self.decoded = self.classifier.decode(assert_photo, self.wishes.roi, self.explain)
        if not self.explain:
            self.photo = None

    def shares_run_with(self, other: Job) -> bool:
        """Whether both may be one run."""
        return (
            isinstance(other, PhotoJob)
            and other.classifier is self.classifier
            and not self.explain
            and not other.explain
        )

    def named(self, prediction: Prediction) -> Prediction:
        """The answer as this client asked for it."""
        error = prediction.error
        if error is not None:
            # What the client calls it is its own, and put in as it is.
            error = detail_of(error).replace(_NAMELESS, self.name, 1)
        changes: dict[str, Any] = {
            "path": self.name, "error": error, "top": prediction.top[: self.wishes.k],
        }  # fmt: skip
        threshold = self.wishes.threshold
        if threshold is not None and prediction.score is not None:
            certain = prediction.calibrated_score
            changes["unknown"] = (prediction.score if certain is None else certain) < threshold
        return replace(prediction, **changes)


class TensorJob(Job):
    """Tensors that the client has prepared itself."""

    def __init__(
        self,
        classifier: Classifier,
        loop: asyncio.AbstractEventLoop,
        tensor: np.ndarray,
        heatmap: bool,
    ) -> None:
        """Remember them.

        Args:
            classifier: The model.
            loop: The event loop.
            tensor: (n, ...) as the model takes it.
            heatmap: Whether its own heat maps are wanted beside the probabilities.
        """
        super().__init__(classifier, loop)
        self.tensor, self.heatmap = tensor, heatmap

    def run(self, most: int, begun: Callable[[], None]) -> dict[str, np.ndarray]:
        """All outputs; on the model's thread.

        Args:
            most: Photos a run.
            begun: Told of each run, of which there may be many.

        Raises:
            ClientGone: Nobody waits for the rest any more.
        """
        import numpy as np

        from ..postprocess import probabilities

        backend, output = self.classifier.backend, self.classifier.info.output
        scores, maps = [], []
        for start in range(0, len(self.tensor), most):
            if self.gone:
                raise ClientGone
            begun()
            chunk = self.tensor[start : start + most]
            filled = backend.filled(chunk)
            if self.heatmap:
                raw, found = backend.run_with_maps(filled)
                maps.append(found[: len(chunk)])
            else:
                raw = backend.run(filled)
            scores.append(probabilities(raw[: len(chunk)], output))
        found_all = {"probabilities": np.concatenate(scores)}
        if self.heatmap:
            found_all["heatmap"] = np.concatenate(maps)
        return found_all


def refused(error: BaseException, explain: bool) -> Exception:
    """What the client is told of an inference that failed, in whatever way."""
    if isinstance(error, ModelError) and explain:
        return Problem(422, f"No heat map: {detail_of(error)} Leave heatmap out.")
    if isinstance(error, EdgeError):
        return Problem(500, f"The inference failed: {detail_of(error)}")
    if isinstance(error, MemoryError):
        return Problem(503, "No memory is left for this request.", {"retry-after": "1"})
    if isinstance(error, Exception):
        name = type(error).__name__
        return Problem(500, f"The inference failed: {name}: {detail_of(first_line(error))}")
    return Problem(500, f"The inference failed: {type(error).__name__}.")
