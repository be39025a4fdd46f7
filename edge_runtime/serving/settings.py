"""What the server puts up with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ServeSettings:
    """Limits that hold before anything is decoded."""

    max_queue: int = 8  #: requests of a model that are answered or wait for it; one more gets 503
    max_body: int = 20 << 20  #: bytes of a request's body
    max_photos: int = 16  #: photos in one request
    timeout: float = 30.0  #: seconds from a whole request to its answer, and for its body to arrive
    workers: int | None = None  #: threads that decode; None for the usable cores, at most 4
    max_batch: int = 8  #: photos a run, of a model that takes any number; a fixed number is its own
    max_header: int = 16 << 10  #: bytes of a request's line and headers
    connections: int = 256  #: at once
    stop: float = 10.0  #: seconds that requests in flight have when the server is stopped

    @property
    def max_held(self) -> int:
        """Bytes of all bodies that are held at once: connections times their limit would be GB."""
        return max(4 * self.max_body, 64 << 20)
