"""Users, passwords and tokens of URLs, kept out of whatever is shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from .base import Source

#: What stands in place of a secret.
HIDDEN = "***"

#: A URL in a text ends at white space or a quotation mark.
_URL = re.compile(r"(?i)([a-z][a-z0-9+.-]*://)([^\s\"'<>]*)")

#: Parameters whose values are secrets. Some cameras have them in the path, joined by underscores.
_SECRETS = (
    r"user(?:name)?|usr|login(?:use|pas|name)?|pass(?:wor[dt]|wd|phrase)?|pwd?|psw|token|"
    r"(?:access|auth|refresh)[_-]?token|auth(?:orization)?|api[_-]?key|key|secret|sig(?:nature)?|"
    r"sid|session(?:[_-]?id)?|credentials?"
)
_PARAMETER = re.compile(rf"(?i)(?<![a-z0-9])({_SECRETS})=(?!\*\*\*)([^&;#\s\"'<>]+)")

#: Shorter ones are parts of words; they are hidden within URLs only.
_SHORTEST = 4


def hide_credentials(text: str) -> str:
    """A message that holds URLs, or a URL without white space, as it may be shown.

    User and password in front of the host, and the values of parameters such as ``token=``, are
    replaced by ``***``: where a URL is not well formed, too much rather than too little.
    """
    return _URL.sub(lambda found: found[1] + _hidden(found[2]), text)


def shown_source(text: str) -> str:
    """A source as it may be shown; a password in a URL may have any character."""
    scheme, separator, rest = text.partition("://")
    return f"{scheme}://{_hidden(rest)}" if separator else text


def _hidden(rest: str) -> str:
    """What follows ``://``, without secrets."""
    user, place = split_user(rest, careful=True)
    shown = place if user is None else f"{HIDDEN}@{place}"
    return _PARAMETER.sub(rf"\1={HIDDEN}", shown)


def split_user(rest: str, careful: bool = False) -> tuple[str | None, str]:
    """Take apart what follows ``://``: user and password, or None, and the remainder.

    By RFC 3986 they end at the last ``@`` before the first ``/``, ``?`` or ``#``. People paste
    passwords as they are: where no port follows the colon there, a later ``@`` ends them.

    Args:
        rest: The URL without its scheme.
        careful: Whether a doubtful character belongs to a password, and not to the path.
    """
    authority = _authority(rest)
    end, last = authority.rfind("@"), rest.rfind("@")
    if end < last:
        if end < 0:
            port = authority.rpartition("]")[2].rpartition(":")
            doubtful = bool(port[1]) and (careful or not port[2].isdecimal())
        else:
            host, later = authority[end + 1 :], _authority(rest[last + 1 :])
            doubtful = careful or (not _is_host(host) and _is_host(later))
        end = last if doubtful else end
    return (None, rest) if end < 0 else (rest[:end], rest[end + 1 :])


def _authority(rest: str) -> str:
    return re.split(r"[/?#]", rest, maxsplit=1)[0]


def _is_host(text: str) -> bool:
    """Whether it can hardly be anything else: with a port, dots or brackets, or this machine."""
    return text == "localhost" or any(sign in text for sign in ".:[")


def with_quoted_user(url: str) -> str:
    """A URL whose user and password are percent-encoded, as programs expect them.

    What is encoded already stays as it is.
    """
    scheme, separator, rest = url.partition("://")
    user, place = split_user(rest)
    if not separator or user is None:
        return url
    name, colon, password = user.partition(":")
    return f"{scheme}://{_quoted(name)}{colon}{_quoted(password)}@{place}"


def _quoted(text: str) -> str:
    """Percent-encoded, unless it is already; a ``%`` that encodes nothing is encoded."""
    kept = re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", text)
    return quote(kept, safe="%!$&'()*+,;=-._~")


class Scrub:
    """Takes the secrets of one source out of other libraries' messages."""

    def __init__(self, source: Source) -> None:
        """Know what to look for."""
        address, self._name = source.address, source.name
        rest = address.partition("://")[2]
        user, place = split_user(rest, careful=True)
        secrets = [match[2] for match in _PARAMETER.finditer(place)]
        if user is not None:
            name, _, password = user.partition(":")
            secrets += [user, password, name]
        forms = {form for s in secrets for form in (s, unquote(s), quote(s, safe=""), _quoted(s))}
        self._secrets = sorted((s for s in forms if len(s) >= _SHORTEST), key=len, reverse=True)
        self._addresses = [a for a in (address, with_quoted_user(address)) if "://" in a]

    def __call__(self, text: str) -> str:
        """The message as it may be shown."""
        for address in self._addresses:
            text = text.replace(address, self._name)
        text = hide_credentials(text)
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text
