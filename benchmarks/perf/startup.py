"""What does ``edge-classify image`` cost over a bare script, from start to answer?

Run ``python -m benchmarks.perf.startup BUNDLE [PHOTO]``. The installed command and a bare script
(bare_classify.py, bare_classify_onnx.py) classify the same photo with the same file, in turns,
each run a process of its own. Printed for each format: milliseconds from start to exit and peak
memory of both, as median and range, and the ratios command / script of the pairs. Exit code 4 if
the median of a ratio is above ``--most``.

Python may keep compiled modules, as it does for an installed package: a start that compiles them
again (``PYTHONDONTWRITEBYTECODE`` and an editable installation) is nobody's on a board.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.perf.common import (
    EXIT_CHECK_FAILED,
    HERE,
    command,
    first_photo,
    print_machine,
    record,
    shared_option,
    spread,
)
from edge_runtime.bundle import Bundle
from edge_runtime.manifest import LABELS_NAME

_SCRIPTS = {".tflite": "bare_classify.py", ".onnx": "bare_classify_onnx.py"}

#: As on a board where nobody set them.
_ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name not in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
}


@dataclass(frozen=True)
class _Run:
    milliseconds: float
    megabytes: float
    stdout: str


@click.command()
@click.argument("bundle")
@click.argument("photo", required=False)
@click.option(
    "--formats",
    default="tflite-int8,tflite-fp32,onnx-fp32",
    show_default=True,
    help="Artifacts of the bundle; int8 TFLite ones with uint8 input.",
)
@click.option("--threads", default=2, show_default=True, type=click.IntRange(1))
@click.option("--runs", default=21, show_default=True, type=click.IntRange(1), help="Pairs.")
@click.option("--most", default=1.15, show_default=True, help="Time and memory over the script's.")
@shared_option()
def main(
    bundle: str, photo: str | None, formats: str, threads: int, runs: int, most: float, shared: Path
) -> None:
    """Compare start-to-exit time and memory with a bare script's."""
    print_machine()
    photo = photo or first_photo(shared)
    failed = False
    for fmt in formats.split(","):
        ours, bare = _commands(bundle, fmt, threads, photo)
        _measure(ours), _measure(bare)  # fill the file cache, and that of checksums
        pairs = _pairs(ours, bare, runs)
        _check_same_answer(*pairs[0])
        click.echo(photo)
        failed |= not _report(f"`{fmt}`, {threads} threads", pairs, most)
    if failed:
        click.echo(f"above {most}", err=True)
        raise SystemExit(EXIT_CHECK_FAILED)


def _commands(bundle: str, fmt: str, threads: int, photo: str) -> tuple[list[str], list[str]]:
    opened = Bundle.open(bundle)
    _, model = opened.file(fmt)
    if model.suffix not in _SCRIPTS:
        raise click.UsageError(f"{fmt}: there is no bare script for it.")
    ours = [command("edge-classify"), "image", "--model", bundle, "--format", fmt]
    ours += ["--threads", str(threads), "--json", photo]
    bare = [sys.executable, str(HERE / _SCRIPTS[model.suffix]), os.fspath(model)]
    return ours, [*bare, os.fspath(opened.path / LABELS_NAME), str(threads), photo]


def _pairs(ours: list[str], bare: list[str], runs: int) -> list[tuple[_Run, _Run]]:
    """Runs of both, in turns, each of them first every second time."""
    pairs = []
    for number in range(runs):
        if number % 2:
            second = _measure(bare)
            pairs.append((_measure(ours), second))
        else:
            pairs.append((_measure(ours), _measure(bare)))
    return pairs


def _report(title: str, pairs: list[tuple[_Run, _Run]], most: float) -> bool:
    """Print the figures; whether both ratios are small enough."""
    click.echo(f"{title}; {len(pairs)} pairs; median (smallest to largest)")
    for name, column in zip(
        ("edge-classify", "bare script"), zip(*pairs, strict=True), strict=True
    ):
        times, sizes = [r.milliseconds for r in column], [r.megabytes for r in column]
        click.echo(f"{name:14} start to exit ms {spread(times, 0)}  peak MB {spread(sizes, 1)}")
    times = [ours.milliseconds / bare.milliseconds for ours, bare in pairs]
    sizes = [ours.megabytes / bare.megabytes for ours, bare in pairs]
    record(f"{title}: time over the bare script's", times, most=most)
    record(f"{title}: peak memory over the bare script's", sizes, most=most)
    click.echo(f"{'ratio':14} time {spread(times)}  memory {spread(sizes)}")
    return bool(max(statistics.median(times), statistics.median(sizes)) <= most)


def _measure(arguments: list[str]) -> _Run:
    """Run a command; its memory is the kernel's ``ru_maxrss``.

    That figure never is below this process's own peak (it survives exec), which is therefore
    kept small: neither numpy nor an interpreter is loaded here.
    """
    with tempfile.TemporaryFile() as stderr:
        start = time.perf_counter()
        process = subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=stderr, env=_ENVIRONMENT
        )
        stdout = "" if process.stdout is None else process.stdout.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        end = time.perf_counter()
        process.returncode = os.waitstatus_to_exitcode(status)
        stderr.seek(0)
        said = stderr.read().decode(errors="replace")
    if process.returncode:
        raise click.ClickException(
            f"{' '.join(arguments)} ended with {process.returncode}. {stdout}{said}"
        )
    return _Run((end - start) * 1000, usage.ru_maxrss * 1024 / 1e6, stdout)


def _check_same_answer(ours: _Run, bare: _Run) -> None:
    label = json.loads(ours.stdout)["label"]
    if bare.stdout.rpartition(" ")[0] != label:
        raise click.ClickException(f"{label!r} here, the bare script says {bare.stdout!r}.")


if __name__ == "__main__":
    main()
