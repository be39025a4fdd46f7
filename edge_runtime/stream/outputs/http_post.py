"""One HTTP POST with a limit of time that holds, however slowly a server answers."""

from __future__ import annotations

import base64
import contextlib
import email.utils
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from ...errors import UsageError
from .connecting import Dialler

#: Longest wait that a server's Retry-After is believed, seconds.
_LONGEST_WAIT = 3600.0


@dataclass(frozen=True)
class Answer:
    """What a server said.

    Attributes:
        status: HTTP's number.
        reason: The words behind it.
        retry_after: Seconds that it wishes to be left alone; None if it did not say.
    """

    status: int
    reason: str
    retry_after: float | None


class Target:
    """A URL that is posted to.

    Attributes:
        name: Scheme, host and port: a path may hold a secret, as those of chat services do.
    """

    def __init__(self, url: str, option: str) -> None:
        """Take a URL apart.

        Args:
            url: ``http://`` or ``https://``, with ``user:password@`` or not.
            option: For the message of an error.

        Raises:
            UsageError: It is no such URL; the message does not repeat it.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise UsageError(f"{option}: that URL cannot be read (host or port).") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{option}: a URL such as https://host/path was expected.")
        if not url.isascii() or any(c.isspace() or ord(c) < 32 for c in url):
            raise UsageError(f"{option}: blanks and letters beyond ASCII must be percent-encoded.")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._host, self._port = parts.hostname, port or (443 if self._tls else 80)
        self._dialler = Dialler(self._host, self._port)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._user = None
        if parts.username is not None:
            self._user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        shown = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self.name = f"{parts.scheme}://{shown}" + (f":{port}" if port else "")

    def post(self, body: bytes, headers: Mapping[str, str], connect: float, whole: float) -> Answer:
        """Send and wait for the answer's head.

        Args:
            body: JSON.
            headers: On top of those that are always there.
            connect: Seconds for the connection to one address of the host.
            whole: Seconds for everything, from the look-up of the host's name on.

        Raises:
            OSError: No connection, or none of the expected length.
            HTTPException: What came back is no HTTP.
        """
        end = time.monotonic() + whole
        plain = self._dialler.connect(connect, whole)
        with contextlib.ExitStack() as stack:
            stack.callback(plain.close)
            watchdog = _Watchdog(plain)
            stack.enter_context(watchdog.until(end))
            plain.settimeout(whole)
            if self._tls is not None:
                secured = self._tls.wrap_socket(
                    plain, server_hostname=self._host, do_handshake_on_connect=False
                )
                stack.callback(secured.close)
                watchdog.socket = secured
                secured.do_handshake()
            connection = http.client.HTTPConnection(self._host, self._port)
            connection.sock = watchdog.socket
            try:
                connection.request("POST", self._path, body, {**self._fixed(), **headers})
                answer = connection.getresponse()
                if time.monotonic() >= end:  # what was cut off looks like the end of the head
                    raise TimeoutError
            except (OSError, http.client.HTTPException) as error:
                if time.monotonic() >= end:
                    raise TimeoutError(f"no answer within {whole:g} s") from error
                raise
            return Answer(answer.status, answer.reason, _seconds(answer.getheader("Retry-After")))

    def _fixed(self) -> dict[str, str]:
        from ... import __version__

        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"edge-classify/{__version__}",
            "Connection": "close",
        }
        if self._user is not None:
            headers["Authorization"] = f"Basic {base64.b64encode(self._user.encode()).decode()}"
        return headers


class _Watchdog:
    """Ends a connection when its time is up: each single read has a limit, their number has none."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected

    @contextlib.contextmanager
    def until(self, end: float) -> Iterator[None]:
        timer = threading.Timer(max(0.0, end - time.monotonic()), self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _cut(self) -> None:
        with contextlib.suppress(OSError):
            # Of the plain socket below, since another thread is inside the TLS one.
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)


def _seconds(header: str | None) -> float | None:
    """Seconds to wait for, of a Retry-After (RFC 9110, 10.2.3: a number or a date)."""
    if header is None:
        return None
    try:
        wait = float(int(header.strip()))
    except (ValueError, OverflowError):  # no number, or one of hundreds of digits
        try:
            wait = email.utils.parsedate_to_datetime(header).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return min(max(wait, 0.0), _LONGEST_WAIT)
