"""Does a stream classify as fast as the interpreter alone?

Run ``python -m benchmarks.perf.stream_speed MODEL [VIDEO]``. For a source that is faster than the
model - ``test:`` at 1.5 times the speed of the model, and a video file (default: the bottles) - it
counts the answers a second of the whole loop (source, decoding, preprocessing, inference, smoothing, a JSON
line for each answer) and, in turns with it, the inferences a second of the same interpreter on
tensors that were prepared before. It prints the ratio of each pair, and the CPU time that a frame
costs outside the interpreter: of the loop's own thread, which makes answers and tells of them while
the next inference runs, and of all threads of the process. Exit code 4 if a median ratio is below
``--least`` (0.95).

The grabber, the preparer, the loop and a video's decoder need a core beside the interpreter's: on a
machine with n free cores, ``--threads`` should be n - 1 at most. Where several programs run at once
the ratio suffers first.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple

import click

from benchmarks.perf.common import EXIT_CHECK_FAILED, print_machine, record, shared_option, spread
from edge_runtime.classifier import Classifier
from edge_runtime.sources import SourceSettings, parse_source
from edge_runtime.stream import Loop, LoopSettings
from edge_runtime.stream.outputs.base import Outlet, Output, close_all
from edge_runtime.stream.results import FrameResult
from edge_runtime.stream.service import SWITCH_INTERVAL
from edge_runtime.stream.status import Status
from edge_runtime.stream.steady import Smoothing, SteadyLabel

#: How much faster than the model ``test:`` is.
_FASTER = 1.5


class Speed(NamedTuple):
    """Of one run."""

    per_second: float
    loop_ms: float  #: CPU time of the thread that asks, milliseconds a frame
    all_ms: float  #: of the process


class JsonLines(Output):
    """What the command does with each answer, into nowhere."""

    name = "jsonl"

    def __init__(self) -> None:
        """Open nowhere."""
        self._nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115

    def result(self, result: FrameResult) -> None:
        """One line."""
        self._nowhere.write(json.dumps(result.to_dict()) + "\n")
        self._nowhere.flush()

    def close(self) -> None:
        """Close nowhere."""
        self._nowhere.close()


def alone(classifier: Classifier, count: int) -> Speed:
    """The interpreter on one prepared tensor, again and again."""
    spec = classifier.info.preprocess
    import numpy as np

    pixels = np.random.default_rng(0).integers(0, 256, (spec.height, spec.width, 3), np.uint8)
    tensor = classifier.backend.prepare(pixels)
    start, cpu, own = time.perf_counter(), time.process_time(), time.thread_time()
    for _ in range(count):
        classifier.backend.infer(tensor)
    return _speed(count, start, cpu, own)


def streamed(
    classifier: Classifier, source: str, fps: float, count: int, warm_up: int = 30
) -> Speed:
    """The loop over a source; what opening it costs is left out."""
    parsed, settings = parse_source(source), SourceSettings(fps=fps)
    status = Status(parsed.name, "model")
    outlets = [Outlet(JsonLines(), status, parsed.live)]
    steady = SteadyLabel(Smoothing(), classifier.info, None, parsed.live)
    loop = Loop(
        classifier,
        parsed,
        settings,
        LoopSettings(max_frames=count + warm_up),
        steady,
        outlets,
        status,
        ahead=classifier.backend.any_thread,
    )
    done, start, cpu, own = 0, 0.0, 0.0, 0.0
    for _ in loop.run():
        done += 1
        if done == warm_up:
            start, cpu, own = time.perf_counter(), time.process_time(), time.thread_time()
        if done == count + warm_up:  # closing the source is no part of it
            break
    speed = _speed(max(done - warm_up, 1), start, cpu, own)
    close_all(outlets)
    return speed


def _speed(count: int, start: float, cpu: float, own: float) -> Speed:
    seconds = time.perf_counter() - start
    loop_ms = (time.thread_time() - own) / count * 1000
    return Speed(count / seconds, loop_ms, (time.process_time() - cpu) / count * 1000)


@click.command()
@click.argument("model")
@click.argument("video", required=False)
@click.option("--format", "fmt", help="Artifact of a bundle.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1))
@click.option("--count", default=400, show_default=True, help="Frames a run.")
@click.option("--pairs", default=9, show_default=True, help="Runs of each, in turns.")
@click.option("--least", default=0.95, show_default=True, help="Of the interpreter's speed.")
@shared_option()
def main(
    model: str,
    video: str | None,
    fmt: str | None,
    threads: int,
    count: int,
    pairs: int,
    least: float,
    shared: Path,
) -> None:
    """Compare the loop with the interpreter alone."""
    print_machine()
    sys.setswitchinterval(SWITCH_INTERVAL)  # as the command does
    sources = ["test:", video or str(shared / "video" / "bottle-detection.mp4")]
    slow = False
    with Classifier.open(model, fmt, threads) as classifier:
        alone(classifier, 50)
        fps = alone(classifier, count).per_second * _FASTER
        for source in sources:
            bare, loops = [], []
            for _ in range(pairs):
                bare.append(alone(classifier, count))
                loops.append(streamed(classifier, source, fps, count))
            ratios = [a.per_second / b.per_second for a, b in zip(loops, bare, strict=True)]
            click.echo(f"{source}: {threads} thread(s), {pairs} pairs of {count} frames")
            click.echo(f"  interpreter alone  {spread([s.per_second for s in bare], 1)} a second")
            click.echo(f"  stream             {spread([s.per_second for s in loops], 1)} a second")
            click.echo(f"  ratio              {spread(ratios)}")
            own = [a.loop_ms for a in loops]
            every = [a.all_ms - b.all_ms for a, b in zip(loops, bare, strict=True)]
            click.echo(f"  CPU time of the loop's own thread         {spread(own)} ms a frame")
            click.echo(f"  CPU time of all threads but the inference {spread(every)} ms a frame")
            kind = "test:" if source == sources[0] else "a video"
            record(f"{kind}: answers a second over the interpreter alone", ratios, least=least)
            slow |= statistics.median(ratios) < least
    if slow:
        raise SystemExit(EXIT_CHECK_FAILED)


if __name__ == "__main__":
    main()
