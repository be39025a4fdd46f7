"""Does a process that classifies for a year stay as it is? Memory, open files, threads.

Run ``python -m benchmarks.perf.many_classifications MODEL [PHOTO...]``. One process classifies
``--count`` photos, the given ones (default: 200 test photos) again and again, with
``Classifier.classify_many`` in rounds, one in ten left early; every thousandth photo is one that
cannot be read. Resident memory, open file descriptors and threads are printed after a warm-up and
at the end. Exit code 4 if memory has grown by more than ``--growth`` MB, or anything is left open.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from benchmarks.memory import resident_bytes
from benchmarks.perf.common import EXIT_CHECK_FAILED, print_machine, shared_option, test_photos
from edge_runtime.classifier import Classifier
from edge_runtime.files import find_photos

#: Photos of a call of classify_many.
_ROUND = 500


class State(NamedTuple):
    """What a leak would show in."""

    megabytes: float
    files: int
    threads: int

    def __str__(self) -> str:
        return f"{self.megabytes:.1f} MB resident, {self.files} open files, {self.threads} threads"


def state() -> State:
    """Of this process, now; needs Linux' ``/proc``."""
    threads = len(os.listdir("/proc/self/task"))
    return State((resident_bytes() or 0) / 1e6, len(os.listdir("/proc/self/fd")), threads)


@click.command()
@click.argument("model")
@click.argument("photos", nargs=-1)
@click.option("--count", default=100_000, show_default=True, type=click.IntRange(1))
@click.option("--warm-up", default=2000, show_default=True, type=click.IntRange(1), help="Photos.")
@click.option("--format", "fmt", help="Artifact of a bundle.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1))
@click.option(
    "--growth", default=4.0, show_default=True, help="MB; the allocator's arenas breathe by 2."
)
@shared_option()
def main(
    model: str,
    photos: tuple[str, ...],
    count: int,
    warm_up: int,
    fmt: str | None,
    threads: int,
    growth: float,
    shared: Path,
) -> None:
    """Classify COUNT photos in this process and compare its state with that after the warm-up."""
    print_machine()
    paths = list(photos) or find_photos(test_photos(shared))[:200]
    with Classifier.open(model, fmt, threads) as classifier:
        classify(classifier, paths, warm_up)
        first = state()
        click.echo(f"after {warm_up}: {first}")
        start = time.perf_counter()
        errors = classify(classifier, paths, count)
        seconds = time.perf_counter() - start
        last = state()
    click.echo(f"after {count} more: {last}; {errors} unreadable; {count / seconds:.0f} photos/s")
    click.echo(f"grown by {last.megabytes - first.megabytes:+.1f} MB")
    leaked = last.files > first.files or last.threads > first.threads
    if leaked or last.megabytes - first.megabytes > growth:
        raise SystemExit(EXIT_CHECK_FAILED)


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
