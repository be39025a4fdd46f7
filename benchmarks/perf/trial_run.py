"""What does the trial run of a new model file cost, and what the look-up at every later start?

Run ``python -m benchmarks.perf.trial_run BUNDLE [PHOTO]``. ``edge-classify image`` classifies a
photo with trial runs switched off, with one that is remembered, and (a few times) with one that
is not, in turns, each a process of its own. Printed: milliseconds from start to exit, median and
range, and the difference of the pairs in processor time, which other programs disturb less. Ends
with exit code 4 where the look-up costs more of it than ``--limit``.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import click

from benchmarks.perf.common import (
    EXIT_CHECK_FAILED,
    first_photo,
    print_machine,
    shared_option,
    spread,
)


class _Cost(NamedTuple):
    """Milliseconds of one run."""

    wall: float
    processor: float


@click.command()
@click.argument("bundle")
@click.argument("photo", required=False)
@click.option("--format", "fmt", default="tflite-int8", show_default=True)
@click.option("--runs", default=41, show_default=True, type=click.IntRange(3))
@click.option("--limit", default=3.0, show_default=True, help="Milliseconds of the look-up.")
@shared_option()
def main(bundle: str, photo: str | None, fmt: str, runs: int, limit: float, shared: Path) -> None:
    """Compare starts with and without trial runs."""
    print_machine()
    command = [sys.executable, "-m", "edge_runtime.cli", "image", "--model", bundle]
    command += ["--format", fmt, "--threads", "1", photo or first_photo(shared)]
    with tempfile.TemporaryDirectory() as cache:
        off = {"EDGE_CLASSIFY_CACHE": cache, "EDGE_CLASSIFY_PROBE": "0"}
        on = {"EDGE_CLASSIFY_CACHE": cache, "EDGE_CLASSIFY_PROBE": "1"}
        _measure(command, off), _measure(command, on)  # fill the caches
        pairs = []
        for number in range(runs):
            first, second = (off, on) if number % 2 else (on, off)
            times = {first["EDGE_CLASSIFY_PROBE"]: _measure(command, first)}
            times[second["EDGE_CLASSIFY_PROBE"]] = _measure(command, second)
            pairs.append((times["0"], times["1"]))
        fresh = []
        for number in range(3):
            new = {**on, "EDGE_CLASSIFY_CACHE": os.path.join(cache, str(number))}
            fresh.append(_measure(command, new))
    click.echo(f"{fmt}, {runs} pairs; start to exit, ms, median (smallest to largest)")
    click.echo(f"switched off     {spread([off.wall for off, _ in pairs], 1)}")
    click.echo(f"remembered       {spread([on.wall for _, on in pairs], 1)}")
    click.echo(f"first time       {spread([new.wall for new in fresh], 1)}  (checksum included)")
    added = statistics.median(on.processor - off.processor for off, on in pairs)
    click.echo(f"the look-up adds {added:.2f} ms of processor time (median of the differences)")
    if added > limit:
        sys.exit(EXIT_CHECK_FAILED)


def _measure(command: list[str], env: dict[str, str]) -> _Cost:
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **env}
    )
    _, status, usage = os.wait4(process.pid, 0)
    end = time.perf_counter()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"{' '.join(command)} ended with {process.returncode}.")
    return _Cost((end - start) * 1000, (usage.ru_utime + usage.ru_stime) * 1000)


if __name__ == "__main__":
    main()
