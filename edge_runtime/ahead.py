"""Work that threads do ahead of who asks for its results, in order and within bounds.

The work has to spend its time where Python's global lock is released, as Pillow's decoders and
resizing and numpy's casts do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Seconds that closing waits for a thread. One that is stuck in the caller's iterator (a pipe that
#: nobody writes to) cannot be woken: it is a daemon and ends with the next item or the process.
_PATIENCE = 0.05

#: Seconds that closing gives a thread for what it works on; a file on a network that does not
#: answer is left behind.
_LAST_PHOTO = 2


class _Box(Generic[Result]):
    """Where one result will be, or what its work raised."""

    def __init__(self) -> None:
        self._content: SimpleQueue[tuple[Result | None, BaseException | None]] = SimpleQueue()

    def put(self, result: Result | None, error: BaseException | None = None) -> None:
        self._content.put((result, error))

    def get(self) -> Result:
        result, error = self._content.get()
        if error is not None:
            raise error
        return result  # type: ignore[return-value]  # None only beside an error

    def ready(self) -> bool:
        return not self._content.empty()


class Ahead(Generic[Item, Result]):
    """Results of ``work`` on ``items``: iterate over it, and close it.

    The items are drawn by the threads, so an iterator that waits for its next item delays no
    result. Only SimpleQueue passes things between threads: it is written in C, and wakes a thread
    in microseconds where Condition and Queue take Python's lock several times.
    """

    def __init__(
        self,
        work: Callable[[Item], Result],
        items: Iterable[Item],
        workers: int,
        limit: int,
    ) -> None:
        """Start the threads.

        Args:
            work: Called on any of the threads; what it raises is raised at its result's place.
            items: May be endless; what it raises is raised after the results before.
            workers: Threads.
            limit: Items that have been drawn and whose result nobody has taken yet, at most.
        """
        self._work, self._items = work, iter(items)
        self._drawing = threading.Lock()
        self._ended = False
        self._order: SimpleQueue[_Box[Result] | None] = SimpleQueue()
        self._next: _Box[Result] | None = None
        self._room: SimpleQueue[None] = SimpleQueue()
        for _ in range(limit):
            self._room.put(None)
        self._threads = [
            threading.Thread(target=self._run, name="edge-decode", daemon=True)
            for _ in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Ahead[Item, Result]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Result]:
        return self

    def __next__(self) -> Result:
        box, self._next = self._next or self._order.get(), None
        if box is None:
            self._order.put(None)  # for whoever asks again
            raise StopIteration
        try:
            return box.get()
        finally:
            self._room.put(None)

    def ready(self) -> bool:
        """Whether the next result, or that there is none, is known without waiting."""
        if self._next is None:
            if self._order.empty():
                return False
            self._next = self._order.get()
            if self._next is None:
                self._order.put(None)
                return True
        return self._next.ready()

    def close(self) -> None:
        """End the threads: each leaves after the item that it works on; safe to call twice."""
        self._ended = True
        for _ in self._threads:
            self._room.put(None)
        if not self._drawing.acquire(timeout=_PATIENCE):
            return  # the others wait behind the one that is stuck
        self._drawing.release()
        for thread in self._threads:
            thread.join(_LAST_PHOTO)

    def _run(self) -> None:
        while True:
            self._room.get()
            box: _Box[Result] = _Box()
            with self._drawing:
                if self._ended:
                    return
                try:
                    item = next(self._items)
                except StopIteration:
                    self._end(None)
                    return
                except BaseException as error:
                    box.put(None, error)
                    self._end(box)
                    return
                self._order.put(box)
            try:
                box.put(self._work(item))
            except BaseException as error:
                box.put(None, error)
            # The last photo of a slow source must not stay in memory until the next one comes.
            del item, box

    def _end(self, box: _Box[Result] | None) -> None:
        """Nothing more comes; called while drawing, once."""
        self._ended = True
        if box is not None:
            self._order.put(box)
        self._order.put(None)
        for _ in self._threads:
            self._room.put(None)
