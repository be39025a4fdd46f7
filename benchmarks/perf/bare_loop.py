"""Does edge-bench's median agree with a bare loop around the same interpreter?

Run ``python -m benchmarks.perf.bare_loop BUNDLE``. Each round runs ``edge-bench run`` and
bare_interpreter.py, one after the other and in turns first, each in processes of its own, on the
same tensor. Printed: the medians, and the ratio edge-bench / bare of each pair, as median and
range. Exit code 4 if a median ratio is more than ``--limit`` away from 1.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np

from benchmarks.measuring.opened import pattern
from benchmarks.perf.common import EXIT_CHECK_FAILED, HERE, command, print_machine, spread
from edge_runtime.bundle import Bundle
from edge_runtime.classifier import Classifier
from edge_runtime.files import find_photos


@click.command()
@click.argument("bundle")
@click.option("--threads", default="1,2", show_default=True)
@click.option("--formats", help="With commas. Default: all TFLite and ONNX files of the bundle.")
@click.option("--rounds", default=7, show_default=True, type=click.IntRange(1))
@click.option("--seconds", default=2.0, show_default=True, help="Of each loop in each round.")
@click.option("--limit", default=0.1, show_default=True, help="Allowed deviation from 1.")
def main(
    bundle: str, threads: str, formats: str | None, rounds: int, seconds: float, limit: float
) -> None:
    """Compare edge-bench's median with a bare loop's."""
    print_machine()
    opened = Bundle.open(bundle)
    names = [a.format for a in opened.manifest.artifacts if a.format != "saved_model"]
    if formats is not None:
        names = formats.split(",")
    worst = 0.0
    click.echo(f"{'format':16}{'threads':>8}{'edge-bench ms':>16}{'bare ms':>10}  ratio (range)")
    for fmt in names:
        _, model = opened.file(fmt)
        with tempfile.TemporaryDirectory() as folder:
            tensor = _save_tensor(bundle, fmt, Path(folder) / "tensor.npy")
            for count in (int(text) for text in threads.split(",")):
                pairs = _pairs(bundle, fmt, model, tensor, count, rounds, seconds)
                ratios = [ours / bare for ours, bare in pairs]
                ours, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
                worst = max(worst, abs(statistics.median(ratios) - 1))
                click.echo(f"{fmt:16}{count:8}{ours:16.3f}{bare:10.3f}  {spread(ratios)}")
    holds = worst <= limit
    click.echo(
        f"{rounds} rounds of {seconds:g} s; largest deviation of a median ratio {worst:.1%}: "
        f"{'within' if holds else 'NOT within'} {limit:.0%}"
    )
    if not holds:
        raise click.exceptions.Exit(EXIT_CHECK_FAILED)


def _save_tensor(bundle: str, fmt: str, file: Path) -> Path:
    """The tensor that edge-bench times: the first golden photo, or the pattern."""
    classifier = Classifier.open(bundle, fmt)
    spec = classifier.info.preprocess
    golden = find_photos(os.path.join(bundle, "golden"))
    pixels = classifier.pixels(golden[0]) if golden else pattern(spec.height, spec.width)
    np.save(file, classifier.backend.prepare(pixels))
    return file


def _pairs(
    bundle: str, fmt: str, model: Path, tensor: Path, threads: int, rounds: int, seconds: float
) -> list[tuple[float, float]]:
    """Medians of (edge-bench, bare loop) in milliseconds, one pair a round."""
    pairs = []
    for number in range(rounds):
        if number % 2:
            bare = _bare(model, tensor, threads, seconds)
            ours = _edge_bench(bundle, fmt, threads, seconds)
        else:
            ours = _edge_bench(bundle, fmt, threads, seconds)
            bare = _bare(model, tensor, threads, seconds)
        pairs.append((ours, bare))
    return pairs


def _edge_bench(bundle: str, fmt: str, threads: int, seconds: float) -> float:
    choice = ["--formats", fmt, "--threads", str(threads), "--min-seconds", str(seconds)]
    done = subprocess.run(
        [command("edge-bench"), "run", bundle, *choice, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return float(json.loads(done.stdout)["rows"][0]["p50_ms"])


def _bare(model: Path, tensor: Path, threads: int, seconds: float) -> float:
    request = {
        "model": os.fspath(model),
        "tensor": os.fspath(tensor),
        "threads": threads,
        "seconds": seconds,
        "runs": 50,  # edge-bench's own default
    }
    done = subprocess.run(
        [sys.executable, os.fspath(HERE / "bare_interpreter.py")],
        input=json.dumps(request).encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return float(done.stdout)


if __name__ == "__main__":
    main()
