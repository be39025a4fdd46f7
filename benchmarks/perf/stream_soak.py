"""Does a stream that runs for months stay as it is? Memory, threads, open files, ages.

Run ``python -m benchmarks.perf.stream_soak MODEL [-- OPTION...]``. It runs ``edge-classify stream`` on
``test:``, faster than the model, for ``--minutes``, with several outputs at once: JSON Lines of
frames and events on a pipe, CSV, snapshots of events, a command for each event, the endpoint for
Prometheus (asked every ten seconds), the preview (which nobody looks at) and the state file; options
behind ``--`` are added (``-- --source rtsp://...`` for another source). Every ten seconds it reads
the process's resident memory, threads and open files from ``/proc``.

Memory is compared between the minute after ``--settled`` minutes and the last minute, medians of
each. Exit code 4 if it has grown by ``--growth`` MB (1), if there are more threads or open files at
the end than after ``--settled`` by more than the one that an event's command takes for a moment, or
if the age at inference (p95) exceeds what is designed: one interval of the source, and the work on
one frame (p95), during which the next one waits.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

import click

from benchmarks.perf.common import EXIT_CHECK_FAILED, print_machine
from edge_runtime.stream.results import iso_time

#: Seconds between two looks.
_STEP = 10.0

#: Pipes and pidfd of a child that is just running, and its thread.
_CHILD = 4


class Look(NamedTuple):
    """At a process, at one moment."""

    at: float  #: seconds since it was started
    megabytes: float
    anonymous: float
    threads: int
    files: int


def look(pid: int, begun: float) -> Look:
    """What /proc says; needs Linux."""
    fields = {}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        key, _, value = line.partition(":")
        fields[key] = value.split()
    return Look(
        time.monotonic() - begun,
        int(fields["VmRSS"][0]) * 1024 / 1e6,
        int(fields["RssAnon"][0]) * 1024 / 1e6,
        int(fields["Threads"][0]),
        len(os.listdir(f"/proc/{pid}/fd")),
    )


def watch(pid: int, state: Path, seconds: float, metrics: str) -> tuple[list[Look], dict[str, Any]]:
    """Look every ten seconds; all looks, and the last state file."""
    looks, begun = [], time.monotonic()
    told = begun
    while (left := begun + seconds - time.monotonic()) > 0:
        time.sleep(min(_STEP, left))
        looks.append(look(pid, begun))
        with contextlib.suppress(OSError):  # an address of our own, written above
            urllib.request.urlopen(metrics, timeout=5).read()  # noqa: S310
        if time.monotonic() - told >= 60:
            told = time.monotonic()
            click.echo(f"  {iso_time(time.time())[:19]}  {_line(looks[-1])}")
    return looks, json.loads(state.read_text())


def _line(one: Look) -> str:
    return (
        f"{one.at / 60:5.1f} min: {one.megabytes:.2f} MB resident ({one.anonymous:.2f} of its own), "
        f"{one.threads} threads, {one.files} open files"
    )


def _minute(looks: list[Look], first: float) -> list[Look]:
    return [one for one in looks if first <= one.at < first + 60] or looks[-1:]


@click.command()
@click.argument("model")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.option("--minutes", default=60.0, show_default=True)
@click.option(
    "--settled", default=5.0, show_default=True, help="Minutes after which it is settled."
)
@click.option("--growth", default=1.0, show_default=True, help="MB that memory may grow by.")
@click.option("--fps", default=200.0, show_default=True, help="Of test:, more than the model.")
@click.option("--port", default=19464, show_default=True, help="Of the Prometheus endpoint.")
def main(
    model: str,
    options: tuple[str, ...],
    minutes: float,
    settled: float,
    growth: float,
    fps: float,
    port: int,
) -> None:
    """Run a stream for a long time."""
    print_machine()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        state = place / "state.json"
        command = [
            sys.executable, "-m", "edge_runtime.cli", "stream", "--model", model,
            "--source", "test:", "--fps", str(fps), "--json", "--print", "all", "--state", str(state),
            "--csv", str(place / "answers.csv"), "--snapshots", str(place / "snapshots"),
            "--snapshots-max", "100", "--exec", "true", "--metrics", str(port),
            "--preview", "127.0.0.1:0", *options,
        ]  # fmt: skip
        with (
            subprocess.Popen(command, stdout=subprocess.PIPE) as process,
            subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL) as reader,
        ):
            address = f"http://127.0.0.1:{port}/metrics"
            try:
                looks, found = watch(process.pid, state, minutes * 60, address)
            finally:
                process.terminate()
                code = process.wait()
                reader.wait()
    if code != 0:
        raise click.ClickException(f"the stream ended with {code}.")
    before, after = _minute(looks, settled * 60), _minute(looks, looks[-1].at - 59)
    grown = statistics.median(x.megabytes for x in after) - statistics.median(
        x.megabytes for x in before
    )
    click.echo(f"after {settled:g} minutes  {_line(before[0])}")
    click.echo(f"at the end       {_line(after[-1])}")
    click.echo(f"grown by {grown:+.2f} MB (medians of a minute; at most {growth:g})")
    age, work = found["age_ms"], found["total_ms"]
    designed = 1000 / fps + work["p95"]
    click.echo(
        f"{found['results']} answers, {found['mean_fps']:.1f} a second, {found['dropped']} dropped "
        f"for newer ones, {found['reconnects']} reconnects; output drops {found['output_drops']}, "
        f"failures {found['output_failures']}"
    )
    click.echo(
        f"age at inference: p50 {age['p50']:.1f}, p95 {age['p95']:.1f}, most {age['max']:.1f} ms; "
        f"designed: p95 up to {designed:.1f} ms (interval {1000 / fps:.1f}, work {work['p95']:.1f})"
    )
    threads = max(x.threads for x in after) - max(x.threads for x in before)
    files = max(x.files for x in after) - max(x.files for x in before)
    if grown >= growth or threads > 1 or files > _CHILD or age["p95"] > designed:
        raise SystemExit(EXIT_CHECK_FAILED)


if __name__ == "__main__":
    main()
