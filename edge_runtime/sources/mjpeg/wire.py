"""A connection to a server on which every wait has an end, and which any thread may cut."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

from ...errors import first_line
from ..base import SourceLost, SourceStalled

if TYPE_CHECKING:
    pass

#: Bytes that are taken at once.
_CHUNK = 256 << 10

#: Seconds between looks at whether somebody else has cut the connection.
_LOOK = 0.25


class Deadline:
    """A moment of ``time.monotonic()`` up to which something may take."""

    def __init__(self, seconds: float) -> None:
        """So many seconds from now."""
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds; 0 once it is over."""
        return max(self._end - time.monotonic(), 0.0)


class Wire:
    """One TCP connection, with TLS or without.

    Attributes:
        cut: Set by whoever wants an end of it; the thread that uses it closes it then.
    """

    def __init__(self, cut: threading.Event) -> None:
        """Nothing is connected yet."""
        self._cut = cut
        self._socket: socket.socket | None = None

    def connect(self, host: str, port: int, deadline: Deadline) -> None:
        """Connect to the first address of a host that answers.

        Raises:
            SourceLost: There is none, or none answers.
            SourceStalled: It took too long.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            raise SourceLost(
                f"{host}: no such host ({first_line(error)}). Check its name, the network and DNS."
            ) from error
        for place, (family, kind, protocol, _, address) in enumerate(found, start=1):
            self._socket = socket.socket(family, kind, protocol)
            self._socket.setblocking(False)
            share = Deadline(deadline.left() / (len(found) - place + 1))
            try:
                self._reach(self._socket, address, share)
                return
            except (OSError, SourceStalled) as error:
                self.close()
                if place == len(found):
                    raise _unreachable(host, port, error) from error

    def _reach(self, connecting: socket.socket, address: object, deadline: Deadline) -> None:
        with contextlib.suppress(BlockingIOError):
            connecting.connect(address)  # type: ignore[arg-type]
        self._wait(select.POLLOUT, deadline)
        failed = connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            raise OSError(failed, os.strerror(failed))
        connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def encrypt(self, host: str, deadline: Deadline) -> None:
        """Begin TLS, the certificate checked against the system's, or SSL_CERT_FILE's.

        Raises:
            SourceLost: It is refused; the message says what to do.
            SourceStalled: It took too long.
        """
        import ssl

        context = ssl.create_default_context()
        plain = self._open()
        try:
            self._socket = secure = context.wrap_socket(
                plain, server_hostname=host, do_handshake_on_connect=False
            )
            while True:
                try:
                    secure.do_handshake()
                    return
                except ssl.SSLWantReadError:
                    self._wait(select.POLLIN, deadline)
                except ssl.SSLWantWriteError:
                    self._wait(select.POLLOUT, deadline)
        except SourceStalled as error:
            raise SourceStalled(
                f"{host}: no answer to TLS. Check the port, or use http://."
            ) from error
        except ssl.SSLCertVerificationError as error:
            raise SourceLost(
                f"{host}: its certificate is not trusted ({error.verify_message}). Put the "
                "camera's own into a file and name that in SSL_CERT_FILE, or use http://."
            ) from error
        except OSError as error:
            raise SourceLost(
                f"{host}: TLS failed ({_reason(error)}). Check the port, or use http://."
            ) from error

    def send(self, data: bytes, deadline: Deadline) -> None:
        """Send all of it.

        Raises:
            SourceLost: The connection is gone.
            SourceStalled: It took too long.
        """
        left = memoryview(data)
        while left:
            try:
                left = left[self._open().send(left) :]
            except BlockingIOError:
                self._wait(select.POLLOUT, deadline)
            except OSError as error:
                if not _wants(error):
                    raise _broken(error) from error
                self._wait(select.POLLIN | select.POLLOUT, deadline)

    def receive(self, deadline: Deadline) -> bytes:
        """What comes next; nothing at the end.

        Raises:
            SourceLost: The connection is gone.
            SourceStalled: Nothing came in time.
        """
        while True:
            data = self.waiting()
            if data is not None:
                return data
            self._wait(select.POLLIN, deadline)

    def waiting(self) -> bytes | None:
        """What has arrived and was not taken yet: nothing at the end; None if nothing has.

        Raises:
            SourceLost: The connection is gone.
        """
        try:
            return self._open().recv(_CHUNK)
        except BlockingIOError:
            return None
        except OSError as error:
            if _wants(error):
                return None
            raise _broken(error) from error

    def shut(self) -> None:
        """End whatever waits on it; from any thread. The socket stays open until ``close``."""
        connected = self._socket
        if connected is not None:
            with contextlib.suppress(OSError):
                # A TLS socket's own method would forget its state, which the other thread uses.
                socket.socket.shutdown(connected, socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of it; by the thread that uses it, or once none does."""
        connected, self._socket = self._socket, None
        if connected is not None:
            connected.close()

    def _open(self) -> socket.socket:
        if self._socket is None or self._cut.is_set():
            raise SourceLost("closed.")
        return self._socket

    def _wait(self, what: int, deadline: Deadline) -> None:
        poll = select.poll()
        poll.register(self._open(), what)
        while not poll.poll(min(deadline.left(), _LOOK) * 1000):
            self._open()
            if not deadline.left():
                raise SourceStalled(f"no answer for {round(deadline.seconds, 1):g} s.")
        self._open()


def _wants(error: OSError) -> bool:
    """Whether TLS only has to wait for more."""
    ssl = sys.modules.get("ssl")  # a plain connection has not loaded it
    return ssl is not None and isinstance(error, (ssl.SSLWantReadError, ssl.SSLWantWriteError))


def _reason(error: Exception) -> str:
    strerror = getattr(error, "strerror", None)
    return str(strerror or getattr(error, "reason", None) or first_line(error))


def _broken(error: OSError) -> SourceLost:
    return SourceLost(f"the connection broke ({_reason(error)}).")


def _unreachable(host: str, port: int, error: Exception) -> SourceLost:
    place = f"{host}, port {port}"
    if isinstance(error, SourceStalled):
        return SourceStalled(
            f"{place}: does not answer. Check the address, the network, and that it is on."
        )
    return SourceLost(f"{place}: {_reason(error)}. Check that it is on, the address, and the port.")
