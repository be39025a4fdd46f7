"""What a server answers in front of the body (RFC 9112, sections 4 and 5)."""

from __future__ import annotations

from dataclasses import dataclass

from ..base import SourceLost
from .body import Body, Chunked, Sized, UntilClosed

#: What is wrong, and what to do, by the code of an answer.
_REMEDIES = {
    403: "the camera refuses this user the picture (403). Check the rights of the user there.",
    404: "the camera knows no such path (404). Check the part of the URL behind the host.",
    503: "the camera is busy (503). It may allow only so many viewers.",
}


@dataclass
class Answer:
    """What a server answered, up to where its body begins.

    Attributes:
        status: Code.
        headers: Values by name in small letters.
        rest: What of the body has arrived.
        body: Undoes its transfer coding.
        keeps: Whether the connection may be asked again after the body.
    """

    status: int
    headers: dict[str, list[str]]
    rest: bytes
    body: Body
    keeps: bool

    def header(self, name: str) -> str:
        """The value of a header; empty without."""
        return ", ".join(self.headers.get(name, []))


def head_end(head: bytes) -> tuple[int, int]:
    """Where the headers end, -1 if they do not yet, and the bytes of the empty line there."""
    found = [(head.find(mark), len(mark)) for mark in (b"\r\n\r\n", b"\n\n")]
    return min((place for place in found if place[0] >= 0), default=(-1, 0))


def understood(head: bytes, rest: bytes, tunnel: bool) -> Answer:
    """Take an answer apart.

    Args:
        head: Its first line and headers.
        rest: What came behind them.
        tunnel: Whether a proxy answers, who has no body to give.

    Raises:
        SourceLost: It is none of HTTP's.
    """
    first, *lines = head.decode("latin-1").splitlines()
    version, _, status = first.partition(" ")
    code = status[:3]
    if not code.isdecimal():
        raise SourceLost("the answer is not HTTP. Check the port.")
    headers: dict[str, list[str]] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), []).append(value.strip())
    length = headers.get("content-length", [""])[0]
    chunked = "chunked" in ",".join(headers.get("transfer-encoding", [])).lower()
    body: Body = UntilClosed()
    if chunked:
        body = Chunked()
    elif length.isdecimal() and not tunnel:
        body = Sized(int(length[:18]))
    connection = ",".join(headers.get("connection", [])).lower()
    keeps = version.upper() == "HTTP/1.1" and "close" not in connection
    return Answer(int(code), headers, rest, body, keeps and not isinstance(body, UntilClosed))


def checked(answer: Answer, logged_in: bool) -> Answer:
    """The answer, if its body can be read.

    Args:
        answer: As it came.
        logged_in: Whether user and password were sent.

    Raises:
        SourceLost: It cannot; the message says what to check.
    """
    if answer.status == 401:
        if not logged_in:
            raise SourceLost(
                "the camera asks for a login (401). Put it into the URL, http://USER:PASSWORD@HOST/, "
                "with %40 for @, %3A for : and %2F for / in them."
            )
        raise SourceLost("the camera refuses user and password (401). Check both in the URL.")
    if answer.status != 200:
        remedy = _REMEDIES.get(answer.status)
        raise SourceLost(remedy or f"the camera answers with code {answer.status}, not a picture.")
    coding = answer.header("content-encoding").lower()
    if coding not in ("", "identity"):
        raise SourceLost(f"the answer is compressed ({coding}), which was not asked for.")
    return answer
