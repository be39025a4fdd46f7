"""The CPUs that the measured processes may use."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from edge_runtime.errors import UsageError


def parse_cpus(text: str) -> tuple[int, ...]:
    """CPU numbers from a list such as ``0,2-3``, as taskset(1) takes it.

    Raises:
        UsageError: It is none, or a CPU does not exist or may not be used.
    """
    found: list[int] = []
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        if not low.isdecimal() or (dash and not high.isdecimal()) or len(part) > 12:
            raise UsageError(f"--pin {text}: expected CPU numbers such as 0,2-3.")
        numbers = range(int(low), int(high or low) + 1)
        if not numbers or len(numbers) > 4096:
            raise UsageError(f"--pin {text}: {part} is no range from low to high.")
        found += numbers
    usable = _usable()
    absent = [number for number in dict.fromkeys(found) if number not in usable]
    if absent:
        raise UsageError(
            f"--pin {text}: CPU {absent[0]} does not exist or may not be used. "
            f"Usable here: {','.join(map(str, sorted(usable)))}."
        )
    return tuple(dict.fromkeys(found))


def _usable() -> set[int]:
    try:
        return set(os.sched_getaffinity(0))
    except AttributeError as error:  # not Linux
        raise UsageError("--pin: this system does not let a process choose its CPUs.") from error


@contextlib.contextmanager
def pinned(cpus: tuple[int, ...] | None) -> Iterator[None]:
    """Let this thread, and the processes that it starts meanwhile, run on some CPUs only.

    Other threads keep theirs: whoever watches the machine stays out of the way.

    Args:
        cpus: Of :func:`parse_cpus`; None for all.
    """
    if cpus is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
