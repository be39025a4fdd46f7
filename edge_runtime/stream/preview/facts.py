"""What the page says beside the picture, as JSON values."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..results import iso_time

if TYPE_CHECKING:
    from ..results import Event

#: Characters of a text that comes from elsewhere; a page shall stay small.
_LONGEST = 300

#: Counters of :meth:`Status.snapshot` that the page shows.
_COUNTERS = ("results", "dropped", "corrupt", "reconnects", "inference_failures")


def state(
    snapshot: dict[str, Any],
    viewers: int,
    trouble: dict[str, Any] | None = None,
    passed: float = 0.0,
) -> dict[str, Any]:
    """What is so now.

    Args:
        snapshot: As of :meth:`Status.snapshot <edge_runtime.stream.status.Status.snapshot>`.
        viewers: How many look.
        trouble: Data of the last "source" event, if that told of one.
        passed: Seconds since then.

    Returns:
        ``label`` (``text``, ``state``: ``label``, ``unknown``, ``undecided`` or ``none``,
        ``score``, ``since``), ``top``, ``source`` (``name``, ``state``, ``seconds``, and while it
        is lost ``reason``, ``attempt``, ``retry_s``, seconds until it is opened again), ``model``,
        ``frame_seconds``, ``numbers``, ``viewers``, ``time``.
    """
    last = snapshot.get("last") or {}
    ms = last.get("ms") or {}
    source = {
        "name": snapshot["source"],
        "state": snapshot["source_state"],
        "seconds": snapshot.get("source_state_s"),
    }
    if trouble is not None and "reason" in trouble:
        wait = trouble.get("retry_in_s")
        source |= {
            "reason": str(trouble["reason"])[:_LONGEST],
            "attempt": trouble.get("attempt"),
            "retry_s": None if wait is None else round(max(wait - passed, 0.0), 1),
        }
    return {
        "time": snapshot.get("updated"),
        "label": _label(last),
        "top": last.get("top") or [],
        "source": source,
        # Where it lies is nobody's business who looks from elsewhere.
        "model": os.path.basename(snapshot["model"].rstrip("/")) or snapshot["model"],
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
        ``time``, ``kind``, ``state`` (of a source), ``text``, ``score`` (or null), ``unknown`` (of a label).
    """
    data = event.data
    score, unknown = None, False
    if event.kind == "label":
        unknown = bool(data.get("unknown"))
        text = "unknown" if unknown else str(data.get("label") or "undecided")
        score = data.get("score")
    else:
        text = _in_words(event.kind, data)
    return {
        "time": iso_time(event.time),
        "kind": event.kind,
        "state": data.get("state"),
        "text": text[:_LONGEST],
        "score": score,
        "unknown": unknown,
    }


def _in_words(kind: str, data: dict[str, Any]) -> str:
    """What an event tells, its state and reason first."""
    rest = [
        f"{key.removesuffix('_s').replace('_', ' ')} {_short(value)}{' s' if key.endswith('_s') else ''}"
        for key, value in data.items()
        if key not in ("state", "reason") and value is not None
    ]
    first = [str(data[key]).rstrip(".") for key in ("state", "reason") if data.get(key)]
    return ", ".join([": ".join(first), *rest] if first else rest) or kind


def _short(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


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
