"""Names of the files of a video, and how much of them is kept."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from ...errors import UsageError
from ...files import refuse_existing, system_failures
from ...sorting.moving import numbered
from .kept_files import KeptFiles, found_groups

#: Codec by ending: what players know, in the order of what it costs a small processor.
CODECS = {".mp4": "mp4v", ".mkv": "mp4v", ".avi": "XVID", ".webm": "VP80"}

#: Share of the space for all files that one of them may take, so that the rest is history.
_SHARE = 4


class Parts:
    """Where the next file goes.

    Attributes:
        folder: Of the files.
        ending: Of the names.
        most_part: Bytes after which a new file begins; None for any number.
    """

    def __init__(self, file: str, rotates: bool, most_bytes: int | None, overwrite: bool) -> None:
        """Check the names.

        Args:
            file: As the user named it: the video, or, of a series, what the numbers go into.
            rotates: Whether it is a series; then files of earlier runs are counted on.
            most_bytes: Bytes at most of a whole series; the oldest files go.
            overwrite: Whether a file that is there is replaced.

        Raises:
            UsageError: Another ending, or a folder.
            OutputExists: The file is there.
            SystemFailure: The folder cannot be made.
        """
        stem, self.ending = os.path.splitext(file)
        if self.ending.lower() not in CODECS:
            raise UsageError(
                f"--video {file}: a name that ends in {', '.join(CODECS)} was expected."
            )
        if os.path.isdir(file):
            raise UsageError(f"--video {file}: is a folder; the name of a file was expected.")
        self.folder, name = os.path.split(os.path.abspath(stem))
        self._kept: KeptFiles | None = None
        self.most_part: int | None = None
        self._replaced: str | None = None
        with system_failures(file):
            os.makedirs(self.folder, exist_ok=True)
        if rotates:
            ours = re.compile(rf"{re.escape(name)}-(\d{{6,}}){re.escape(self.ending)}")
            self._kept = KeptFiles(None, None)
            if most_bytes is not None:
                self.most_part = most_bytes // _SHARE
                self._kept = KeptFiles(None, most_bytes - self.most_part)
            found = found_groups(self.folder, ours, int)
            for group in found:
                self._kept.add(group)
            last = ours.fullmatch(os.path.basename(found[-1][0])) if found else None
            begin = 1 if last is None else int(last.group(1)) + 1
            self._names = _series(os.path.abspath(stem), self.ending, begin)
        else:
            refuse_existing(file, overwrite)
            self._names = numbered(os.path.abspath(file))
            self._replaced = os.path.abspath(file) if overwrite else None

    @property
    def codec(self) -> str:
        """The codec for this ending."""
        return CODECS[self.ending.lower()]

    def next(self) -> str:
        """A name that is free."""
        replaced, self._replaced = self._replaced, None
        return next(name for name in self._names if name == replaced or not os.path.lexists(name))

    def done(self, file: str) -> None:
        """A file is whole; the oldest of a series may have to go."""
        if self._kept is not None:
            self._kept.add([file])


def _series(stem: str, ending: str, begin: int) -> Iterator[str]:
    number = begin
    while True:
        yield f"{stem}-{number:06d}{ending}"
        number += 1
