"""Ask for a URL over HTTP/1.1 (RFC 9112): redirects, proxies, user and password."""

from __future__ import annotations

import threading
import urllib.parse

from ..base import SourceLost
from .address import Address, proxy_for
from .answer import Answer, checked, head_end, understood
from .auth import Challenge, Credentials, best_challenge
from .wire import Deadline, Wire

#: Bytes of the headers of an answer.
_HEADERS = 64 << 10

_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_REDIRECTS = 5


class Asker:
    """Asks for one URL, again and again, and remembers what the server wants to know."""

    def __init__(self, address: Address, cut: threading.Event) -> None:
        """Name it; nothing is connected yet.

        Args:
            address: Where it leads.
            cut: Set by whoever wants an end of it.
        """
        self.wire = Wire(cut)
        self._address = address
        self._challenge: Challenge | None = None
        self._connected: tuple[str, str, int] | None = None

    def ask(self, deadline: Deadline) -> Answer:
        """Ask, and follow where it leads.

        Returns:
            An answer with code 200, its body not read yet.

        Raises:
            SourceLost: Any other answer, or none; the message says what to check.
            SourceStalled: It took too long.
        """
        address = home = self._address
        credentials = address.credentials
        for _ in range(_MAX_REDIRECTS + 1):
            answer = self._authorised(address, credentials, deadline)
            if answer.status not in _REDIRECTS:
                return checked(answer, credentials is not None)
            where = answer.header("location")
            if not where:
                raise SourceLost(f"the answer is a redirect ({answer.status}) to nowhere.")
            self.close()
            address = _redirected(address, where)
            credentials = address.credentials
            if credentials is None and address.follows(home):
                credentials = home.credentials
            self._challenge = None
        raise SourceLost(f"more than {_MAX_REDIRECTS} redirects. Check the URL.")

    def close(self) -> None:
        """Let go of the connection."""
        self._connected = None
        self.wire.close()

    def _authorised(
        self, address: Address, credentials: Credentials | None, deadline: Deadline
    ) -> Answer:
        known = self._challenge is not None
        answer = self._request(address, credentials, deadline)
        # A server forgets its numbers now and then; one that has refused a fresh answer means it.
        for _ in range(2):
            if answer.status != 401 or credentials is None:
                break
            challenge = best_challenge(answer.headers.get("www-authenticate", []))
            if challenge is None:
                schemes = answer.header("www-authenticate").split(" ")[0] or "none"
                raise SourceLost(
                    f"the camera asks for a kind of login that is not known here ({schemes}); "
                    "Basic and Digest are."
                )
            if self._challenge is not None and not (known or challenge.stale):
                break
            known, self._challenge = False, challenge
            self.close()
            answer = self._request(address, credentials, deadline)
        return answer

    def _request(
        self, address: Address, credentials: Credentials | None, deadline: Deadline
    ) -> Answer:
        lines = []
        proxy = proxy_for(address)
        target = address.target
        if proxy is not None and address.scheme == "http":
            target = address.url
            lines += _proxy_login(proxy)
        if credentials is not None and self._challenge is not None:
            login = self._challenge.answer(credentials, "GET", target)
            lines.append(f"Authorization: {login}")
        lines = [
            f"GET {target} HTTP/1.1",
            f"Host: {address.netloc}",
            "User-Agent: edge-classify",
            "Accept: multipart/x-mixed-replace, image/jpeg, */*;q=0.5",
            "Accept-Encoding: identity",
            *lines,
        ]
        request = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
        again = self._connected == (address.scheme, address.host, address.port)
        if again:
            try:
                return self._exchange(request, deadline)
            except SourceLost:  # the server has closed what it kept open
                if not deadline.left():
                    raise
                self.close()
        self._connect(address, proxy, deadline)
        return self._exchange(request, deadline)

    def _connect(self, address: Address, proxy: Address | None, deadline: Deadline) -> None:
        self.close()
        first = address if proxy is None else proxy
        self.wire.connect(first.host, first.port, deadline)
        if proxy is not None and address.scheme == "https":
            place = f"{address.host}:{address.port}"
            lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}", *_proxy_login(proxy)]
            self.wire.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"), deadline)
            status = self._answer(deadline, tunnel=True).status
            if status != 200:
                raise SourceLost(f"the proxy {proxy.netloc} refuses the connection ({status}).")
        if address.scheme == "https":
            self.wire.encrypt(address.host, deadline)
        self._connected = (address.scheme, address.host, address.port)

    def _exchange(self, request: bytes, deadline: Deadline) -> Answer:
        self.wire.send(request, deadline)
        answer = self._answer(deadline)
        while 100 <= answer.status < 200:  # "continue", "early hints"
            answer = self._answer(deadline, answer.rest)
        return answer

    def _answer(self, deadline: Deadline, head: bytes = b"", tunnel: bool = False) -> Answer:
        while True:
            end, length = head_end(head)
            if end >= 0:
                break
            if len(head) > _HEADERS:
                raise SourceLost("the headers of its answer do not end. Is this a camera's URL?")
            data = self.wire.receive(deadline)
            if not data:
                raise SourceLost("the server hung up without an answer.")
            head += data
            if not b"HTTP/".startswith(head[:5]) and not head.startswith(b"HTTP/"):
                raise SourceLost("the answer is not HTTP. Check the port.")
        return understood(head[:end], head[end + length :], tunnel)


def _redirected(address: Address, where: str) -> Address:
    try:
        return Address.parse(urllib.parse.urljoin(address.url, where))
    except ValueError:  # its text may quote a password
        scheme = where.partition("://")[0]
        raise SourceLost(
            f"the answer is a redirect that is not followed ({scheme[:20]!r}). Name the URL itself."
        ) from None


def _proxy_login(proxy: Address) -> list[str]:
    if proxy.credentials is None:
        return []
    login = Challenge("basic", {}).answer(proxy.credentials, "CONNECT", "")
    return [f"Proxy-Authorization: {login}"]
