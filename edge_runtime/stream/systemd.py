"""What systemd is told: ready, reloading, stopping, alive (sd_notify(3), without its library)."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .status import Status

#: Seconds between looks at whether the status line has changed, and between two that differ in the
#: frame rate alone.
_LOOK, _RATE = 1.0, 10.0


class Notifier:
    """Speaks to the service manager; used by the loop's thread alone.

    Nothing here waits or fails: what systemd does not take now is sent with the next turn.
    """

    def __init__(self, address: str, watchdog: float | None, status: Status) -> None:
        """Open the socket.

        Args:
            address: ``NOTIFY_SOCKET``: a path, or ``@`` and a name in the abstract namespace.
            watchdog: Seconds after which systemd gives up on a service that does not report; None
                for never.
            status: What the status line is made of.
        """
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        # systemd.service(5) of WatchdogSec=: notify at half of the time.
        self._interval = None if watchdog is None else watchdog / 2
        self._status = status
        self._waiting: dict[str, str] = {}
        self._ready = False
        self._alive_at = self._looked_at = self._said_at = float("-inf")
        self._said: tuple[str, str | None] | None = None

    @classmethod
    def from_environment(
        cls, status: Status, environment: MutableMapping[str, str] = os.environ
    ) -> Notifier | None:
        """The notifier that systemd asks for; None where the process is no such service.

        The variables are taken away: a command that the stream starts is not the service.

        Args:
            status: What the status line is made of.
            environment: Of this process.
        """
        address = environment.pop("NOTIFY_SOCKET", "")
        watchdog = _watchdog(environment)
        for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
            environment.pop(name, None)
        if not address.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
            return None
        return cls(address, watchdog, status)

    def pulse(self) -> None:
        """The loop has turned: a frame was answered, or none came for a moment."""
        now = time.monotonic()
        if not self._ready:
            self._ready = True
            self._send(READY="1")
        elif self._waiting:
            self._send()
        if self._interval is not None and now - self._alive_at >= self._interval:
            self._alive_at = now
            self._send(WATCHDOG="1")
        if now - self._looked_at >= _LOOK:
            self._looked_at = now
            self._say(now)

    def reloading(self) -> None:
        """The model is being loaded anew; frames go on being answered."""
        moment = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(RELOADING="1", MONOTONIC_USEC=str(moment))

    def reloaded(self) -> None:
        """That came to an end, one way or the other."""
        self._waiting.pop("RELOADING", None)
        self._send(READY="1")

    def stopping(self) -> None:
        """The stream has ended; its outputs finish what they have."""
        self._send(STOPPING="1", STATUS="stopping")

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _say(self, now: float) -> None:
        state, label, fps = self._status.brief()
        if (state, label) == self._said and now - self._said_at < _RATE:
            return
        self._said, self._said_at = (state, label), now
        parts = [state, *([] if label is None else [label]), f"{fps:.1f} results a second"]
        self._send(STATUS=", ".join(parts).replace("\n", " "))

    def _send(self, **fields: str) -> None:
        self._waiting |= fields
        message = "\n".join(f"{name}={value}" for name, value in self._waiting.items())
        with contextlib.suppress(OSError):
            self._socket.sendto(message.encode("utf-8", "replace"), self._address)
            self._waiting.clear()


def _watchdog(environment: Mapping[str, str]) -> float | None:
    """Seconds, of sd_watchdog_enabled(3); None where it is off or another process is meant."""
    meant = environment.get("WATCHDOG_PID", "")
    if meant and meant != str(os.getpid()):
        return None
    text = environment.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if text.isdecimal() and int(text) > 0 else None
