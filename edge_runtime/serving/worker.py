"""The one thread that runs a model, and what waits for it."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence

from ..pipeline import Decoded
from ..prediction import Prediction
from .jobs import Job, PhotoJob, TensorJob, refused
from .problems import ClientGone

_log = logging.getLogger("edge_runtime")


class Worker:
    """Runs jobs in their order; photos that wait at the same time share a run where they may.

    It never waits for more of them: what is there is run at once.

    Attributes:
        batches: Runs by their number of photos.
        seconds: Of all inference.
        busy_since: ``time.monotonic()`` of the run that goes on; None while idle.
        failures: Runs that failed.
    """

    def __init__(self, name: str, max_batch: int) -> None:
        """Start the thread.

        Args:
            name: Of the model.
            max_batch: Photos a run of a model that takes any number.
        """
        self._max_batch = max_batch
        self._waiting: deque[Job] = deque()
        self._there = threading.Condition()
        self._ended = False
        self.batches: Counter[int] = Counter()
        self.seconds = 0.0
        self.busy_since: float | None = None
        self.failures = 0
        self._thread = threading.Thread(target=self._run, name=f"model-{name}", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, job: Job) -> None:
        """Have a job done; from any thread."""
        with self._there:
            self._waiting.append(job)
            self._there.notify()

    def stop(self, timeout: float) -> bool:
        """End the thread after what it is doing; whether it has ended."""
        with self._there:
            self._ended = True
            self._there.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def batch_of(self, job: Job) -> int:
        """Photos that a run of this job's model takes at most."""
        fixed = job.classifier.backend.batch
        return self._max_batch if fixed is None else fixed

    def _run(self) -> None:
        while True:
            group = self._next()
            if group is None:
                return
            self._begun()
            start = time.perf_counter()
            found = self._done(group)
            self.seconds += time.perf_counter() - start
            self.batches[len(group)] += 1
            self.busy_since = None
            _deliver(group, found)
            del group, found  # a model that was replaced is let go of, now and not at the next job

    def _next(self) -> list[Job] | None:
        with self._there:
            while True:
                while self._waiting and self._waiting[0].gone:
                    self._waiting.popleft()
                if self._waiting:
                    break
                if self._ended:
                    return None
                self._there.wait()
            first = self._waiting.popleft()
            group = [first]
            if isinstance(first, PhotoJob) and not first.explain:
                most = self.batch_of(first)
                while len(group) < most and self._waiting:
                    if self._waiting[0].gone:
                        self._waiting.popleft()
                    elif first.shares_run_with(self._waiting[0]):
                        group.append(self._waiting.popleft())
                    else:
                        break
            return group

    def _begun(self) -> None:
        self.busy_since = time.monotonic()

    def _done(self, group: Sequence[Job]) -> Sequence[object]:
        first = group[0]
        try:
            if isinstance(first, TensorJob):
                return [first.run(self.batch_of(first), self._begun)]
            return _classified([job for job in group if isinstance(job, PhotoJob)])
        except ClientGone as gone:
            return [gone]
        except BaseException as error:  # the thread has to outlive whatever a model does
            self.failures += 1
            explain = isinstance(first, PhotoJob) and first.explain
            problem = refused(error, explain)
            if getattr(problem, "status", 500) == 500:
                _log.warning("an inference failed: %s", error)
            return [problem] * len(group)


def _classified(jobs: Sequence[PhotoJob]) -> Sequence[Prediction]:
    decoded = [job.decoded or Decoded(job.name, None, 0.0) for job in jobs]
    first = jobs[0]
    most = max(job.wishes.k for job in jobs)
    found = first.classifier.answer(decoded, most, first.explain)
    return [job.named(answer) for job, answer in zip(jobs, found, strict=True)]


def _deliver(group: Sequence[Job], found: Sequence[object]) -> None:
    def hand_over() -> None:
        for job, result in zip(group, found, strict=True):
            job.finish(result)

    try:
        group[0].loop.call_soon_threadsafe(hand_over)
    except RuntimeError:  # the event loop was closed meanwhile
        return
