"""Does a stream keep its rate while its outputs are slow, dead or out of space?

Run ``python -m benchmarks.perf.stream_outputs MODEL``. A generated live source that is faster than the
interpreter is classified for ``--seconds``, each case in a process of its own. Every half second the
loop gets its outputs or none, in turns, so that both rates see the same machine. What is in trouble: no
MQTT broker, a webhook server that accepts and never answers, a video on a disk that is full after some
seconds, a reader of standard output that does not read, and all of them. Printed: answers a second with
and without outputs, their ratio, the processor time of the loop's thread for one answer (with the half
seconds without), and what was dropped, failed, and not finished at the end. A video on a disk with room
is timed beside them; it has no limit, since encoding needs a processor. Ends with exit code 4 where a
ratio is under ``--limit``, where nothing was counted as lost, or where the video on the full disk cannot
be played.

The full disk is a tmpfs of 6 MB, which needs root; without, the largest size of a file is limited.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from benchmarks.perf.common import EXIT_CHECK_FAILED, print_machine

#: Bytes of the small disk.
_DISK = 6_000_000

#: Frames of the source: large enough to fill it.
_SIZE = (640, 480)

#: Seconds with outputs, and as many without.
_SLICE = 0.5

#: One answer of so many is told of as an event, too.
_EVENTS = 10

#: What is in trouble in each case; the last has no limit.
_CASES: dict[str, tuple[str, ...]] = {
    "dead broker": ("mqtt",),
    "hanging webhook": ("webhook",),
    "full disk": ("video",),
    "blocked stdout": ("stdout",),
    "all of them": ("mqtt", "webhook", "video", "stdout"),
    "video with room": ("roomy",),
}


@click.command()
@click.argument("model")
@click.option("--seconds", default=40.0, show_default=True, help="Of each case.")
@click.option("--limit", default=0.95, show_default=True, help="Of the rate without outputs.")
@click.option("--fps", default=500.0, show_default=True, help="Of the source.")
@click.option("--only", multiple=True, type=click.Choice(list(_CASES)), help="These cases.")
@click.option("--run", "wanted", hidden=True, help="One run, described in JSON.")
def main(
    model: str,
    seconds: float,
    limit: float,
    fps: float,
    only: tuple[str, ...],
    wanted: str | None,
) -> None:
    """Compare the rate of a stream with outputs in trouble and without outputs."""
    if wanted is not None:
        _run(model, seconds, fps, json.loads(wanted))
        return
    print_machine()
    failed = False
    with socket.create_server(("127.0.0.1", 0)) as silent, _small_disk() as disk:
        places = {
            "webhook": f"http://127.0.0.1:{silent.getsockname()[1]}/",
            "mqtt": "mqtt://127.0.0.1:1/benchmark",
            "disk": disk,
        }
        for name, outputs in _CASES.items():
            if only and name not in only:
                continue
            case = _measure(model, seconds, fps, outputs, places)
            share = case["with"] / case["without"]
            click.echo(
                f"{name:16} {case['with']:6.1f} a second with, {case['without']:6.1f} without: "
                f"{share:.3f}; {case['thread_ms']:.2f} ms a turn; "
                f"dropped {case['drops']}, failed {case['failures']}, late {case['late']}"
            )
            if "video" in outputs and not (case["playable"] and "video" in case["failures"]):
                click.echo("the disk was not full, or its video cannot be played")
                failed = True
            if "roomy" not in outputs:
                failed |= share < limit or not set(outputs) <= set(case["lost"])
    if failed:
        sys.exit(EXIT_CHECK_FAILED)


def _measure(
    model: str, seconds: float, fps: float, outputs: Any, places: dict[str, Any]
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        disk = places["disk"] or folder
        wanted = {"outputs": list(outputs), **places, "disk": disk, "room": folder}
        wanted |= {"limited": places["disk"] is None, "report": os.path.join(folder, "report")}
        command = [sys.executable, "-m", "benchmarks.perf.stream_outputs", model]
        command += ["--seconds", str(seconds), "--fps", str(fps), "--run", json.dumps(wanted)]
        blocked = "stdout" in outputs
        with subprocess.Popen(
            command, stdout=subprocess.PIPE if blocked else subprocess.DEVNULL
        ) as process:
            code = process.wait()  # nobody reads the pipe
        if code:
            raise click.ClickException(f"a run ended with {code}.")
        found: dict[str, Any] = json.loads(Path(wanted["report"]).read_text())
        video = Path(disk) / "video.mp4"
        found["playable"] = video.exists() and _frames(video) > 0
        video.unlink(missing_ok=True)
        return found


def _run(model: str, seconds: float, fps: float, wanted: dict[str, Any]) -> None:
    """One run, in a process of its own; what came of it goes into a file."""
    from edge_runtime.classifier import Classifier
    from edge_runtime.sources.base import SourceSettings
    from edge_runtime.sources.grammar import parse_source
    from edge_runtime.stream.loop import Loop, LoopSettings
    from edge_runtime.stream.outputs.base import Outlet, close_all
    from edge_runtime.stream.results import Event
    from edge_runtime.stream.status import Status
    from edge_runtime.stream.steady import Smoothing, SteadyLabel

    classifier = Classifier.open(model)
    source = parse_source("test:")
    status = Status(source.name, model)
    outlets = [Outlet(output, status) for output in _outputs(wanted, status)]
    threshold = classifier.info.output.unknown_threshold
    steady = SteadyLabel(Smoothing(method="none", hold=1, margin=0.0), classifier.info, threshold)
    settings = LoopSettings(duration=seconds)
    told = list(outlets)  # the loop's own list: emptied and filled again while it runs
    source_settings = SourceSettings(size=_SIZE, fps=fps)
    loop = Loop(classifier, source, source_settings, settings, steady, told, status, ahead=True)
    counts: Counter[bool] = Counter()
    spent = {True: 0.0, False: 0.0}
    begun, worked, number = time.monotonic(), time.thread_time(), 0
    warm, slice_begun, slice_count = begun + seconds / 10, begun, 0
    for result in loop.run():
        number, slice_count = number + 1, slice_count + 1
        if told and number % _EVENTS == 0 and result.steady is not None:
            loop.tell(Event("label", result.steady.change(), result=result))
        now = time.monotonic()
        if now - slice_begun >= _SLICE:
            if now > warm:
                counts[bool(told)] += slice_count
                spent[bool(told)] += now - slice_begun
            told[:] = [] if told else outlets
            slice_begun, slice_count = now, 0
    thread_ms = (time.thread_time() - worked) * 1000 / max(number, 1)
    late = close_all(outlets)
    snapshot = status.snapshot()
    drops, failures = snapshot["output_drops"], snapshot["output_failures"]
    report = {
        "with": counts[True] / spent[True],
        "without": counts[False] / spent[False],
        "thread_ms": thread_ms,
        "drops": drops,
        "failures": failures,
        "late": late,
        "lost": [*drops, *failures, *late],
    }
    Path(wanted["report"]).write_text(json.dumps(report))
    os._exit(0)  # a thread that hangs in a write to standard output holds its lock


def _outputs(wanted: dict[str, Any], status: Any) -> Iterator[Any]:
    from edge_runtime.stream.outputs.lines import Lines
    from edge_runtime.stream.outputs.mqtt import Mqtt
    from edge_runtime.stream.outputs.mqtt_address import parse_address
    from edge_runtime.stream.outputs.video import Video
    from edge_runtime.stream.outputs.webhook import Patience, Webhook

    for name in wanted["outputs"]:
        if name == "mqtt":
            yield Mqtt(parse_address(wanted["mqtt"]), status, every=0.01)
        elif name == "webhook":
            patience = Patience(whole=1.0, give_up=2.0)
            yield Webhook(wanted["webhook"], status, ("label",), patience=patience)
        elif name == "stdout":
            yield Lines(True, "all", None)
        elif name == "roomy":
            yield Video(os.path.join(wanted["room"], "video.mp4"), True)
        else:
            if wanted["limited"]:
                import resource

                resource.setrlimit(resource.RLIMIT_FSIZE, (_DISK, _DISK))
            yield Video(os.path.join(wanted["disk"], "video.mp4"), True, fps=60, codec="MJPG")


@contextlib.contextmanager
def _small_disk() -> Iterator[str | None]:
    """A folder that is soon full; None where that takes rights which we lack."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs", folder]
        mounted = subprocess.run(["mount", *options], capture_output=True, check=False)
        if mounted.returncode:
            yield None
            return
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", folder], capture_output=True, check=False)


def _frames(video: Path) -> int:
    import cv2

    capture = cv2.VideoCapture(str(video))
    count = 0
    while capture.read()[0]:
        count += 1
    capture.release()
    return count


if __name__ == "__main__":
    main()
