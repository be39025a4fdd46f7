"""What does the trial run of a new model file cost, and what the look-up at every later start?

Run ``python -m benchmarks.perf.trial_run BUNDLE [PHOTO]``. ``edge-classify image`` classifies a
photo with trial runs switched off, with one that is remembered, and (a few times) with one that
is not, in turns, each a process of its own. Printed: milliseconds from start to exit, median and
range, and the difference of the pairs. Ends with exit code 4 where the look-up costs more than
``--limit``.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from benchmarks.perf.common import (
    EXIT_CHECK_FAILED,
    first_photo,
    print_machine,
    shared_option,
    spread,
)


@click.command()
@click.argument("bundle")
@click.argument("photo", required=False)
@click.option("--format", "fmt", default="tflite-int8", show_default=True)
@click.option("--runs", default=41, show_default=True, type=click.IntRange(3))
@click.option("--limit", default=3.0, show_default=True, help="Milliseconds for the look-up.")
@shared_option()
def main(bundle: str, photo: str | None, fmt: str, runs: int, limit: float, shared: Path) -> None:
    """Compare starts with and without trial runs."""
    print_machine()
    command = [sys.executable, "-m", "edge_runtime.cli", "image", "--model", bundle]
    command += ["--format", fmt, "--threads", "1", photo or first_photo(shared)]
    with tempfile.TemporaryDirectory() as cache:
        off = {"EDGE_CLASSIFY_CACHE": cache, "EDGE_CLASSIFY_PROBE": "0"}
        on = {"EDGE_CLASSIFY_CACHE": cache, "EDGE_CLASSIFY_PROBE": "1"}
        _milliseconds(command, off), _milliseconds(command, on)  # fill the caches
        pairs = []
        for number in range(runs):
            first, second = (off, on) if number % 2 else (on, off)
            times = {first["EDGE_CLASSIFY_PROBE"]: _milliseconds(command, first)}
            times[second["EDGE_CLASSIFY_PROBE"]] = _milliseconds(command, second)
            pairs.append((times["0"], times["1"]))
        fresh = []
        for number in range(3):
            new = {**on, "EDGE_CLASSIFY_CACHE": os.path.join(cache, str(number))}
            fresh.append(_milliseconds(command, new))
    click.echo(f"{fmt}, {runs} pairs; start to exit, ms, median (smallest to largest)")
    click.echo(f"switched off     {spread([off for off, _ in pairs], 1)}")
    click.echo(f"remembered       {spread([on for _, on in pairs], 1)}")
    click.echo(f"first time       {spread(fresh, 1)}  (checksum included)")
    added = statistics.median(on - off for off, on in pairs)
    click.echo(f"the look-up adds {added:.2f} ms (median of the differences)")
    if added > limit:
        sys.exit(EXIT_CHECK_FAILED)


def _milliseconds(command: list[str], env: dict[str, str]) -> float:
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, env={**os.environ, **env}, check=False)
    end = time.perf_counter()
    if done.returncode:
        raise click.ClickException(done.stderr.decode().strip())
    return (end - start) * 1000


if __name__ == "__main__":
    main()
