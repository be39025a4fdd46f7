"""Whole JPEGs out of a stream of them, one behind the other (ITU-T T.81, annex B)."""

from __future__ import annotations

import re

from ..base import BadFrame

_START, _END, _SCAN = 0xD8, 0xD9, 0xDA

#: Bytes of one picture; more is not one that a camera sends.
_MOST = 64 << 20

#: What ends entropy-coded data: any marker but stuffed zeros and restarts.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


class JPEGs:
    """Cuts a stream where pictures end, not where the next ones begin: that would be late."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._buffer = bytearray()
        self._place = 0  # of the next marker of the picture at the beginning; 0 without one
        self._in_scan = False

    def feed(self, data: bytes) -> list[bytes | BadFrame]:
        """Take bytes.

        Returns:
            The pictures that they completed, in order; an error in place of a damaged one.
        """
        self._buffer += data
        found: list[bytes | BadFrame] = []
        while True:
            if not self._place and not self._begin():
                return found
            try:
                end = self._end()
            except BadFrame as error:
                found.append(error)
                del self._buffer[:2]
                self._place = 0
                continue
            if end is None:
                return found
            found.append(bytes(self._buffer[:end]))
            del self._buffer[:end]
            self._place = 0

    def _begin(self) -> bool:
        start = self._buffer.find(b"\xff\xd8")
        if start < 0:
            del self._buffer[:-1]  # the first half of the next beginning, perhaps
            return False
        del self._buffer[:start]
        self._place, self._in_scan = 2, False
        return True

    def _end(self) -> int | None:
        """Follow the markers; the place behind the last one, or None while it is to come."""
        buffer = self._buffer
        while True:
            if len(buffer) > _MOST:
                raise BadFrame("a picture without an end came.")
            if self._in_scan:
                match = _MARKER.search(buffer, self._place)
                if match is None:
                    self._place = max(self._place, len(buffer) - 1)
                    return None
                self._place, self._in_scan = match.start(), False
            if len(buffer) < self._place + 4:
                whole = buffer[self._place : self._place + 2] == bytes((0xFF, _END))
                return self._place + 2 if whole else None
            mark, code = buffer[self._place], buffer[self._place + 1]
            if mark == 0xFF and code == 0xFF:  # fill bytes may stand in front of a marker
                self._place += 1
                continue
            if mark == 0xFF and code == _END:
                return self._place + 2
            length = int.from_bytes(buffer[self._place + 2 : self._place + 4], "big")
            if mark != 0xFF or code == _START or length < 2:
                raise BadFrame("a picture is cut off or damaged.")
            self._place += 2 + length
            self._in_scan = code == _SCAN
