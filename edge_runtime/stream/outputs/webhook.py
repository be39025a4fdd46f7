"""``--webhook``: each event POSTed as JSON, again and again until the server has taken it.

Headers are those of Standard Webhooks (https://www.standardwebhooks.com): ``webhook-id`` stays the
same when a message is sent again, ``webhook-timestamp``, and with a secret ``webhook-signature``,
HMAC-SHA256 over ``id.timestamp.body``. ``Idempotency-Key`` repeats the id.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import json
import random
import secrets
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass

from ...errors import EdgeError, UsageError, first_line
from ..results import Event
from ..status import Status
from .base import Output
from .http_post import Answer, Target
from .messages import message

#: Holds the secret of the signature.
SECRET_VARIABLE = "EDGE_CLASSIFY_WEBHOOK_SECRET"  # noqa: S105  # its name

#: Beginning of a secret in base64, as Standard Webhooks writes one.
_ENCODED = "whsec_"

#: Answers after which the same message may be taken later: time-out, too early, too many.
_LATER = (408, 425, 429)

#: Seconds for a last attempt, once the stream ends, and for those of all that waits.
_LAST, _FAREWELL = 2.0, 4.0


class NotDelivered(EdgeError):
    """A message was given up."""


@dataclass(frozen=True)
class Patience:
    """How long a webhook is tried.

    Attributes:
        connect: Seconds for the connection to one address of the server.
        whole: Seconds for the look-up of its name, connection, message and answer.
        first: Seconds before the second attempt; doubled each time, half of it by chance.
        longest: Seconds between two attempts at most, unless the server asks for more.
        give_up: Seconds after which a message is given up.
    """

    connect: float = 5.0
    whole: float = 15.0
    first: float = 1.0
    longest: float = 60.0
    give_up: float = 600.0


class Webhook(Output):
    """Posts events, one after the other, in order."""

    name = "webhook"
    wants_pictures = False
    wants_results = False
    capacity = 256

    def __init__(
        self,
        url: str,
        status: Status,
        kinds: Collection[str],
        secret: str | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Check the URL and the secret; nothing is sent yet.

        Args:
            url: Where to.
            status: Of the stream, for the source's name.
            kinds: Of events that are sent.
            secret: Of the signature; None for none.
            patience: None for the defaults.

        Raises:
            UsageError: No URL, or a secret that is no base64 though it says so.
        """
        self._target = Target(url, "--webhook")
        self._source, self._kinds = status.source, kinds
        self._key = None if secret is None else _key(secret)
        self._patience = patience or Patience()
        self._hurried, self._end = threading.Event(), float("inf")

    def event(self, event: Event) -> None:
        """Deliver one event, however long it takes, within limits.

        Raises:
            NotDelivered: The server refused it, or could not be reached for too long.
        """
        if event.kind not in self._kinds:
            return
        body = json.dumps(message(event, self._source)).encode()
        identifier = f"msg_{secrets.token_hex(12)}"
        end = time.monotonic() + self._patience.give_up
        attempt = 0
        while True:
            last, whole = self._hurried.is_set(), self._patience.whole
            if last:
                whole = min(_LAST, self._end - time.monotonic())
                if whole <= 0:
                    raise NotDelivered(f"{self._target.name}: the stream ended first.")
            reason, wished = self._try(identifier, body, whole)
            if reason is None:
                return
            wait = self._wait(attempt, wished)
            # A server that names a time is not asked before it, which may be after ours.
            if last or time.monotonic() + wait > end + (wished or 0.0):
                raise NotDelivered(f"{reason}. An event was given up.")
            attempt += 1
            self._hurried.wait(wait)

    def hurry(self) -> None:
        """One more attempt for what is left."""
        self._end = time.monotonic() + _FAREWELL
        self._hurried.set()

    def _try(self, identifier: str, body: bytes, whole: float) -> tuple[str | None, float | None]:
        """Why it was not taken (None: it was), and the seconds that the server asks for."""
        headers = self._headers(identifier, body)
        try:
            answer = self._target.post(body, headers, self._patience.connect, whole)
        except (OSError, http.client.HTTPException) as error:
            said = getattr(error, "strerror", None) or first_line(error)
            return f"{self._target.name}: {said}", None
        if 200 <= answer.status < 300:
            return None, None
        reason = f"{self._target.name} answered {answer.status} {answer.reason}".rstrip()
        if not _may_be_sent_again(answer):
            raise NotDelivered(f"{reason}, so an event was given up. Check the URL.")
        return reason, answer.retry_after

    def _wait(self, attempt: int, wished: float | None) -> float:
        longest, first = self._patience.longest, self._patience.first
        backoff = min(longest, first * 2.0 ** min(attempt, 30))
        # Many devices that lost one server must not all come back at the same moment.
        backoff *= random.uniform(0.5, 1.0)  # noqa: S311  # no secret depends on it
        return max(backoff, wished or 0.0)

    def _headers(self, identifier: str, body: bytes) -> dict[str, str]:
        moment = str(int(time.time()))
        headers = {
            "webhook-id": identifier,
            "webhook-timestamp": moment,
            "Idempotency-Key": identifier,
        }
        if self._key is not None:
            signed = f"{identifier}.{moment}.".encode() + body
            digest = hmac.new(self._key, signed, hashlib.sha256).digest()
            headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
        return headers


def _may_be_sent_again(answer: Answer) -> bool:
    return answer.status >= 500 or answer.status in _LATER


def _key(secret: str) -> bytes:
    if not secret.startswith(_ENCODED):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_ENCODED), validate=True)
    except (binascii.Error, ValueError):
        raise UsageError(f"{SECRET_VARIABLE}: base64 was expected behind {_ENCODED}.") from None
