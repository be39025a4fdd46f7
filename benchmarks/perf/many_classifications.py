"""Does a process that classifies for a year stay as it is? Memory, open files, threads.

Run ``python -m benchmarks.perf.many_classifications MODEL [PHOTO...]``. One process classifies
``--count`` photos, the given ones (default: 200 test photos) again and again, with
``Classifier.classify_many`` in rounds, one in ten left early; every thousandth photo is one that
cannot be read. Every ``--every`` photos resident memory, and what of the heap is in use and free,
are printed, with open file descriptors and threads. Exit code 4 if memory has grown by more than
``--growth`` MB, or anything is left open.

Memory is judged by its low water: the smallest value of the last quarter against that of the first.
A single reading says when it was taken: between them the allocator keeps 2 to 4 MB of freed photos
or gives them back, as the threads that decode happen to end. An EfficientNetV2B0 in int8 on x86 had
72.4 MB after 2,000 photos, 74.4 after 46,000, 72.3 after 48,000 and 72.5 after 100,000, while the
heap in use went from 15.15 to 15.19 MB; a reading at the end alone has been 4.4 MB above the first.
A leak raises the low water.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from benchmarks.perf.common import EXIT_CHECK_FAILED, print_machine, shared_option, test_photos
from edge_runtime.classifier import Classifier
from edge_runtime.files import find_photos
from edge_runtime.procfs import resident_bytes

#: Photos of a call of classify_many.
_ROUND = 500


class State(NamedTuple):
    """What a leak would show in; sizes in MB."""

    megabytes: float
    used: float | None  #: of the heap; None where the C library does not tell
    free: float | None
    files: int
    threads: int

    def __str__(self) -> str:
        heap = "" if self.used is None else f"heap {self.used:.2f} MB used, {self.free:.2f} free, "
        return (
            f"{self.megabytes:.1f} MB resident, {heap}{self.files} open files, "
            f"{self.threads} threads"
        )


class _MallInfo(ctypes.Structure):
    """``struct mallinfo2`` of mallinfo(3), glibc 2.33 and later."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
            "fordblks", "keepcost",
        )
    ]  # fmt: skip


def state() -> State:
    """Of this process, now; needs Linux' ``/proc``."""
    threads = len(os.listdir("/proc/self/task"))
    used = free = None
    function = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if function is not None:
        function.restype = _MallInfo
        heap = function()
        used, free = (heap.uordblks + heap.hblkhd) / 1e6, heap.fordblks / 1e6
    files = len(os.listdir("/proc/self/fd"))
    return State((resident_bytes() or 0) / 1e6, used, free, files, threads)


@click.command()
@click.argument("model")
@click.argument("photos", nargs=-1)
@click.option("--count", default=100_000, show_default=True, type=click.IntRange(1))
@click.option("--warm-up", default=2000, show_default=True, type=click.IntRange(1), help="Photos.")
@click.option("--format", "fmt", help="Artifact of a bundle.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1))
@click.option("--every", default=2000, show_default=True, type=click.IntRange(1), help="Photos.")
@click.option("--growth", default=4.0, show_default=True, help="MB that the low water may rise.")
@shared_option()
def main(
    model: str,
    photos: tuple[str, ...],
    count: int,
    warm_up: int,
    every: int,
    fmt: str | None,
    threads: int,
    growth: float,
    shared: Path,
) -> None:
    """Classify COUNT photos in this process and watch its memory, open files and threads."""
    print_machine()
    paths = list(photos) or find_photos(test_photos(shared))[:200]
    states, errors = [], 0
    with Classifier.open(model, fmt, threads) as classifier:
        classify(classifier, paths, warm_up)
        states.append(state())
        click.echo(f"after the warm-up of {warm_up}: {states[0]}")
        start = time.perf_counter()
        for done in range(0, count, every):
            errors += classify(classifier, paths, min(every, count - done))
            states.append(state())
            click.echo(f"after {min(done + every, count)} more: {states[-1]}")
        seconds = time.perf_counter() - start
    click.echo(f"{errors} unreadable; {count / seconds:.0f} photos/s")
    grown = growth_of([found.megabytes for found in states])
    click.echo(f"first {states[0]}; last {states[-1]}; low water grown by {grown:+.1f} MB")
    leaked = states[-1].files > states[0].files or states[-1].threads > states[0].threads
    if leaked or grown > growth:
        raise SystemExit(EXIT_CHECK_FAILED)


def growth_of(megabytes: Sequence[float]) -> float:
    """By how much the smallest of the last quarter is above that of the first."""
    quarter = -(-len(megabytes) // 4)
    return min(megabytes[-quarter:]) - min(megabytes[:quarter])


def classify(classifier: Classifier, paths: list[str], count: int) -> int:
    """Classify ``count`` photos in rounds; how many could not be read."""
    endless = with_bad_ones(paths)
    done = errors = rounds = 0
    while done < count:
        size = min(_ROUND, count - done)
        rounds += 1
        # Every tenth round, somebody stops listening.
        photos = endless if rounds % 10 == 0 else itertools.islice(endless, size)
        answers = classifier.classify_many(photos, k=1)
        for answer in itertools.islice(answers, size):
            errors += answer.error is not None
        answers.close()  # type: ignore[attr-defined]  # it is a generator
        done += size
    return errors


def with_bad_ones(paths: list[str]) -> Iterator[str | bytes]:
    """The photos for ever, every thousandth replaced by bytes that are no photo."""
    for number, path in enumerate(itertools.cycle(paths)):
        yield b"damaged" if number % 1000 == 999 else path


if __name__ == "__main__":
    main()
