"""A TCP connection to a host by name, within a limit of time that holds for all of it."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any


class Dialler:
    """Connects to one host, again and again."""

    def __init__(self, host: str, port: int) -> None:
        """Remember where to."""
        self._host, self._port = host, port
        self._under_way: _LookUp | None = None

    def connect(self, each: float, whole: float) -> socket.socket:
        """Connect to the first address that answers.

        Args:
            each: Seconds at most for one address; those behind it get their share of what is left.
            whole: Seconds for the look-up of the name and all addresses.

        Raises:
            OSError: No such host, none of its addresses answers, or not in time.
        """
        end = time.monotonic() + whole
        found = self._addresses(whole)
        failure: OSError | None = None
        for place, (family, kind, protocol, _, address) in enumerate(found):
            left = end - time.monotonic()
            if left <= 0:
                break
            made = None
            try:
                made = socket.socket(family, kind, protocol)
                made.settimeout(min(each, left / (len(found) - place)))
                made.connect(address)
                return made
            except OSError as error:
                failure = error
                if made is not None:
                    made.close()
        raise failure or TimeoutError(f"no answer within {whole:g} s")

    def _addresses(self, seconds: float) -> list[Any]:
        """Look the name up; the system's own limit may be minutes, and nothing ends it sooner."""
        if self._under_way is None:
            self._under_way = _LookUp(self._host, self._port)
        look_up = self._under_way  # also one that was left behind: there is never more than one
        if not look_up.done.wait(seconds):
            raise TimeoutError(f"its name was not found within {seconds:g} s")
        self._under_way = None
        if look_up.failure is not None:
            raise look_up.failure
        return look_up.found


class _LookUp:
    """One question to the system's resolver, on a thread that can be left behind."""

    def __init__(self, host: str, port: int) -> None:
        self.done = threading.Event()
        self.found: list[Any] = []
        self.failure: Exception | None = None
        threading.Thread(target=self._work, args=(host, port), name="look-up", daemon=True).start()

    def _work(self, host: str, port: int) -> None:
        try:
            self.found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except Exception as error:  # raised by the thread that waits
            self.failure = error
        self.done.set()
