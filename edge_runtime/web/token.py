"""The secret that lets people in."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import stat

from ..errors import DataError, UsageError

_log = logging.getLogger("edge_runtime")

#: Fewer characters can be guessed.
MIN_LENGTH = 16

#: What may stand behind "Bearer" (RFC 6750, b64token).
_ALLOWED = re.compile(r"[A-Za-z0-9._~+/-]+=*\Z")

#: How a token is made; for messages.
HOW_TO = "python3 -c 'import secrets; print(secrets.token_urlsafe(24))' > token; chmod 600 token"


class Token:
    """Compares in constant time; shows itself to nobody."""

    def __init__(self, text: str, where: str) -> None:
        """Check a token.

        Args:
            text: It, without blanks around it.
            where: Where it comes from, for the message.

        Raises:
            DataError: It is too short, or has characters that a header cannot carry.
        """
        if len(text) < MIN_LENGTH or not _ALLOWED.match(text):
            raise DataError(
                f"{where}: expected a token of at least {MIN_LENGTH} letters, digits, and - . _ ~ + /. "
                f"Make one: {HOW_TO}"
            )
        self._digest = _digest(text.encode())
        # The cookie jar of a browser holds this, which opens the page and does not tell the token.
        self.cookie = hmac.new(text.encode(), b"edge-classify cookie", hashlib.sha256).hexdigest()
        self._cookie_digest = _digest(self.cookie.encode())

    def is_token(self, candidate: bytes) -> bool:
        """Whether it is the token."""
        return hmac.compare_digest(self._digest, _digest(candidate))

    def is_cookie(self, candidate: bytes) -> bool:
        """Whether it is :attr:`cookie`."""
        return hmac.compare_digest(self._cookie_digest, _digest(candidate))


def read_token(file: str | None, option: str, variable: str) -> Token | None:
    """The token of a file, else of the environment; None where there is none.

    Args:
        file: The file that the user named, or None.
        option: The option that names it, for messages.
        variable: Name of the environment variable.

    Raises:
        UsageError: There is no such file.
        DataError: It holds no token.
    """
    if file is None:
        text = os.environ.get(variable, "").strip()
        return Token(text, variable) if text else None
    try:
        with open(file, encoding="ascii") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            text = stream.read(4096).strip()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UsageError(f"{option} {file}: no such file. Make one: {HOW_TO}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{option} {file}: holds no token, but other bytes.") from error
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO) & ~stat.S_IXGRP & ~stat.S_IXOTH:
        _log.warning("%s: others can read it. chmod 600 keeps the token yours.", file)
    return Token(text, f"{option} {file}")


def _digest(secret: bytes) -> bytes:
    """Of equal length, so that comparing tells nothing about that of the token."""
    return hashlib.sha256(secret).digest()
