"""What runs on another thread while an interpreter loads its model, which holds no lock of Python.

Loading a model and decoding a photo take about as long, and a command that classifies one photo
needs both: on two cores the shorter of the two is free.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from .errors import ImageError

if TYPE_CHECKING:
    import numpy as np

    from .manifest import PreprocessSpec
    from .preprocess import Photo, Roi

#: What the first photo needs and the model does not.
PHOTO_MODULES = ("edge_runtime.preprocess", "PIL.JpegImagePlugin")


class Pixels(NamedTuple):
    """A photo that was decoded, or why it could not be."""

    pixels: np.ndarray | None  #: uint8 (height, width, 3)
    seconds: float  #: that it took
    error: ImageError | None = None


class FirstPhoto:
    """A photo that will be asked for once the model is loaded."""

    def __init__(self, photo: Photo, roi: Roi | None = None) -> None:
        """Name it; nothing is read yet.

        Args:
            photo: As for :func:`edge_runtime.preprocess.preprocess`.
            roi: The part that will be looked at.
        """
        self._photo, self._roi = photo, roi
        self._spec: PreprocessSpec | None = None
        self._found: Pixels | None = None

    def decode(self, spec: PreprocessSpec) -> None:
        """Decode it; whatever is not the photo's fault is left for whoever asks for it."""
        from .preprocess import preprocess

        start, self._spec = time.perf_counter(), spec
        try:
            pixels = preprocess(self._photo, spec, self._roi)
        except ImageError as error:
            self._found = Pixels(None, time.perf_counter() - start, error)
        else:
            self._found = Pixels(pixels, time.perf_counter() - start)

    def take(self, photo: Photo, spec: PreprocessSpec, roi: Roi | None) -> Pixels | None:
        """What :meth:`decode` gave, if it was of this photo, and once only."""
        if photo is not self._photo or roi != self._roi or spec != self._spec:
            return None
        found, self._found = self._found, None
        return found


@contextlib.contextmanager
def meanwhile(
    first: FirstPhoto | None = None, spec: PreprocessSpec | None = None
) -> Iterator[None]:
    """Import :data:`PHOTO_MODULES` and decode a photo on another thread during the block.

    Args:
        first: The photo; None to import only.
        spec: How it is brought to the network's input; None if that is not known yet.
    """
    missing = [name for name in PHOTO_MODULES if name not in sys.modules]
    if not missing and (first is None or spec is None):
        yield
        return
    thread = threading.Thread(target=_work, args=(missing, first, spec), daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _work(names: list[str], first: FirstPhoto | None, spec: PreprocessSpec | None) -> None:
    # Whoever needs what failed here does it again, and says what is wrong.
    with contextlib.suppress(Exception):
        for name in names:
            importlib.import_module(name)
        if first is not None and spec is not None:
            first.decode(spec)
