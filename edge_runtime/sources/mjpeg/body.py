"""The body of an answer as it was before it travelled (RFC 9112, sections 6 and 7)."""

from __future__ import annotations

from typing import Protocol

from ..base import SourceLost

#: Bytes of one line between chunks; extensions of it are not ours.
_LINE = 1024


class Body(Protocol):
    """Undoes a transfer coding.

    Attributes:
        ended: Whether all of the body has come.
    """

    ended: bool

    def decode(self, data: bytes) -> bytes:
        """What bytes from the connection say."""


class UntilClosed:
    """Ends with the connection."""

    ended = False

    def decode(self, data: bytes) -> bytes:
        """The same."""
        return data


class Sized:
    """Ends after a number of bytes."""

    def __init__(self, length: int) -> None:
        """Expect so many."""
        self._left, self.ended = length, length == 0

    def decode(self, data: bytes) -> bytes:
        """The same, but for what is too much."""
        data = data[: self._left]
        self._left -= len(data)
        self.ended = self._left == 0
        return data


class Chunked:
    """Comes in pieces, each behind its length."""

    def __init__(self) -> None:
        """Expect the first length."""
        self.ended = False
        self._line, self._left, self._trailer = bytearray(), 0, False

    def decode(self, data: bytes) -> bytes:
        """The pieces without their lengths.

        Raises:
            SourceLost: A length is none.
        """
        pieces, place = [], 0
        while place < len(data) and not self.ended:
            if self._left:
                piece = data[place : place + self._left]
                pieces.append(piece)
                self._left -= len(piece)
                place += len(piece)
                continue
            end = data.find(b"\n", place) + 1
            self._line += data[place : end or len(data)]
            if len(self._line) > _LINE:
                raise SourceLost("the chunked encoding of its answer is damaged.")
            place = end or len(data)
            if end:
                self._finish(bytes(self._line).strip())
                self._line.clear()
        return b"".join(pieces)

    def _finish(self, line: bytes) -> None:
        if self._trailer:
            self.ended = not line
        elif line:  # an empty one ends the piece before
            size = line.split(b";")[0].strip()
            try:
                # int() takes a sign and underscores, too, which are no length.
                self._left = int(size, 16) if size.isalnum() else -1
            except ValueError:
                self._left = -1
            if self._left < 0:
                raise SourceLost("the chunked encoding of its answer is damaged.")
            self._trailer = self._left == 0
