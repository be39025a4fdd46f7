"""One picture a photo that shows where the network looked, in a folder of its own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..errors import ImageError, ModelError
from ..files import refuse_existing, system_failures
from ..heatmap import save_overlay
from ..photos.file import read_photo
from ..sorting.moving import numbered, shortened

if TYPE_CHECKING:
    from ..manifest import PreprocessSpec
    from ..photos.finding import Found
    from ..prediction import Prediction
    from ..preprocess import Roi


class Overlays:
    """Writes ``DIR/<the photo's place below the folder that was named>.heatmap.jpg``."""

    def __init__(
        self,
        folder: str,
        spec: PreprocessSpec,
        *,
        roi: Roi | None = None,
        overwrite: bool = False,
        endless: bool = False,
    ) -> None:
        """Check the folder.

        Args:
            folder: Made with the first picture.
            spec: The preprocessing that the network sees photos through.
            roi: The part of each photo that is looked at.
            overwrite: Whether pictures of an earlier run are replaced.
            endless: Whether the run has no end and may have been started before; then nothing is
                refused, and a name that is taken gets a number.

        Raises:
            OutputExists: Something is in it.
        """
        if not endless:
            refuse_existing(folder, overwrite)
        self._folder, self._spec, self._roi, self._overwrite = folder, spec, roi, overwrite
        # Names of this run, of which none may replace another; an endless one keeps no list.
        self._names: set[str] | None = None if endless else set()

    def write(self, found: Found, prediction: Prediction) -> str | None:
        """Draw one photo; gives the file, or None for a photo that could not be read.

        Raises:
            ImageError: The photo vanished meanwhile.
            SystemFailure: Disk full or no permission.
        """
        if prediction.error is not None:
            return None
        explanation = prediction.explanation
        if explanation is None:
            raise ModelError("--heatmap: this model gives no heat map.")
        try:
            photo, _ = read_photo(found.path)  # as bytes: what was warned of is not repeated
        except ImageError as error:
            raise ImageError(f"{found.path}: vanished before its heat map was drawn.") from error
        folder, name = os.path.split(found.below)
        target = self._free(os.path.join(self._folder, folder, f"{shortened(name)}.heatmap.jpg"))
        with system_failures(target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            save_overlay(photo, explanation, self._spec, target, roi=self._roi, overwrite=True)
        return target

    def _free(self, path: str) -> str:
        names = numbered(path)
        while True:
            name = next(names)
            mine = self._names is not None and name in self._names
            if mine or (not self._overwrite and os.path.lexists(name)):
                continue
            if self._names is not None:
                self._names.add(name)
            return name
