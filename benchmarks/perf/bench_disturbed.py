"""Does edge-bench notice a competing load, and do its quiet runs agree?

Run ``python -m benchmarks.perf.bench_disturbed BUNDLE``. First ``--repeats`` runs of one format with
nothing in the way: each pair of their 95 % intervals of the median must overlap. Then one run in
which as many busy processes as there are cores start half-way: it must be INVALID for that, or its
interval wider than each of the quiet ones. Exit code 4 otherwise. Close other programs first: on
a machine that is busy anyway the quiet runs are INVALID, too, which is said.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import click

from benchmarks.perf.common import EXIT_CHECK_FAILED, command, print_machine
from benchmarks.statistics import width


@click.command()
@click.argument("bundle")
@click.option("--format", "fmt", default="tflite-fp32", show_default=True)
@click.option("--repeats", default=3, show_default=True, type=click.IntRange(2))
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(3))
@click.option("--seconds", default=5.0, show_default=True, help="Of timing in each run.")
def main(bundle: str, fmt: str, repeats: int, rounds: int, seconds: float) -> None:
    """Run with and without a competing load."""
    print_machine()
    options = [
        *("--formats", fmt, "--threads", "1", "--no-throughput", "--json"),
        *("--rounds", str(rounds), "--min-seconds", str(seconds)),
    ]
    quiet, begin = [], time.monotonic()
    for number in range(repeats):
        quiet.append(_run(bundle, options))
        _print(f"quiet {number + 1}", quiet[-1])
    usual = (time.monotonic() - begin) / repeats
    with _load_after(usual / 2):
        disturbed = _run(bundle, options)
    _print("disturbed", disturbed)
    problems = []
    for one, other in itertools.combinations(quiet, 2):
        (low, high), (least, most) = (r["latency"]["p50_ci_ms"] for r in (one, other))
        if high < least or most < low:
            problems.append("two quiet runs do not agree within their intervals")
    told = [reason for reason in disturbed["reasons"] if reason.startswith("disturbed")]
    widest = max(_width(row) for row in quiet)
    if not told and _width(disturbed) <= widest:
        problems.append("the disturbed run says nothing of it, and its interval is no wider")
    if any(row["status"] == "invalid" for row in quiet):
        click.echo("note: the machine was not quiet; repeat this on one that is.")
    click.echo(f"NOT as it should be: {'; '.join(problems)}" if problems else "as it should be")
    if problems:
        raise click.exceptions.Exit(EXIT_CHECK_FAILED)


def _run(bundle: str, options: list[str]) -> dict[str, Any]:
    """The only row of a run."""
    done = subprocess.run(
        [command("edge-bench"), "run", bundle, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    row: dict[str, Any] = json.loads(done.stdout)["rows"][0]
    return row


@contextlib.contextmanager
def _load_after(seconds: float) -> Iterator[None]:
    """As many busy processes as there are cores, some time from now until the end."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        for _ in range(os.cpu_count() or 1):
            started.append(subprocess.Popen([sys.executable, "-c", "while True: pass"]))

    later = threading.Timer(seconds, start)
    later.start()
    try:
        yield
    finally:
        later.cancel()
        later.join()
        for process in started:
            process.kill()
            process.wait()


def _width(row: dict[str, Any]) -> float:
    return width(tuple(row["latency"]["p50_ci_ms"]), row["latency"]["p50_ms"])


def _print(name: str, row: dict[str, Any]) -> None:
    low, high = row["latency"]["p50_ci_ms"]
    loads = ", ".join(f"{each['other_load']:.2f}" for each in row["latency"]["rounds"])
    click.echo(
        f"{name}: {row['latency']['p50_ms']:.3f} ms ({low:.3f} to {high:.3f}, "
        f"{_width(row):.1%}), other load of the rounds {loads} cores: {row['status']}"
        + "".join(f"; {reason}" for reason in row["reasons"])
    )


if __name__ == "__main__":
    main()
