"""Photos on their way through a classifier: decoded on other threads, answered in order.

So a folder costs what the slower of decoding and inference costs. Photos that are decoded and not
yet classified are few, whatever the number of photos.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from operator import length_hint
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .backends.base import BEST, Backend, default_threads
from .errors import ImageError, UsageError
from .manifest import PreprocessSpec
from .meanwhile import FirstPhoto, Pixels
from .prediction import Prediction, predict
from .records import dataclass

if TYPE_CHECKING:
    from .manifest import ModelInfo
    from .preprocess import Photo, Roi

#: Photos that are decoded ahead beside those that the threads work on: enough that one which takes
#: long to decode is not felt, and at 224 pixels 0.6 MB each in float32.
_AHEAD = 2

#: Stands for the number of photos where an iterator does not tell it.
_MANY = 1 << 30

#: Scores as the file gives them, float32 (classes,), and the maps of ``Backend.explain``.
Raw = tuple[np.ndarray, "np.ndarray | None"]


class Decoded(NamedTuple):
    """A photo that is ready for the interpreter, or why it is not."""

    path: str
    tensor: np.ndarray | None  #: as ``Backend.prepare`` gives; the pixels where a map is wanted
    seconds: float  #: from the photo to ``tensor``
    error: ImageError | None = None
    reading: float = 0.0  #: of ``seconds``, until the photo was decoded and upright


@dataclass(frozen=True)
class Inferred:
    """What the network gave for photos, and what answers are made of it with.

    Attributes:
        group: The photos.
        raws: As :func:`infer` gives them.
        info: What the scores mean.
        step: Distance of two neighbouring scores where the output is quantised, else 0.
        share: Seconds that a photo took.
    """

    group: list[Decoded]
    raws: list[Raw | None]
    info: ModelInfo
    step: float
    share: float

    def answers(self, k: int, keep: bool = False) -> list[Prediction]:
        """One for each photo; on any thread.

        Args:
            k: How many of the best classes ``top`` lists.
            keep: Whether answers carry the ``scores`` of all classes.
        """
        return [
            Prediction(decoded.path, error=str(decoded.error))
            if raw is None
            else predict(
                decoded.path, *raw, self.info, self.step, k, decoded.seconds, self.share, keep
            )
            for decoded, raw in zip(self.group, self.raws, strict=True)
        ]


def decode(
    photo: Photo,
    backend: Backend,
    spec: PreprocessSpec,
    roi: Roi | None,
    explain: bool,
    first: FirstPhoto | None = None,
) -> Decoded:
    """From a photo to what :func:`infer` takes; on any thread.

    Args:
        photo: As for :func:`edge_runtime.preprocess.preprocess`.
        backend: The loaded model.
        spec: Size and rule of its input.
        roi: The part of the photo that is looked at.
        explain: Whether the pixels are wanted, of which a map is made.
        first: The photo that was decoded while the model was loaded; another one is not touched.
    """
    from .preprocess import describe, fit, upright  # imported while the model was loaded

    start = time.perf_counter()
    path, reading = describe(photo), 0.0
    found = None if first is None else first.take(photo, spec, roi)
    if found is None:
        try:
            region = upright(photo, spec, roi)
            reading = time.perf_counter() - start
            found = Pixels(fit(region, spec), 0.0)
        except ImageError as error:
            found = Pixels(None, 0.0, error)
    # The cast is work, too, and the interpreter's thread shall do nothing that others can do.
    tensor = found.pixels if explain or found.pixels is None else backend.prepare(found.pixels)
    seconds = found.seconds + time.perf_counter() - start
    return Decoded(path, tensor, seconds, found.error, reading)


def infer(group: list[Decoded], backend: Backend, explain: bool) -> list[Raw | None]:
    """What the network gives for photos; None for one that could not be read.

    Args:
        group: At most as many as share a run, see :func:`run_size`.
        backend: The loaded model.
        explain: Whether maps of the best class are wanted; then :attr:`Decoded.tensor` holds pixels.
    """
    tensors = [decoded.tensor for decoded in group if decoded.tensor is not None]
    if explain:
        # Of a thousand classes, the maps of all would take longer than the inference.
        found: Iterator[Raw] = (backend.explain(pixels, BEST) for pixels in tensors)
    elif len(tensors) > 1:
        rows = backend.run(backend.filled(np.concatenate(tensors)))
        found = ((row, None) for row in rows)
    else:
        found = ((backend.infer(tensor), None) for tensor in tensors)
    return [None if decoded.tensor is None else next(found) for decoded in group]


def classify_in_order(
    photos: Iterable[Photo],
    decode: Callable[[Photo], Decoded],
    answer: Callable[[list[Decoded]], list[Prediction]],
    size: int,
    wait: bool,
    workers: int | None,
) -> Iterator[Prediction]:
    """Decode on other threads, answer on this one.

    Args:
        photos: May be endless; drawn by the threads, unless there is at most one.
        decode: From a photo to what ``answer`` takes.
        answer: The inference of at most ``size`` photos.
        size: Photos a run.
        wait: Whether a run waits until there are as many, or no more, photos. If not, it takes
            what has been decoded already, which suits a model that takes a fixed number: its
            answers do not depend on who shares the run.
        workers: Threads; None for the usable cores, at most 4; 0 decodes on this thread.
    """
    most = length_hint(photos, _MANY)
    if most < 2 or workers == 0:
        for photo in photos:
            yield from answer([decode(photo)])
        return
    from .ahead import Ahead  # one photo needs no threads, and their modules cost its start-up

    workers = min(workers or default_threads(), most)
    with Ahead(decode, photos, workers, workers + max(_AHEAD, size)) as ahead:
        group: list[Decoded] = []
        for decoded in ahead:
            group.append(decoded)
            if len(group) == size or not (wait or ahead.ready()):
                yield from answer(group)
                group = []
        if group:
            yield from answer(group)


def run_size(backend: Backend, batch: int | None, explain: bool) -> int:
    """How many photos share a run of the model.

    Args:
        backend: The loaded model.
        batch: How many are asked for; None for as many as the model takes, if that is fixed.
        explain: Whether heat maps are made, one photo at a time.

    Raises:
        UsageError: The model does not take as many; the message says what does.
    """
    fixed = backend.batch
    if batch is None:
        return 1 if explain or fixed is None else fixed
    if batch < 1:
        raise UsageError(f"batch {batch}: expected 1 or more photos.")
    if explain and batch > 1:
        raise UsageError(f"batch {batch}: heat maps are made one photo at a time; leave it out.")
    if fixed is not None and batch > fixed:
        raise UsageError(
            f"batch {batch}: this model takes {fixed} a run. Leave it out, or export the model "
            f"again with edge-export bundle --batch {batch} or --batch dynamic."
        )
    return batch
