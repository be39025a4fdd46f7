"""Where a server listens: ``HOST:PORT`` read, told from loopback, and bound."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from dataclasses import dataclass
from typing import Any

from ..errors import SystemFailure, UsageError


@dataclass(frozen=True)
class Address:
    """A host and a port.

    Attributes:
        host: Name or number, IPv6 without brackets; ``0.0.0.0`` and ``::`` are every address.
        port: 0 lets the system choose.
    """

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_address(text: str, default: Address, option: str) -> Address:
    """Read ``HOST:PORT``, ``HOST``, ``:PORT`` or ``PORT``; IPv6 with a port in brackets.

    Args:
        text: What the user typed.
        default: What stands for a part that is not there.
        option: Its option, for the message.

    Raises:
        UsageError: It is no address.
    """
    host, port = default.host, ""
    if text.isdecimal():
        port = text
    elif text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        port = rest[1:]
        if not bracket or rest[:1] not in ("", ":") or not _is_ipv6(host):
            raise UsageError(_expected(option, text))
    elif text.count(":") > 1:
        host = text
        if not _is_ipv6(host):
            raise UsageError(_expected(option, text))
    else:
        before, _, port = text.partition(":")
        host = before or host
    if any(c.isspace() or c in "/@?#" for c in host):
        raise UsageError(_expected(option, text))
    if not port:
        return Address(host, default.port)
    if not (port.isascii() and port.isdecimal() and int(port) < 1 << 16):
        raise UsageError(_expected(option, text))
    return Address(host, int(port))


def host_of(header: str) -> str:
    """The host of a ``Host`` header, without its port and brackets."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]


def is_loopback(host: str) -> bool:
    """Whether a host, as a ``Host`` header or a socket names it, is this machine and no other.

    Args:
        host: ``localhost`` or a number, without a port.
    """
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


@dataclass(frozen=True)
class Resolved:
    """An address that a socket can be bound to.

    Attributes:
        address: What was asked for.
        family: Of the socket.
        target: What it is bound to.
        loopback: Whether only this machine can reach it; by its number, not by its name.
    """

    address: Address
    family: socket.AddressFamily
    target: Any
    loopback: bool


def resolve(address: Address, option: str) -> Resolved:
    """Look the host up.

    Raises:
        UsageError: There is no such host.
    """
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"{option} {address}: no such host. Name an address of this machine."
        ) from error
    family, _, _, _, target = found[0]
    return Resolved(address, family, target, is_loopback(str(target[0])))


def listen(resolved: Resolved, option: str, send_buffer: int | None = None) -> socket.socket:
    """Bind and listen.

    Args:
        resolved: Where.
        option: The user's option, for the message.
        send_buffer: Bytes that the system keeps for a slow client; None for its own choice.

    Raises:
        SystemFailure: The port is taken or not for this user, or the address is another machine's.
    """
    # asyncio turns Nagle's algorithm off where the protocol is named; with it an answer in two
    # pieces waits 40 ms for the client's delayed acknowledgement (RFC 1122, 4.2.3.2).
    listener = socket.socket(resolved.family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            # A port is free again at once after a restart, though old connections linger.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if resolved.family == socket.AF_INET6:
            # "::" means every address, whatever the system's default is.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if send_buffer is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)  # inherited
        listener.bind(resolved.target)
        listener.listen(128)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise SystemFailure(f"{option} {resolved.address}: {_why_not(error)}") from error
    return listener


def url_of(listener: socket.socket, address: Address) -> str:
    """The URL of a page on a listening socket, as someone on this machine or beside it types it.

    Args:
        listener: Knows the port that the system chose.
        address: What was asked for.
    """
    host = address.host
    if host in ("0.0.0.0", "::"):  # noqa: S104  # compared with, not bound to
        host = socket.gethostname()
    return f"http://{Address(host, listener.getsockname()[1])}/"


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _expected(option: str, text: str) -> str:
    return f"{option} {text}: expected HOST:PORT, such as 127.0.0.1:8090 or [::1]:8090."


def _why_not(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program listens there. Name another port, or 0 for any."
    if error.errno == errno.EADDRNOTAVAIL:
        return "no address of this machine. 0.0.0.0 is all of them."
    if error.errno in (errno.EACCES, errno.EPERM):
        return "not allowed. Ports below 1024 are root's; name a higher one."
    return f"{error.strerror or error}."
