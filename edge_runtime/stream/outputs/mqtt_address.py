"""Where an MQTT broker is, and who logs in there: ``mqtt[s]://user:password@host:port/prefix``."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from ...errors import SystemFailure, UsageError

#: Holds the password, which then is in no list of processes.
PASSWORD_VARIABLE = "EDGE_CLASSIFY_MQTT_PASSWORD"  # noqa: S105  # its name

#: Ports that IANA gave to MQTT, without TLS and with it.
_PORTS = {"mqtt": 1883, "mqtts": 8883}

#: Bytes that a topic may have at most (MQTT 3.1.1, 1.5.3), less those of the longest of ours.
_LONGEST = 65535 - 100


@dataclass(frozen=True)
class Address:
    """A broker.

    Attributes:
        host: Name or address.
        port: Number.
        tls: Whether the connection is encrypted.
        user: None for anonymous.
        password: None for none.
        prefix: Of all topics.
    """

    host: str
    port: int
    tls: bool
    user: str | None
    password: str | None = field(repr=False)
    prefix: str

    @property
    def name(self) -> str:
        """As it may be shown."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtt{'s' if self.tls else ''}://{host}:{self.port}"


def parse_address(url: str, password_file: str | None = None) -> Address:
    """Take a URL apart.

    Args:
        url: As above; no prefix is ``edge-classify/<host name of this machine>``.
        password_file: Its first line is the password; else the URL's, else the environment's.

    Raises:
        UsageError: It is no such URL (the message does not repeat it), or a prefix with wildcards.
        SystemFailure: The file cannot be read.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UsageError("--mqtt: that URL cannot be read (host or port).") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise UsageError("--mqtt: mqtt://HOST[:PORT][/PREFIX] or mqtts://... was expected.")
    if "?" in url or "#" in url:
        raise UsageError("--mqtt: a topic prefix was expected behind the host, without ? or #.")
    prefix = unquote(parts.path).strip("/") or f"edge-classify/{_own_name()}"
    if any(c in prefix for c in "+#\0") or len(prefix.encode(errors="replace")) > _LONGEST:
        raise UsageError(f"--mqtt: {prefix[:80]!r} is no topic; + and # are wildcards.")
    user = None if parts.username is None else unquote(parts.username)
    password = None if parts.password is None else unquote(parts.password)
    if password is None:
        password = os.environ.get(PASSWORD_VARIABLE)
    if password_file is not None:
        password = _first_line(password_file)
    if user is None and password is not None:
        raise UsageError(
            "--mqtt: there is a password and no user. Write mqtt://USER@HOST, or unset "
            f"{PASSWORD_VARIABLE}."
        )
    tls = parts.scheme == "mqtts"
    return Address(parts.hostname, port or _PORTS[parts.scheme], tls, user, password, prefix)


def _first_line(file: str) -> str:
    try:
        with open(file, encoding="utf-8") as stream:
            return stream.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no UTF-8 text"
        raise SystemFailure(f"--mqtt-password-file {file}: {reason}.") from error


def _own_name() -> str:
    return "".join("-" if c in "+#/" else c for c in socket.gethostname().split(".")[0])
