"""Where a URL leads, and the way there."""

from __future__ import annotations

import os
import urllib.parse
from dataclasses import dataclass, field

from ..base import SourceLost
from .auth import Credentials

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Address:
    """Where a URL leads.

    Attributes:
        scheme: ``http`` or ``https``.
        host: Name or address, without brackets.
        port: Number.
        target: Path and query, as in a request.
        credentials: Of the URL, decoded; None without.
    """

    scheme: str
    host: str
    port: int
    target: str
    credentials: Credentials | None = field(repr=False, default=None)

    @classmethod
    def parse(cls, url: str) -> Address:
        """Take a URL apart.

        Raises:
            ValueError: It is none of HTTP's.
        """
        parts = urllib.parse.urlsplit(url)
        scheme, host = parts.scheme.lower(), parts.hostname
        if scheme not in _PORTS or not host:
            raise ValueError("expected http://HOST/PATH or https://HOST/PATH.")
        target = parts.path or "/"
        if parts.query:
            target += f"?{parts.query}"
        credentials = None
        if parts.username is not None:
            decoded = map(urllib.parse.unquote, (parts.username, parts.password or ""))
            credentials = Credentials(*decoded)
        port = parts.port or _PORTS[scheme]
        # As browsers do with what a URL may not hold.
        target = urllib.parse.quote(target, safe="%/?:@!$&'()*+,;=~[]|")
        return cls(scheme, host, port, target, credentials)

    @property
    def netloc(self) -> str:
        """Host and port as in a header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole, without credentials."""
        return f"{self.scheme}://{self.netloc}{self.target}"

    def follows(self, other: Address) -> bool:
        """Whether credentials for ``other`` may be sent here: the same server, no less safe."""
        if self.host.lower() != other.host.lower():
            return False
        same = (self.scheme, self.port) == (other.scheme, other.port)
        upgrade = (other.scheme, other.port, self.scheme, self.port) == ("http", 80, "https", 443)
        return same or upgrade


def proxy_for(address: Address) -> Address | None:
    """The proxy that the environment names for a host; never for this machine.

    Raises:
        SourceLost: What it names is no URL.
    """
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    if _is_loopback(address.host):
        return None
    import urllib.request

    url = urllib.request.getproxies().get(address.scheme)
    if not url or urllib.request.proxy_bypass(address.host):
        return None
    try:
        return Address.parse(url if "://" in url else f"http://{url}")
    except ValueError:
        # Not chained: it may quote a password.
        raise SourceLost(f"{address.scheme}_proxy: no proxy's URL. Check the variable.") from None


def _is_loopback(host: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")
