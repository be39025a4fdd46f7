"""Age of frames when inference starts, on a network camera that is faster than the classifier.

Run it with a model, on an otherwise idle machine::

    python -m benchmarks.perf.stream_lag MODEL --video SHARED/video/bottle-detection.mp4

The video is served at 30 frames a second as MJPEG over HTTP and as H.264 over RTSP, each frame with
the time at which it was made in the picture itself, so that the true age is measured: whatever waits
in a socket or a decoder counts. Inference is slowed to 100 ms. Beside it, the loop that everybody
writes first: ``cv2.VideoCapture.read()`` and 100 ms of work in turns.

What the camera itself takes until a frame has arrived (encoding, sending, and of H.264 decoding) is
measured first, by a reader that does nothing else. Limits, each met or the script ends with exit code 4: the age at the 95th
percentile is at most one frame interval, plus the decode time, plus what the camera takes; and the
median of the last window is not above that of the first by more than half an interval.
"""

from __future__ import annotations

import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.perf.common import EXIT_CHECK_FAILED, HERE, print_machine, record
from benchmarks.perf.stream_stamp import MIN_WIDTH, age_of
from edge_runtime import Classifier
from edge_runtime.errors import EdgeError
from edge_runtime.sources import Frame, SourceSettings, parse_source
from edge_runtime.sources.opening import open_reader
from edge_runtime.stream.loop import classify_frames

#: The Python that has GStreamer's bindings, which no environment of pip's has.
_SYSTEM_PYTHON = "/usr/bin/python3"

#: Seconds of a stream before the first frame counts: models load, buffers fill.
_WARM_UP = 3.0


@dataclass
class Run:
    """What one reader saw, in milliseconds."""

    begun: float = field(default_factory=time.monotonic)
    times: list[float] = field(default_factory=list)
    ages: list[float] = field(default_factory=list)
    decode: list[float] = field(default_factory=list)
    unread: int = 0
    note: str = ""

    def add(self, picture: np.ndarray, moment: float) -> None:
        """A frame that was used at a moment."""
        if moment - self.begun < _WARM_UP:
            return
        age = age_of(picture, moment)
        if age is None:
            self.unread += 1
        else:
            self.times.append(moment - self.begun - _WARM_UP)
            self.ages.append(age)

    def windows(self, seconds: float) -> list[list[float]]:
        """The ages by when they were measured; a last window that is cut short is left out."""
        pairs = zip(self.times, self.ages, strict=True)
        grouped = itertools.groupby(pairs, lambda pair: int(pair[0] // seconds))
        windows = [[age for _, age in group] for _, group in grouped]
        return windows[:-1] if len(windows[-1]) < len(windows[0]) / 2 else windows


def percentile(values: list[float], share: float) -> float:
    """Of measured values, one of them."""
    return float(np.percentile(values, share * 100, method="higher")) if values else float("nan")


def itself(url: str, seconds: float) -> Run:
    """What the camera takes until a frame has arrived, of a reader that does nothing else."""
    run = Run()
    reader = open_reader(parse_source(url), SourceSettings())
    while time.monotonic() < run.begun + _WARM_UP + seconds:
        grabbed = reader.read(10.0)
        if grabbed is None:
            break
        run.add(Frame(grabbed, 0).pixels, grabbed.captured)
    reader.close()
    return run


def naive(url: str, seconds: float, work: float) -> Run:
    """Read with OpenCV, and work so many seconds between two frames."""
    import cv2

    run = Run()
    capture = cv2.VideoCapture(url)
    while time.monotonic() < run.begun + _WARM_UP + seconds:
        ok, picture = capture.read()
        if not ok:
            run.note = f"the connection broke after {time.monotonic() - run.begun:.0f} s"
            break
        run.add(picture, time.monotonic())
        time.sleep(work)
    capture.release()
    return run


def ours(model: str, url: str, seconds: float, work: float) -> Run:
    """Classify with the toolkit's own loop, inference slowed to so many seconds."""
    with Classifier.open(model) as classifier:
        infer = classifier.infer

        def slowly(*arguments: Any, **options: Any) -> Any:
            begun = time.monotonic()
            found = infer(*arguments, **options)
            time.sleep(max(begun + work - time.monotonic(), 0))
            return found

        classifier.infer = slowly  # type: ignore[method-assign]
        run = Run()
        for result in classify_frames(classifier, url):
            frame, ms = result.frame, result.prediction.ms or {}
            run.add(frame.pixels, frame.captured + result.age_ms / 1000)
            run.decode.append(ms.get("decode", 0.0) + ms.get("preprocess", frame.decode_ms))
            if time.monotonic() > run.begun + _WARM_UP + seconds:
                break
    return run


@contextmanager
def http_camera(video: Path, fps: float) -> Iterator[str]:
    """The video as MJPEG."""
    command = [sys.executable, "-m", "benchmarks.perf.stream_camera", "http", str(video), str(fps)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield "" if process.stdout is None else process.stdout.readline().strip()
        process.kill()


@contextmanager
def rtsp_camera(video: Path, fps: float) -> Iterator[str]:
    """The video as H.264 over RTSP; an empty address where GStreamer's server is missing."""
    import cv2

    capture = cv2.VideoCapture(str(video))
    size = [str(int(capture.get(key))) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)]  # fmt: skip
    capture.release()
    source = [sys.executable, "-m", "benchmarks.perf.stream_camera", "raw", str(video), str(fps)]
    server = [_SYSTEM_PYTHON, str(HERE / "stream_rtsp.py"), *size, str(round(fps))]
    with ExitStack() as stack:
        frames = stack.enter_context(subprocess.Popen(source, stdout=subprocess.PIPE))
        stack.callback(frames.kill)
        try:
            process = stack.enter_context(
                subprocess.Popen(
                    server, stdin=frames.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
                )
            )  # fmt: skip
        except OSError:
            yield ""
            return
        stack.callback(process.kill)
        yield "" if process.stdout is None else process.stdout.readline().strip()


def show(name: str, run: Run, window: float) -> None:
    """Print a run, window by window."""
    if not run.ages:
        click.echo(f"{name}: no frame carried a time. {run.note}")
        return
    click.echo(f"{name}: {len(run.ages)} frames, {run.unread} without a readable time. {run.note}")
    click.echo(f"  {'from':>7} {'frames':>7} {'p50':>9} {'p95':>9} {'max':>9}  ms")
    for number, ages in enumerate(run.windows(window)):
        p50, p95 = percentile(ages, 0.5), percentile(ages, 0.95)
        click.echo(
            f"  {number * window:5.0f} s {len(ages):7d} {p50:9.1f} {p95:9.1f} {max(ages):9.1f}"
        )
    click.echo(
        f"  {'all':>7} {len(run.ages):7d} {percentile(run.ages, 0.5):9.1f} "
        f"{percentile(run.ages, 0.95):9.1f} {max(run.ages):9.1f}"
    )


def judge(name: str, run: Run, camera: Run, window: float, interval: float) -> bool:
    """Print the limits and whether they are met."""
    if not run.ages or not camera.ages:
        click.echo("  NOT MET: nothing was measured")
        return False
    own, decode = percentile(camera.ages, 0.95), percentile(run.decode, 0.95)
    limit, found = interval + decode + own, percentile(run.ages, 0.95)
    windows = run.windows(window)
    growth = statistics.median(windows[-1]) - statistics.median(windows[0])
    record(
        f"{name}: age of a frame when inference starts, 95th percentile", [found], "ms", most=limit
    )
    record(f"{name}: growth of the median over the run", [growth], "ms", most=interval / 2)
    fresh, steady = found <= limit, growth <= interval / 2
    click.echo(
        f"  p95 {found:.1f} ms, limit {limit:.1f} ms (interval {interval:.1f}, decode {decode:.1f}, "
        f"the camera itself {own:.1f}): {'met' if fresh else 'NOT MET'}"
    )
    click.echo(
        f"  growth of the median {growth:+.1f} ms, limit {interval / 2:.1f} ms: "
        f"{'met' if steady else 'NOT MET'}"
    )
    return fresh and steady


@click.command(help=__doc__)
@click.argument("model")
@click.option("--video", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--minutes", default=10.0, show_default=True, help="Of each reader of ours.")
@click.option("--naive-minutes", default=1.0, show_default=True, help="Of the naive loop.")
@click.option("--fps", default=30.0, show_default=True, help="Of the camera.")
@click.option("--work", default=0.1, show_default=True, help="Seconds of an inference.")
@click.option("--only", type=click.Choice(["http", "rtsp"]), help="One of the two cameras.")
def main(
    model: str, video: Path, minutes: float, naive_minutes: float, fps: float, work: float,
    only: str | None,
) -> None:  # fmt: skip
    """Measure both cameras."""
    print_machine()
    seconds, interval, met = minutes * 60, 1000 / fps, True
    window = max(seconds / 10, 5.0)
    click.echo(
        f"camera {fps:g} fps, inference {work * 1000:.0f} ms, times carried in {MIN_WIDTH} pixels"
    )
    for name, make in (("http", http_camera), ("rtsp", rtsp_camera)):
        if only not in (None, name):
            continue
        with make(video, fps) as url:
            click.echo(f"\n{name.upper()} {url}")
            if not url:
                click.echo("  not measured: no server here (see the docstring of stream_rtsp.py)")
                continue
            try:
                camera = itself(url, 10.0)
                show("the camera itself, until a frame has arrived", camera, 10.0)
                run = ours(model, url, seconds, work)
            except EdgeError as error:
                click.echo(f"  NOT MET: {error}")
                met = False
                continue
            show("edge-classify stream", run, window)
            met = judge(name.upper(), run, camera, window, interval) and met
            lagging = naive(url, naive_minutes * 60, work)
            show("the naive loop", lagging, naive_minutes * 6)
            if len(lagging.ages) > 1:
                gained = np.polyfit(lagging.times, lagging.ages, 1)[0]
                click.echo(f"  it falls behind by {gained:.0f} ms a second")
                record(f"{name.upper()}: the naive loop's lag grows by", [gained], "ms a second")
    if not met:
        sys.exit(EXIT_CHECK_FAILED)


if __name__ == "__main__":
    main()
