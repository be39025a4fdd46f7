"""Inferences a second when more than one is under way: batches, and streams side by side."""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np

from edge_runtime.backends.base import DYNAMIC_BATCH, Backend

from .opened import open_request, pixels_of

#: Spans of a round that are counted apart, for the interval.
SPANS = 10

#: Warm-up of each stream, seconds and runs.
_WARM_SECONDS, _WARM_RUNS = 0.2, 2


def usual_modes(batch: int | None, threads: int | None, cores: int) -> list[tuple[int, int]]:
    """The modes that are worth measuring where none were asked for.

    Args:
        batch: Photos that a run of the model takes; None for any number.
        threads: Of each interpreter; None where it chooses for itself.
        cores: That may be used.

    Returns:
        (streams, batch) of each: one stream; as many as cores are left for, if that is more; and
        a batch, if the model takes one.
    """
    fixed = 1 if batch is None else batch
    modes = [(1, fixed)]
    if threads is not None and cores // threads > 1:
        modes.append((cores // threads, fixed))
    if batch is None:
        modes.append((1, DYNAMIC_BATCH))
    return modes


def measure_throughput(request: dict[str, Any]) -> dict[str, Any]:
    """Run each mode for some seconds.

    Args:
        request: See :mod:`.worker`; ``modes`` null for :func:`usual_modes` with ``cores``.

    Returns:
        ``modes``: of each ``streams``, ``batch`` and ``per_second``, photos a second in each of
        :data:`SPANS` equal spans. A mode whose batch the model does not take is left out.
    """
    classifier = open_request(request).classifier
    first, seconds = classifier.backend, request["seconds"]
    modes = request["modes"]
    if modes is None:
        modes = usual_modes(first.batch, request["engine"].get("threads"), request["cores"])
    tensor = first.prepare(pixels_of(classifier, request["photo"]))
    backends: list[Backend] = [first]
    found = []
    for streams, batch in modes:
        if first.batch not in (None, batch):
            continue
        while len(backends) < streams:
            backends.append(open_request(request).classifier.backend)
        several = np.repeat(tensor[:1], batch, axis=0)
        found.append(
            {
                "streams": streams,
                "batch": batch,
                "per_second": _rates(backends[:streams], several, seconds),
            }
        )
    return {"modes": found}


def _rates(backends: list[Backend], tensor: np.ndarray, seconds: float) -> list[float]:
    """Photos a second in each span, all streams together."""
    start = threading.Barrier(len(backends))
    ends: list[array[float]] = [array("d") for _ in backends]
    failures: list[Exception] = []

    def stream(backend: Backend, done: array[float]) -> None:
        try:
            _repeat(backend.run, tensor, _WARM_SECONDS, _WARM_RUNS, array("d"))
            start.wait()
            _repeat(backend.run, tensor, seconds, SPANS, done)
        except threading.BrokenBarrierError:
            return
        except Exception as error:  # told by the thread that waits for this one
            failures.append(error)
            start.abort()

    threads = [
        threading.Thread(target=stream, args=pair) for pair in zip(backends, ends, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    # From the first end to where the first stream stopped: all were busy all the time.
    first, last = min(done[0] for done in ends), min(done[-1] for done in ends)
    return _per_span(ends, first, last, len(tensor))


def _per_span(ends: list[array[float]], first: float, last: float, batch: int) -> list[float]:
    """Photos a second in equal spans between two moments; each run counts by its overlap."""
    edges = np.linspace(first, last, SPANS + 1)
    progress = sum(
        np.interp(edges, np.frombuffer(done), np.arange(len(done), dtype=float)) for done in ends
    )
    rates = np.diff(progress) * batch * SPANS / max(last - first, 1e-9)
    return [round(float(rate), 4) for rate in rates]


def _repeat(
    run: Callable[[np.ndarray], object],
    tensor: np.ndarray,
    seconds: float,
    least: int,
    ends: array[float],
) -> None:
    clock, count = time.perf_counter, 0
    end = clock() + seconds
    while True:
        run(tensor)
        now = clock()
        ends.append(now)
        count += 1
        if now >= end and count > least:
            return
