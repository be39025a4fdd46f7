"""One model as it is served: its thread, who waits for it, and its exchange for a newer one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ..classifier import Classifier
from .facts import Card, make_card
from .jobs import Job, PhotoJob, TensorJob, refused
from .problems import Problem, busy
from .settings import ServeSettings
from .worker import Worker

#: Photos of one request that are decoded or wait at once: others get their turn in between.
WINDOW = 4

#: Seconds that a refusal takes.
REFUSAL = 0.2


@dataclass(frozen=True)
class Loaded:
    """A model as it was opened, with what is told of it: exchanged as one.

    Attributes:
        classifier: It.
        card: Made of the same files.
    """

    classifier: Classifier
    card: Card


class ServedModel:
    """A model with a name.

    Attributes:
        name: In addresses.
        path: Where it lies; told to nobody.
        reloads: How often it was loaded anew, and how often that failed.
        inside: Requests that are answered or wait.
        worker: Its thread.
    """

    def __init__(
        self,
        name: str,
        path: str,
        open_again: Callable[[], Classifier],
        settings: ServeSettings,
    ) -> None:
        """Load the model.

        Args:
            name: In addresses.
            path: Where it lies.
            open_again: Opens it.
            settings: Limits.

        Raises:
            EdgeError: It cannot be used.
        """
        self.name, self.path, self.open_again = name, path, open_again
        self._settings = settings
        self.reloads = {"ok": 0, "failed": 0}
        self.inside = 0
        self.use(self.load())
        self.worker = Worker(name, settings.max_batch)

    def load(self) -> Loaded:
        """Open the model, and read what is told of it while the files are still those.

        Raises:
            EdgeError: It cannot be used.
        """
        classifier = self.open_again()
        return Loaded(classifier, make_card(self.name, self.path, classifier))

    def use(self, loaded: Loaded) -> None:
        """Give new requests another model; those under way keep the one that they began with."""
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        self._current = Loaded(loaded.classifier, loaded.card | {"loaded": now})

    @property
    def classifier(self) -> Classifier:
        """The one that new requests get."""
        return self._current.classifier

    @property
    def card(self) -> Card:
        """What is told of it, with ``loaded``: since when, RFC 3339."""
        return self._current.card

    async def check(self) -> None:
        """Refuse a request, before anything of it is read, where too many wait already.

        Not at once: a client that asks again without a pause, in spite of ``Retry-After``, would
        have the server spend its time on refusals.

        Raises:
            Problem: 503.
        """
        try:
            self._refuse_if_full()
        except Problem:
            await asyncio.sleep(REFUSAL)
            raise

    @property
    def is_full(self) -> bool:
        """Whether no more requests may wait."""
        return self.inside >= self._settings.max_queue

    def _refuse_if_full(self) -> None:
        if self.is_full:
            raise busy(f"{self.inside} requests wait for {self.name} already (--max-queue).")

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place in the queue for one request."""
        self._refuse_if_full()
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    def is_stuck(self) -> bool:
        """Whether its interpreter has not come back for longer than any request waits."""
        since = self.worker.busy_since
        return since is not None and time.monotonic() - since > self._settings.timeout

    async def tensors(self, job: TensorJob) -> dict[str, Any]:
        """All outputs of a run of tensors."""
        self.worker.put(job)
        return await _result(job)  # type: ignore[no-any-return]

    async def photo(self, pool: ThreadPoolExecutor, job: PhotoJob) -> Any:
        """The answer to one photo."""

        def decode() -> None:
            if job.gone:
                return
            try:
                job.decode()
            except BaseException as error:  # a thread of the pool tells nobody
                # What is no Exception would end the event loop.
                found = error if isinstance(error, Exception) else refused(error, job.explain)
                job.loop.call_soon_threadsafe(job.finish, found)
                return
            self.worker.put(job)

        pool.submit(decode)
        return await _result(job)


async def _result(job: Job) -> Any:
    try:
        return await job.future
    finally:
        job.gone = True


class Registry:
    """The models by their names; the first is the one that is meant where none is named."""

    def __init__(self, models: Sequence[ServedModel]) -> None:
        """Hold them."""
        self.models = {model.name: model for model in models}

    async def check(self, name: str | None, certain: bool) -> None:
        """Refuse a request, before anything of it is read, where that is known to be right.

        Args:
            name: Of the model.
            certain: Whether what follows cannot name another.

        Raises:
            Problem: 404 for a name that is not known, 503 for a model for which too many wait.
        """
        model = self.get(name)
        if certain or all(one.is_full for one in self.models.values()):
            await model.check()

    def get(self, name: str | None) -> ServedModel:
        """A model.

        Raises:
            Problem: 404 for a name that is not known.
        """
        if name is None:
            return next(iter(self.models.values()))
        if name not in self.models:
            known = ", ".join(self.models)
            raise Problem(404, f"There is no model {name[:60]!r}. There are: {known}.")
        return self.models[name]
