"""What the page says beside the picture, as JSON values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..results import iso_time

if TYPE_CHECKING:
    from ..results import Event

#: Characters of a text that comes from elsewhere; a page shall stay small.
_LONGEST = 300

#: Counters of :meth:`Status.snapshot` that the page shows.
_COUNTERS = ("results", "dropped", "corrupt", "reconnects", "inference_failures")


def state(snapshot: dict[str, Any], viewers: int) -> dict[str, Any]:
    """What is so now.

    Args:
        snapshot: As of :meth:`Status.snapshot <edge_runtime.stream.status.Status.snapshot>`.
        viewers: How many look.

    Returns:
        ``label`` (``text``, ``state``: ``label``, ``unknown``, ``undecided`` or ``none``,
        ``score``, ``since``), ``top``, ``source`` (``name``, ``state``, ``seconds``), ``model``,
        ``numbers``, ``viewers``, ``time``.
    """
    last = snapshot.get("last") or {}
    ms = last.get("ms") or {}
    source = {
        "name": snapshot["source"],
        "state": snapshot["source_state"],
        "seconds": snapshot.get("source_state_s"),
    }
    return {
        "time": snapshot.get("updated"),
        "label": _label(last),
        "top": last.get("top") or [],
        "source": source,
        "model": snapshot["model"],
        "frame_seconds": snapshot.get("last_result_s"),
        "numbers": {
            "fps": snapshot.get("fps"),
            "age_ms": last.get("age_ms"),
            "infer_ms": ms.get("infer"),
            **{name: snapshot.get(name, 0) for name in _COUNTERS},
            "output_drops": sum(snapshot.get("output_drops", {}).values()),
            "uptime_s": snapshot.get("uptime_s"),
        },
        "viewers": viewers,
    }


def happening(event: Event) -> dict[str, Any]:
    """One line of the history.

    Returns:
        ``time``, ``kind``, ``text``, ``score`` (or null), ``unknown`` (of a label).
    """
    data = event.data
    score, unknown = None, False
    if event.kind == "label":
        unknown = bool(data.get("unknown"))
        text = "unknown" if unknown else str(data.get("label") or "undecided")
        score = data.get("score")
    else:
        said = [f"{key} {value}" for key, value in data.items() if key != "state"]
        text = ", ".join([str(data.get("state", event.kind)), *said])
    return {
        "time": iso_time(event.time),
        "kind": event.kind,
        "text": text[:_LONGEST],
        "score": score,
        "unknown": unknown,
    }


def _label(last: dict[str, Any]) -> dict[str, Any]:
    """The label that stands; without smoothing, the frame's own."""
    steady = last.get("steady")
    if steady is None:
        if last.get("label") is None:
            return {"text": None, "state": "none", "score": None, "since": None}
        unknown = bool(last.get("unknown"))
        text = "unknown" if unknown else last["label"]
        kind, since = ("unknown" if unknown else "label"), None
        return {"text": text, "state": kind, "score": last["score"], "since": since}
    if steady["unknown"]:
        text, kind = "unknown", "unknown"
    elif steady["label"] is None:
        text, kind = None, "undecided"
    else:
        text, kind = steady["label"], "label"
    return {"text": text, "state": kind, "score": steady["score"], "since": steady["since"]}
