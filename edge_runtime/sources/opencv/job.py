"""What a child is told to open."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Job:
    """One source for one child.

    Attributes:
        address: Path, device or URL, credentials included; it travels through the socket, as
            every user of the machine sees the command line of a process.
        backends: Names of OpenCV's backends without ``CAP_``, such as ``FFMPEG``: the first that
            this build of OpenCV has is used, and whatever it has if it has none.
        live: Whether only the newest frame counts.
        camera: Whether it is a device on this machine.
        paced: Whether what has an end, such as a video that a server sends as fast as it is read,
            is read at its own speed.
        open_ms: Milliseconds that opening may take, where the backend keeps to it.
        read_ms: Milliseconds after which a read that gives nothing ends, likewise.
        size: Wished (width, height) of a camera.
        fps: Wished frames a second of a camera.
        pixel_format: Wished four characters of a camera.
        environment: Variables that OpenCV reads; those that the user has set stay.
    """

    address: str = field(repr=False)
    backends: tuple[str, ...] = ()
    live: bool = False
    camera: bool = False
    paced: bool = False
    open_ms: int = 10_000
    read_ms: int = 10_000
    size: tuple[int, int] | None = None
    fps: float | None = None
    pixel_format: str | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def to_line(self) -> bytes:
        """One line of JSON."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Job:
        """The other side of :meth:`to_line`."""
        values = json.loads(line)
        size = values.pop("size")
        backends = tuple(values.pop("backends"))
        return cls(size=None if size is None else (size[0], size[1]), backends=backends, **values)
