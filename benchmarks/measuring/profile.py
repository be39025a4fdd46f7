"""Where the time of an inference goes, by type of operator: onnxruntime's own profiler."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edge_runtime.backends.base import path_or_bytes
from edge_runtime.backends.onnx_session import open_session
from edge_runtime.bundle import Bundle

from .opened import engine_of, open_request, pixels_of

#: Runs that are left out of the profile.
WARM_RUNS = 3

_NODE_END = "_kernel_time"


def profile(request: dict[str, Any]) -> dict[str, Any]:
    """Run an ONNX file some times under onnxruntime's profiler.

    Args:
        request: See :mod:`.worker`.

    Returns:
        What :func:`summarize` does.
    """
    classifier = open_request(request).classifier
    tensor = classifier.backend.filled(
        classifier.backend.prepare(pixels_of(classifier, request["photo"]))
    )
    engine, path = engine_of(request), request["model"]
    if request["format"] is not None:
        path = os.fspath(Bundle.open(path).file(request["format"])[1])
    with tempfile.TemporaryDirectory() as folder:
        session = open_session(path_or_bytes(path), engine, path, f"{folder}/profile")
        feed = {session.get_inputs()[0].name: tensor}
        for _ in range(WARM_RUNS + request["runs"]):
            session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return summarize(events, WARM_RUNS)


def summarize(events: Iterable[dict[str, Any]], warm_runs: int) -> dict[str, Any]:
    """Sum a profile by type of operator.

    Args:
        events: Of onnxruntime's profile, in Chrome's trace format: times in microseconds.
        warm_runs: Runs at the beginning that do not count.

    Returns:
        ``profiler``, ``runs``, ``ms`` (of one run, all operators), ``operators`` (the dearest first:
        ``operator``, ``calls`` and ``ms`` of one run, ``share`` of the time) and ``providers`` (how
        many operators of a run each execution provider ran).
    """
    events = list(events)
    starts = sorted(event["ts"] for event in events if event.get("name") == "model_run")
    runs = max(len(starts) - warm_runs, 0)
    begin = starts[warm_runs] if runs else float("inf")
    times: dict[str, float] = {}
    calls: dict[str, int] = {}
    providers: dict[str, int] = {}
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") != "Node" or not name.endswith(_NODE_END) or event["ts"] < begin:
            continue
        about = event.get("args", {})
        operator = about.get("op_name") or name.removesuffix(_NODE_END)
        times[operator] = times.get(operator, 0.0) + event["dur"]
        calls[operator] = calls.get(operator, 0) + 1
        provider = about.get("provider") or "unknown"
        providers[provider] = providers.get(provider, 0) + 1
    total = sum(times.values())
    return {
        "profiler": "onnxruntime",
        "runs": runs,
        "ms": round(total / max(runs, 1) / 1e3, 4),
        "operators": [
            {
                "operator": operator,
                "calls": calls[operator] / max(runs, 1),
                "ms": round(time / max(runs, 1) / 1e3, 4),
                "share": round(time / total, 4) if total else 0.0,
            }
            for operator, time in sorted(times.items(), key=lambda item: -item[1])
        ],
        "providers": {name: round(count / max(runs, 1)) for name, count in providers.items()},
    }
