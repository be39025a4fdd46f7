"""Sources that OpenCV reads, in a process of their own.

A driver that hangs, or a decoder that crashes, takes that process along and not the stream: it is
killed, abandoned, and started anew. The parent loads no OpenCV. :mod:`.reader` is the parent's
side and starts :mod:`.worker`; frames go through memory that both share (:mod:`.memory`), and a
socket carries a short line for each.

What the parent writes, a line each: first the :class:`~.job.Job` as JSON; then ``want`` (a frame of
a live source), ``cancel`` (not any more), ``free POOL SLOT`` (a frame was copied or dropped). The
end of the socket ends the child.

What the child writes, a JSON object a line: ``ready`` (OpenCV is loaded), ``open`` (with ``fps``),
``pool`` (shared memory, whose descriptor comes along), ``frame``, ``none`` (the answer to
``cancel``), ``bad`` (frames that could not be decoded), ``note`` (damage that the decoder
concealed), ``end``, ``lost`` and ``failed``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..base import Reader, Source, SourceSettings


def open_opencv(source: Source, settings: SourceSettings) -> Reader:
    """Read a URL that is no MJPEG: whatever FFmpeg reads, such as HLS or a video on a server.

    A video on a server is played at its own speed; its end is that of a connection.

    Raises:
        SystemFailure: The system gives no process or memory.
    """
    from .network import open_network

    return open_network(source, settings, {})
