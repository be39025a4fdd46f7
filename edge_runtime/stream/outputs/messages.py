"""An event as other programs are told of it."""

from __future__ import annotations

import socket
from typing import Any

from ..results import Event

#: Kinds of events that somebody can be told of.
KINDS = ("label", "source", "reload", "stop")


def message(event: Event, source: str) -> dict[str, Any]:
    """The JSON object of an event, with where it happened.

    Args:
        event: What happened.
        source: Name of the source, without credentials.

    Returns:
        ``event``, ``time``, ``host``, ``source``, and what belongs to that kind of event.
    """
    told = event.to_dict()
    place = {"host": socket.gethostname(), "source": source}
    return {"event": told.pop("event"), "time": told.pop("time"), **place, **told}


def state_of(event: Event) -> str | None:
    """What stands after a label event: a label, ``unknown``, or None while nothing is decided."""
    return "unknown" if event.data.get("unknown") else event.data.get("label")
