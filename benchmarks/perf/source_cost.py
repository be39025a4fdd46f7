"""What does it cost that OpenCV reads in a child process?

Run ``python -m benchmarks.perf.source_cost [VIDEO...]``. Every frame of each video (default: two
that are made, of 640 x 360 and 1920 x 1080 pixels) is read and turned to RGB, once by OpenCV in
this process (``VideoCapture.read`` and ``cvtColor``) and once by the toolkit's reader, in turns;
processor time of parent and child a frame, and the time from one frame to the next. Then
``--opens`` times a reader is opened, read from and closed. Exit code 4 if the child costs more than
``--limit`` ms of processor time a megapixel beyond OpenCV alone, or if files or threads stay.
"""

from __future__ import annotations

import gc
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import click

from benchmarks.perf.common import EXIT_CHECK_FAILED, print_machine
from edge_runtime.sources import SourceSettings, parse_source
from edge_runtime.sources.opening import open_reader

#: OpenCV alone, in a process of its own: prints seconds and processor seconds a frame.
_ALONE = """
import sys, time, cv2
cv2.setNumThreads(1)
capture = cv2.VideoCapture(sys.argv[1], cv2.CAP_FFMPEG)
capture.read()
begin, used, count = time.perf_counter(), time.process_time(), 0
while True:
    ok, bgr = capture.read()
    if not ok:
        break
    rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    count += 1
print((time.perf_counter() - begin) / count, (time.process_time() - used) / count)
"""


class Cost(NamedTuple):
    """Of a frame, in milliseconds."""

    wall: float
    parent: float
    child: float


@click.command()
@click.argument("videos", nargs=-1, type=click.Path(exists=True, dir_okay=False))
@click.option("--frames", default=300, show_default=True, help="Of a video that is made.")
@click.option("--turns", default=3, show_default=True, type=click.IntRange(1))
@click.option("--opens", default=50, show_default=True, type=click.IntRange(1))
@click.option(
    "--limit",
    default=1.0,
    show_default=True,
    help="ms a megapixel: writing, reading and copying 3 MB take 0.3 ms where memory is fast.",
)
def main(videos: tuple[str, ...], frames: int, turns: int, opens: int, limit: float) -> None:
    """Compare the toolkit's reader with OpenCV alone."""
    print_machine()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        made = [make(Path(folder), size, frames) for size in ((640, 360), (1920, 1080))]
        for video in videos or made:
            failed |= compare(video, turns, limit)
        failed |= leaks(made[0], opens)
    if failed:
        raise SystemExit(EXIT_CHECK_FAILED)


def make(folder: Path, size: tuple[int, int], frames: int) -> str:
    """A video of a moving gradient, in MPEG-4."""
    import cv2
    import numpy as np

    file = str(folder / f"{size[0]}x{size[1]}.mp4")
    writer = cv2.VideoWriter(file, cv2.VideoWriter.fourcc(*"mp4v"), 30, size)
    rows = np.linspace(0, 255, size[1] * 2).astype(np.uint8)
    for number in range(frames):
        picture = np.repeat(rows[number % size[1] :][: size[1], None], size[0], axis=1)
        writer.write(np.dstack([picture, 255 - picture, picture // 2]))
    writer.release()
    return file


def compare(video: str, turns: int, limit: float) -> bool:
    """Print both; whether the limit is missed."""
    alone, ours = [], []
    for _ in range(turns):
        done = subprocess.run(
            [sys.executable, "-c", _ALONE, video], capture_output=True, text=True, check=True
        )
        wall, used = (float(word) * 1000 for word in done.stdout.split())
        alone.append(Cost(wall, used, 0.0))
        cost, megapixels = read_all(video)
        ours.append(cost)
    base, cost = (Cost(*map(statistics.median, zip(*runs, strict=True))) for runs in (alone, ours))
    more = (cost.parent + cost.child - base.parent) / megapixels
    click.echo(f"{os.path.basename(video)}, {megapixels:.2f} megapixels, ms a frame:")
    click.echo(f"  OpenCV alone: {base.parent:.2f} of processor, {base.wall:.2f} from one to next")
    click.echo(
        f"  reader: {cost.parent:.2f} of the parent's processor, {cost.child:.2f} of the child's, "
        f"{cost.wall:.2f} from one to next"
    )
    click.echo(f"  {more:+.2f} ms of processor a megapixel (limit {limit:g})")
    return more > limit


def read_all(video: str) -> tuple[Cost, float]:
    """Read a video; the child's start is measured apart and taken off."""
    start = _read(video, 1)[1]
    count, child, wall, parent, size = _read(video, None)
    megapixels = size / 3e6
    return Cost(wall / count * 1e3, parent / count * 1e3, (child - start) / count * 1e3), megapixels


def _read(video: str, most: int | None) -> tuple[int, float, float, float, int]:
    """Frames, processor seconds of the child, seconds, ours, and bytes of a frame."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    reader = open_reader(parse_source(video), SourceSettings())
    first = reader.read(60)
    if first is None:
        raise click.ClickException(f"{video}: no frame.")
    data, count = first.data(), 1
    size = len(data) if isinstance(data, bytes) else data.nbytes
    begin, used = time.perf_counter(), time.process_time()
    while count != most and (grabbed := reader.read(60)) is not None:
        grabbed.data()
        count += 1
    wall, parent = time.perf_counter() - begin, time.process_time() - used
    reader.close()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    child = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return count, child, wall, parent, size


def leaks(video: str, opens: int) -> bool:
    """Open and close again and again; whether anything stays."""
    state: list[tuple[int, int]] = []
    seconds, closing = [], []
    for _ in range(opens):
        begin = time.perf_counter()
        reader = open_reader(parse_source(video), SourceSettings())
        reader.read(60)
        seconds.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        reader.close()
        closing.append(time.perf_counter() - begin)
        del reader
        gc.collect()
        state.append((len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))))
    click.echo(
        f"{opens} opens: {statistics.median(seconds) * 1e3:.0f} ms to the first frame, "
        f"{max(closing) * 1e3:.0f} ms to close at most; {state[0][0]} files and {state[0][1]} "
        f"threads after the first, {state[-1][0]} and {state[-1][1]} after the last"
    )
    return state[-1] > state[0]


if __name__ == "__main__":
    main()
