"""What does ``edge-classify image`` cost over a bare script, from start to answer?

Run ``python -m benchmarks.perf.startup BUNDLE [PHOTO]``. The installed command and
bare_classify.py classify the same photo with the same TFLite file, in turns, each run a process
of its own. Printed: milliseconds from start to exit and peak memory of each, as median and range,
and the ratios command / script of the pairs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.perf.common import HERE, command, first_photo, print_machine, shared_option, spread
from edge_runtime.bundle import Bundle
from edge_runtime.manifest import LABELS_NAME


@dataclass(frozen=True)
class _Run:
    milliseconds: float
    megabytes: float
    stdout: str


@click.command()
@click.argument("bundle")
@click.argument("photo", required=False)
@click.option("--format", "fmt", default="tflite-fp32", show_default=True, help="A TFLite one.")
@click.option("--threads", default=2, show_default=True, type=click.IntRange(1))
@click.option("--runs", default=21, show_default=True, type=click.IntRange(1))
@shared_option()
def main(bundle: str, photo: str | None, fmt: str, threads: int, runs: int, shared: Path) -> None:
    """Compare start-to-answer time and memory with a bare script's."""
    print_machine()
    photo = photo or first_photo(shared)
    opened = Bundle.open(bundle)
    _, model = opened.file(fmt)
    ours = [command("edge-classify"), "image", "--model", bundle, "--format", fmt]
    ours += ["--threads", str(threads), "--json", photo]
    bare = [sys.executable, str(HERE / "bare_classify.py"), os.fspath(model)]
    bare += [os.fspath(opened.path / LABELS_NAME), str(threads), photo]
    _measure(ours), _measure(bare)  # fill the file cache
    pairs = []
    for number in range(runs):
        if number % 2:
            second = _measure(bare)
            pairs.append((_measure(ours), second))
        else:
            pairs.append((_measure(ours), _measure(bare)))
    _check_same_answer(*pairs[0])
    click.echo(f"{fmt}, {threads} threads, {photo}; {runs} pairs; median (smallest to largest)")
    for name, column in zip(
        ("edge-classify", "bare script"), zip(*pairs, strict=True), strict=True
    ):
        times, sizes = [r.milliseconds for r in column], [r.megabytes for r in column]
        click.echo(f"{name:14} start to exit ms {spread(times, 0)}  peak MB {spread(sizes, 1)}")
    times = [ours.milliseconds / bare.milliseconds for ours, bare in pairs]
    sizes = [ours.megabytes / bare.megabytes for ours, bare in pairs]
    click.echo(f"{'ratio':14} time {spread(times)}  memory {spread(sizes)}")


def _measure(arguments: list[str]) -> _Run:
    """Run a command; its memory is the kernel's ``ru_maxrss``.

    That figure never is below this process's own peak (it survives exec), which is therefore
    kept small: neither numpy nor an interpreter is loaded here.
    """
    start = time.perf_counter()
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    stdout = "" if process.stdout is None else process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    end = time.perf_counter()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"{' '.join(arguments)} ended with {process.returncode}.")
    return _Run((end - start) * 1000, usage.ru_maxrss * 1024 / 1e6, stdout)


def _check_same_answer(ours: _Run, bare: _Run) -> None:
    label = json.loads(ours.stdout)["label"]
    if bare.stdout.rpartition(" ")[0] != label:
        raise click.ClickException(f"{label!r} here, the bare script says {bare.stdout!r}.")


if __name__ == "__main__":
    main()
