"""Whole JPEGs out of a stream of bytes: ``multipart/x-mixed-replace``, or one behind the other.

A picture without a length ends at its own end marker, not where the next part begins: that comes
with the next picture, an interval later. Where a length is given, it has to be right.
"""

from __future__ import annotations

import re

from ..base import BadFrame
from .jpeg import OPENING, Cut, Extent, is_whole

#: A picture as it came, or why it was left out.
Piece = bytes | BadFrame

#: Bytes of one picture; 8K at the best quality is about 30 MB.
MAX_PICTURE = 32 << 20

#: Bytes in front of a picture that are none before the stream is taken for something else.
MAX_GARBAGE = 32 << 20

#: Bytes of the headers of one part.
_HEADERS = 4 << 10

_BLANK = re.compile(rb"\r?\n[ \t]*\r?\n")
_LENGTH = re.compile(rb"^content-length[ \t]*:[ \t]*(\d+)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_TYPE = re.compile(rb"^content-type[ \t]*:[ \t]*(\w+)/", re.IGNORECASE | re.MULTILINE)

#: Types of parts that are no pictures.
_OTHERS = (b"text", b"audio")


class NoPictures(Exception):
    """So much came, and no picture in it."""


class Pictures:
    """JPEGs one behind the other; whatever is between them is skipped."""

    def __init__(self, max_picture: int = MAX_PICTURE, max_garbage: int = MAX_GARBAGE) -> None:
        """Begin with a stream.

        Args:
            max_picture: Bytes that a picture may have.
            max_garbage: Bytes without a picture that are skipped.
        """
        self._buffer = bytearray()
        self._max_picture, self._max_garbage = max_picture, max_garbage
        self._skipped = 0
        self._extent: Extent | None = None  #: of the picture at the buffer's beginning
        self._pieces: list[Piece] = []

    @property
    def inside(self) -> bool:
        """Whether the stream is in the middle of a picture."""
        return self._extent is not None

    def push_back(self, data: bytes) -> None:
        """Begin with bytes that were looked at already."""
        self._buffer[:0] = data

    def feed(self, data: bytes) -> list[Piece]:
        """Take bytes.

        Returns:
            The pictures that they completed, in order, each whole.

        Raises:
            NoPictures: Too much of something else.
        """
        self._buffer += data
        while self._step():
            pass
        pieces, self._pieces = self._pieces, []
        return pieces

    def _step(self) -> bool:
        """Do what the buffer allows; whether there may be more to do."""
        return self._seek() if self._extent is None else self._follow(self._extent)

    def _seek(self) -> bool:
        found = self._buffer.find(OPENING)
        if found < 0:
            self._skip(len(self._buffer) - len(OPENING) + 1)
            return False
        self._skip(found)
        self._extent = Extent()
        return True

    def _follow(self, extent: Extent) -> bool:
        """Look for the end of the picture at the beginning of the buffer."""
        try:
            end = extent.end(self._buffer, 0)
        except Cut as cut:
            self._bad("a JPEG is cut off or damaged.", max(cut.place, len(OPENING)))
            return True
        if end is None:
            if len(self._buffer) <= self._max_picture:
                return False
            self._bad(f"a picture has more than {_megabytes(self._max_picture)}.", len(OPENING))
            return True
        self._give(bytes(self._buffer[:end]), end)
        return True

    def _give(self, picture: bytes, end: int) -> None:
        self._pieces.append(picture)
        self._skipped = 0
        self._extent = None
        del self._buffer[:end]

    def _bad(self, reason: str, skip: int) -> None:
        self._pieces.append(BadFrame(reason))
        self._extent = None
        self._skip(skip)

    def _skip(self, count: int) -> None:
        count = max(count, 0)
        del self._buffer[:count]
        self._skipped += count
        if self._skipped > self._max_garbage:
            raise NoPictures(f"{_megabytes(self._skipped)} came and no whole picture among them.")


class Parts(Pictures):
    """The parts of a multipart body (RFC 2046, section 5.1), of whatever dialect cameras speak."""

    def __init__(
        self,
        boundary: str,
        max_picture: int = MAX_PICTURE,
        max_garbage: int = MAX_GARBAGE,
    ) -> None:
        """Begin with a stream.

        Args:
            boundary: As the header says; with the dashes of the body or without.
            max_picture: Bytes that a picture may have.
            max_garbage: Bytes without a picture that are skipped.
        """
        super().__init__(max_picture, max_garbage)
        core = boundary.strip("-").encode("latin-1", "replace")
        self._boundary = core
        #: Inside of a picture, and for a short boundary, only with its dashes: chance would have it.
        self._delimiter = b"--" + core
        self._opening = core if len(core) > 3 else self._delimiter
        self._place = "between"  #: or ``headers`` or ``sized``, at the buffer's beginning
        # Whether only a delimiter may end what is skipped: the rest of a damaged picture may hold
        # a whole one, its thumbnail.
        self._strict = self._seen = False
        self._length = self._searched = 0

    @property
    def inside(self) -> bool:
        """Whether the stream is in the middle of a picture."""
        return super().inside or self._place == "sized"

    def _step(self) -> bool:
        if self._extent is not None:
            return self._until_delimiter(self._extent)
        return {"between": self._seek, "headers": self._headers, "sized": self._sized}[
            self._place
        ]()

    def _seek(self) -> bool:
        """Skip to a delimiter; or to a picture, where the delimiters are not as the header says."""
        found = self._buffer.find(self._opening)
        picture = -1 if self._strict else self._buffer.find(OPENING)
        if picture >= 0 and (found < 0 or picture < found):
            self._skip(picture)
            self._extent, self._searched = Extent(), 0
            return True
        if found < 0:
            self._skip(len(self._buffer) - max(len(self._opening), len(OPENING)) + 1)
            return False
        self._skip(found + len(self._opening))
        self._place, self._strict, self._seen = "headers", False, True
        return True

    def _headers(self) -> bool:
        blank = _BLANK.search(self._buffer, 0, _HEADERS)
        picture = self._buffer.find(OPENING, 0, _HEADERS)
        if blank is None or -1 < picture < blank.start():
            if picture >= 0:  # headers without the empty line behind them
                self._place = "between"
                return True
            if len(self._buffer) < _HEADERS:
                return False
            self._place = "between"
            self._bad("the headers of a part do not end.", _HEADERS)
            return True
        headers = bytes(self._buffer[: blank.start() + 1])
        length, kind = _LENGTH.search(headers), _TYPE.search(headers)
        # What leads to the picture is neither a picture nor garbage.
        del self._buffer[: blank.end()]
        self._place = "between"
        if kind is not None and kind[1].lower() in _OTHERS:
            self._strict = True  # cameras put texts between their pictures
            return True
        if length is None:
            return True
        self._length = int(length[1][:20])
        if self._length > self._max_picture:
            self._bad(
                f"a picture is announced with {_megabytes(self._length)}; "
                f"up to {_megabytes(self._max_picture)} are read.",
                0,
            )
        elif self._length:
            self._place = "sized"
        return True

    def _sized(self) -> bool:
        if len(self._buffer) < self._length:
            return False
        data = bytes(self._buffer[: self._length])
        self._place = "between"
        delimiter = data.find(self._delimiter) if self._boundary else -1
        if delimiter >= 0:
            self._bad("a picture is shorter than its Content-Length.", delimiter)
        elif not is_whole(data):
            self._strict = True
            what = "is cut off or damaged" if data.startswith(OPENING) else "is no JPEG"
            self._bad(f"a picture of {self._length} bytes {what}.", self._length)
        else:
            self._give(data, self._length)
        return True

    def _bad(self, reason: str, skip: int) -> None:
        self._strict = self._seen
        super()._bad(reason, skip)

    def _until_delimiter(self, extent: Extent) -> bool:
        """Look for the end of a picture without a length, and for a delimiter in the midst of it."""
        before = len(self._buffer)
        delimiter = self._buffer.find(self._delimiter, self._searched) if self._boundary else -1
        self._searched = max(before - len(self._delimiter), 0)
        if delimiter < 0:
            return self._follow(extent)
        try:
            end = extent.end(self._buffer, 0)
        except Cut:
            end = None
        if end is not None and end <= delimiter:
            self._give(bytes(self._buffer[:end]), end)
        else:
            self._bad("a picture is cut off: the next part begins in it.", delimiter)
        return True


def _megabytes(count: int) -> str:
    return f"{count / (1 << 20):.0f} MB" if count >= 1 << 20 else f"{count} bytes"
