"""Does edge-bench's median agree with a bare loop around the same interpreter, and what does it cost?

Run ``python -m benchmarks.perf.bare_loop BUNDLE``. For each format and thread count edge-bench's loop
and a bare one take turns, call by call, in one process (bare_pair.py) on the same tensor. With
``--apart`` edge-bench's own measuring process and bare_interpreter.py run one right after the other
instead, which shows more and needs a quiet machine. Printed: the medians, and their ratio edge-bench /
bare with a 95 % interval (bootstrap of the pairs); then what measuring costs: the loop around each
inference (all of its time that is in no sample), and looking at the machine once a second. Exit
code 4 if a ratio is more than ``--limit`` away from 1, or measuring costs more than 1 % of an
inference of 5 ms.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.conditions import PERIOD
from benchmarks.machine_files import Machine
from benchmarks.measuring.children import COMMAND
from benchmarks.measuring.opened import pixels_of
from benchmarks.measuring.timing import time_calls
from benchmarks.measuring.worker import samples_of
from benchmarks.perf.common import EXIT_CHECK_FAILED, HERE, REPO, print_machine, record
from edge_runtime.bundle import Bundle
from edge_runtime.child.asking import ask
from edge_runtime.classifier import Classifier
from edge_runtime.files import find_photos

#: What measuring may cost, of an inference that takes so long.
_COST_LIMIT, _INFERENCE_MS = 0.01, 5.0


@click.command()
@click.argument("bundle")
@click.option("--threads", default="1,2", show_default=True)
@click.option("--formats", help="With commas. Default: all TFLite and ONNX files of the bundle.")
@click.option("--pairs", default=400, show_default=True, type=click.IntRange(1))
@click.option("--apart", is_flag=True, help="A process for each side of each pair, of --seconds.")
@click.option("--seconds", default=1.0, show_default=True, help="Of each loop, with --apart.")
@click.option("--limit", default=0.05, show_default=True, help="Allowed deviation from 1.")
def main(
    bundle: str,
    threads: str,
    formats: str | None,
    pairs: int,
    apart: bool,
    seconds: float,
    limit: float,
) -> None:
    """Compare edge-bench's median with a bare loop's."""
    print_machine()
    opened = Bundle.open(bundle)
    names = [a.format for a in opened.manifest.artifacts if a.format != "saved_model"]
    if formats is not None:
        names = formats.split(",")
    worst = 0.0
    lost: list[float] = []
    click.echo(
        f"{'format':16}{'threads':>8}{'edge-bench ms':>16}{'bare ms':>10}  ratio (95 % interval)"
    )
    for fmt in names:
        model = Path(os.path.abspath(opened.file(fmt)[1]))
        photo = next(iter(find_photos(os.path.join(bundle, "golden"))), None)
        for count in (int(text) for text in threads.split(",")):
            request = _request(bundle, fmt, model.name, count, photo, seconds)
            if apart:
                found = _apart(request, model, pairs, lost)
            else:
                found = _together(request, model, pairs, lost)
            ours, bare = np.median(found, axis=0)
            worst = max(worst, abs(ours / bare - 1))
            low, high = _interval(np.array(found))
            record(
                f"`{fmt}`, {count} threads: the median over the loop's",
                [ours / bare],
                least=1 - limit,
                most=1 + limit,
                interval=(low, high),
                count=pairs,
            )
            click.echo(
                f"{fmt:16}{count:8}{ours:16.3f}{bare:10.3f}  {ours / bare:.3f} ({low:.3f} to {high:.3f})"
            )
    close = worst <= limit
    click.echo(
        f"{pairs} pairs each; largest deviation of a ratio {worst:.1%}: "
        f"{'within' if close else 'NOT within'} {limit:.0%}"
    )
    cheap = _print_cost(lost)
    if not (close and cheap):
        raise click.exceptions.Exit(EXIT_CHECK_FAILED)


def _interval(pairs: np.ndarray) -> tuple[float, float]:
    """Of the ratio of the medians, pairs drawn with replacement (Efron & Tibshirani 1993)."""
    drawn = pairs[np.random.default_rng(0).integers(0, len(pairs), (1000, len(pairs)))]
    medians = np.median(drawn, axis=1)
    low, high = np.quantile(medians[:, 0] / medians[:, 1], (0.025, 0.975))
    return float(low), float(high)


def _together(
    request: dict[str, Any], model: Path, pairs: int, lost: list[float]
) -> list[tuple[float, float]]:
    """Medians (edge-bench, bare) in milliseconds, of single calls in turns in one process."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.perf.bare_pair"],
        input=json.dumps({**request, "path": os.fspath(model), "count": pairs}).encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=REPO,
        check=True,
    )
    answer = json.loads(done.stdout)
    lost.append(answer["lost_ms"])
    return [(ours, bare) for ours, bare in answer["pairs"]]


def _apart(
    request: dict[str, Any], model: Path, pairs: int, lost: list[float]
) -> list[tuple[float, float]]:
    """The same of processes of their own."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        classifier = Classifier.open(request["model"], request["format"])
        tensor, file = Path(folder) / "tensor.npy", Path(folder) / "pixels.npy"
        pixels = pixels_of(classifier, request["photo"])
        np.save(file, pixels)
        np.save(tensor, classifier.backend.prepare(pixels))
        request = {**request, "pixels": os.fspath(file)}
        for number in range(pairs):
            if number % 2:
                bare = _bare(model, tensor, request)
                found.append((_edge_bench(request, lost), bare))
            else:
                ours = _edge_bench(request, lost)
                found.append((ours, _bare(model, tensor, request)))
    return found


def _request(
    bundle: str, fmt: str, file: str, threads: int, photo: str | None, seconds: float
) -> dict[str, Any]:
    return {
        "task": "latency",
        "model": os.path.abspath(bundle),
        "format": fmt,
        "file": file,
        "engine": {"threads": threads},
        "settings": None,
        "photo": None if photo is None else os.path.abspath(photo),
        "photos": [],
        "min_seconds": seconds,
        "min_runs": 10,
    }


def _edge_bench(request: dict[str, Any], lost: list[float]) -> float:
    """Median in milliseconds; to ``lost`` what of the loop is in no sample, ms an inference."""
    answer = ask(COMMAND, request, 600)
    samples = samples_of(answer)
    lost.append((answer["seconds"] * 1e3 - float(samples.sum())) / len(samples))
    return float(np.median(samples))


def _bare(model: Path, tensor: Path, asked: dict[str, Any]) -> float:
    request = {
        "model": os.fspath(model),
        "tensor": os.fspath(tensor),
        "threads": asked["engine"]["threads"],
        "seconds": asked["min_seconds"],
        "runs": asked["min_runs"],
    }
    done = subprocess.run(
        [sys.executable, os.fspath(HERE / "bare_interpreter.py")],
        input=json.dumps(request).encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return float(done.stdout)


def _print_cost(lost: list[float]) -> bool:
    """Say what measuring costs, and whether that is little enough."""
    samples = time_calls(lambda _: None, None, 0.2, 1000)
    around = statistics.median(lost)
    machine, looks = Machine(), []
    for _ in range(50):
        start = time.process_time()
        machine.look()
        looks.append((time.process_time() - start) * 1e3)
    watching = statistics.median(looks) / (PERIOD * 1e3)  # of one core
    share = around / _INFERENCE_MS + watching
    click.echo(
        f"an empty call is timed as {statistics.median(samples):.0f} ns; "
        f"the loop takes {around * 1e3:.2f} us beside each inference; "
        f"a look at the machine {statistics.median(looks):.3f} ms of another thread, once in "
        f"{PERIOD:g} s"
    )
    holds = share < _COST_LIMIT
    click.echo(
        f"measuring costs {share:.3%} of an inference of {_INFERENCE_MS:g} ms: "
        f"{'under' if holds else 'NOT under'} {_COST_LIMIT:.0%}"
    )
    return holds


if __name__ == "__main__":
    main()
