"""Where a JPEG ends, and whether it is whole (ITU-T T.81, annex B)."""

from __future__ import annotations

import re

START, END = b"\xff\xd8", b"\xff\xd9"

#: How a picture in a stream begins: start of image, and the first byte of the marker behind it.
OPENING = START + b"\xff"

#: Markers that may stand in entropy-coded data and end it. Others there are damage, of which the
#: decoder judges.
_MARKER = re.compile(rb"\xff[\xc4\xd8\xd9\xda\xdb\xdc\xdd\xe0-\xef\xfe]")

#: What cameras put behind a picture: line ends, and zeros up to a round length.
_PADDING = b"\0\r\n "

_SCAN = 0xDA


class Cut(Exception):
    """Something stands where no JPEG has it; ``place`` says where, from the picture's beginning."""

    def __init__(self, place: int) -> None:
        super().__init__(place)
        self.place = place


def is_whole(data: bytes) -> bool:
    """Whether bytes begin and end as a JPEG does, padding behind it aside."""
    return data.startswith(START) and data.rstrip(_PADDING).endswith(END)


class Extent:
    """Follows the markers of one picture while its bytes arrive."""

    def __init__(self) -> None:
        """Begin behind the start of image."""
        self._place, self._coded = len(START), False

    def end(self, buffer: bytearray, begin: int) -> int | None:
        """Look for the end.

        Args:
            buffer: What has arrived; more of the same picture at every call.
            begin: Where in it the picture begins.

        Returns:
            Place behind the end of image in ``buffer``; None where it has not arrived.

        Raises:
            Cut: The picture is cut off or damaged.
        """
        while True:
            if self._coded:
                found = _MARKER.search(buffer, begin + self._place)
                if found is None:  # the last byte may be the first half of a marker
                    self._place = max(self._place, len(buffer) - begin - 1)
                    return None
                self._place, self._coded = found.start() - begin, False
            at = begin + self._place
            if len(buffer) < at + 2:
                return None
            code = buffer[at + 1]
            if buffer[at] != 0xFF or code == 0xD8 or code < 0xC0:
                raise Cut(self._place)
            if code == END[1]:
                return at + 2
            if code == 0xFF:  # fill bytes may stand in front of any marker
                self._place += 1
                continue
            if len(buffer) < at + 4:
                return None
            length = int.from_bytes(buffer[at + 2 : at + 4], "big")
            if length < 2:
                raise Cut(self._place)
            self._place += 2 + length
            self._coded = code == _SCAN
