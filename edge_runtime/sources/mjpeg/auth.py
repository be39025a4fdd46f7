"""User and password of a URL: Basic (RFC 7617) and Digest (RFC 7616, and RFC 2069 without qop)."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field

#: A challenge's scheme, and its parameters: tokens or quoted texts.
_SCHEME = re.compile(r"(?:^|,)\s*([A-Za-z][\w-]*)\s+(?=[\w-]+\s*=)|(?:^|,)\s*(Basic|Negotiate)\s*(?=,|$)", re.I)  # fmt: skip
_PARAMETER = re.compile(r"([\w-]+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s,]+))")

#: Of Digest's algorithms, those that are known here, best first.
_HASHES = {"SHA-256": "sha256", "MD5": "md5"}


@dataclass(frozen=True)
class Credentials:
    """Who asks.

    Attributes:
        user: Name.
        password: Secret.
    """

    user: str
    password: str = field(repr=False)


@dataclass
class Challenge:
    """What a server wants to know; counts how often it was answered.

    Attributes:
        scheme: ``basic`` or ``digest``.
        parameters: By name in small letters.
    """

    scheme: str
    parameters: dict[str, str]
    count: int = 0

    @property
    def stale(self) -> bool:
        """Whether the server only wants a new number: user and password were right."""
        return self.parameters.get("stale", "").lower() == "true"

    def answer(self, credentials: Credentials, method: str, uri: str) -> str:
        """The value of ``Authorization`` for one request.

        Args:
            credentials: Who asks.
            method: Such as ``GET``.
            uri: As in the request's first line.
        """
        if self.scheme == "basic":
            import base64

            pair = f"{credentials.user}:{credentials.password}".encode()
            return f"Basic {base64.b64encode(pair).decode('ascii')}"
        return self._digest(credentials, method, uri)

    def _digest(self, credentials: Credentials, method: str, uri: str) -> str:
        given = self.parameters
        algorithm = given.get("algorithm", "MD5")
        session = algorithm.lower().endswith("-sess")
        name = _HASHES[(algorithm[:-5] if session else algorithm).upper()]

        def digest(*words: str) -> str:
            return hashlib.new(name, ":".join(words).encode(), usedforsecurity=False).hexdigest()

        realm, nonce = given.get("realm", ""), given.get("nonce", "")
        self.count += 1
        count, own = f"{self.count:08x}", fresh_nonce()
        secret = digest(credentials.user, realm, credentials.password)
        if session:
            secret = digest(secret, nonce, own)
        asked = digest(method, uri)
        fields = [
            f'username="{_quoted(credentials.user)}"',
            f'realm="{_quoted(realm)}"',
            f'nonce="{_quoted(nonce)}"',
            f'uri="{_quoted(uri)}"',
        ]
        if _offers_auth(given):
            response = digest(secret, nonce, count, own, "auth", asked)
            fields += ["qop=auth", f"nc={count}", f'cnonce="{own}"']
        else:
            response = digest(secret, nonce, asked)
        fields.append(f'response="{response}"')
        if "algorithm" in given:
            fields.append(f"algorithm={algorithm}")
        if "opaque" in given:
            fields.append(f'opaque="{_quoted(given["opaque"])}"')
        return f"Digest {', '.join(fields)}"


def best_challenge(headers: list[str]) -> Challenge | None:
    """The safest of the challenges that can be answered; None if there is none.

    Args:
        headers: Values of ``WWW-Authenticate``; one may hold several challenges.
    """
    found = [challenge for text in headers for challenge in _challenges(text)]
    usable = [challenge for challenge in found if _rank(challenge) is not None]
    return min(usable, key=lambda challenge: _rank(challenge) or 0, default=None)


def fresh_nonce() -> str:
    """A number that was not used before, ``cnonce``."""
    return os.urandom(16).hex()


def _challenges(text: str) -> list[Challenge]:
    starts = list(_SCHEME.finditer(_masked(text)))
    ends = [start.start() for start in starts[1:]] + [len(text)]
    return [
        Challenge(
            (start[1] or start[2]).lower(),
            {
                name.lower(): re.sub(r"\\(.)", r"\1", quoted) if quoted else token
                for name, quoted, token in _PARAMETER.findall(text[start.end() : end])
            },
        )
        for start, end in zip(starts, ends, strict=True)
    ]


def _masked(text: str) -> str:
    """The text with its quoted parts blanked, so that what they say is not taken for syntax."""
    return re.sub(
        r"\"(?:[^\"\\]|\\.)*\"", lambda found: '"' + "_" * (len(found[0]) - 2) + '"', text
    )


def _rank(challenge: Challenge) -> int | None:
    if challenge.scheme == "basic":
        return len(_HASHES)
    if challenge.scheme != "digest":
        return None
    if "qop" in challenge.parameters and not _offers_auth(challenge.parameters):
        return None
    algorithm = challenge.parameters.get("algorithm", "MD5").upper().removesuffix("-SESS")
    return list(_HASHES).index(algorithm) if algorithm in _HASHES else None


def _offers_auth(parameters: dict[str, str]) -> bool:
    return "auth" in re.split(r"[\s,]+", parameters.get("qop", "").lower())


def _quoted(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"")
