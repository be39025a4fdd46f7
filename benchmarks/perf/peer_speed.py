"""How long does another program take for one photo, and for each of many, beside edge-classify?

Run ``python -m benchmarks.perf.peer_speed PEER BUNDLE --python PATH``, where PATH is the Python of an
environment that has the peer (``make perf`` makes them). Both classify the same photos with as many
threads, each in a process of its own, in turns:

1. one photo, from the start of the process to its end;
2. ``--photos`` photos: milliseconds a photo from the ninth answer to the last, from the file to the
   label.

MediaPipe gets the TFLite file, OpenCV and OpenVINO the ONNX file that edge-classify gets, too. MediaPipe
chooses its threads itself. Ultralytics cannot read either and runs its own network of like size. There
is no limit: the figures are for RESULTS.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.perf.common import (
    HERE,
    command,
    print_machine,
    record,
    shared_option,
    spread,
    test_photos,
)
from edge_runtime.bundle import Bundle
from edge_runtime.files import find_photos
from edge_runtime.manifest import LABELS_NAME

#: Answers before the clock starts.
_SKIP = 8


@dataclass(frozen=True)
class _Peer:
    title: str
    script: str
    formats: tuple[str, ...]
    own_network: bool = False


_PEERS = {
    "mediapipe": _Peer("MediaPipe Tasks", "mediapipe_tasks.py", ("tflite-fp32", "tflite-int8")),
    "opencv": _Peer("OpenCV DNN", "opencv_dnn.py", ("onnx-fp32",)),
    "openvino": _Peer("OpenVINO", "openvino_cpu.py", ("onnx-fp32",)),
    "ultralytics": _Peer(
        "Ultralytics, YOLO11n-cls", "ultralytics_classify.py", ("onnx-fp32", "tflite-int8"), True
    ),
}


@click.command()
@click.argument("peer", type=click.Choice([*_PEERS]))
@click.argument("bundle")
@click.option("--python", default=sys.executable, help="Of the peer's environment.")
@click.option("--threads", default=2, show_default=True, type=click.IntRange(1))
@click.option("--photos", default=120, show_default=True, type=click.IntRange(_SKIP + 2))
@click.option("--pairs", default=7, show_default=True, type=click.IntRange(1))
@shared_option()
def main(
    peer: str, bundle: str, python: str, threads: int, photos: int, pairs: int, shared: Path
) -> None:
    """Time PEER beside edge-classify with the files of BUNDLE."""
    print_machine()
    paths = find_photos(test_photos(shared))[:photos]
    chosen = _PEERS[peer]
    for fmt in chosen.formats:
        opened = Bundle.open(bundle)
        _, file = opened.file(fmt)
        ours = [command("edge-classify"), "image", "--model", bundle, "--format", fmt]
        ours += ["--threads", str(threads), "--json"]
        script = os.fspath(HERE / "peers" / chosen.script)
        labels = os.fspath(opened.path / LABELS_NAME)
        theirs = [python, script, os.fspath(file), labels, str(threads)]
        for what, given in (("one photo, start to exit", paths[:1]), ("a photo of many", paths)):
            found = _turns(ours, theirs, given, pairs)
            if not chosen.own_network:
                _say_agreement(*found.labels)
            ratios = [a / b for a, b in zip(found.ours, found.theirs, strict=True)]
            click.echo(
                f"{fmt}, {what}: edge-classify {spread(found.ours, 2)} ms, {chosen.title} "
                f"{spread(found.theirs, 2)} ms, ratio {spread(ratios)}"
            )
            record(f"`{fmt}`, {threads} threads, {what}: edge-classify over {chosen.title}", ratios)


@dataclass(frozen=True)
class _Found:
    ours: list[float]
    theirs: list[float]
    labels: tuple[list[str], list[str]]


def _turns(ours: list[str], theirs: list[str], photos: Sequence[str], pairs: int) -> _Found:
    times: tuple[list[float], list[float]] = ([], [])
    labels: list[list[str]] = [[], []]
    for number in range(pairs + 1):
        for side in (0, 1) if number % 2 else (1, 0):
            spent, labels[side] = _timed([ours, theirs][side], photos)
            if number:  # the first of each fills the file cache
                times[side].append(spent)
    return _Found(*times, (labels[0], labels[1]))


def _timed(command_line: list[str], photos: Sequence[str]) -> tuple[float, list[str]]:
    """Milliseconds, and labels."""
    start = time.perf_counter()
    arrived, labels = [], []
    with (
        tempfile.TemporaryFile() as stderr,
        subprocess.Popen(
            [*command_line, *photos], stdout=subprocess.PIPE, stderr=stderr
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            if not line.startswith(b"{"):  # what a library has to say
                continue
            arrived.append(time.perf_counter())
            answer = json.loads(line)
            labels.append(answer["label"])
            if "done" in answer:  # the same clock in every process; a script's output is buffered
                arrived[-1] = answer["done"]
        process.wait()
        end = time.perf_counter()
        stderr.seek(0)
        said = stderr.read().decode(errors="replace").strip()
    if process.returncode or len(labels) != len(photos):
        raise click.ClickException(f"{command_line[:2]} ended with {process.returncode}. {said}")
    if len(photos) == 1:
        return (end - start) * 1000, labels
    return (arrived[-1] - arrived[_SKIP]) / (len(arrived) - 1 - _SKIP) * 1000, labels


def _say_agreement(ours: Sequence[str], theirs: Sequence[str]) -> None:
    same = sum(a == b for a, b in zip(ours, theirs, strict=True))
    click.echo(f"  same label for {same} of {len(ours)} photos; each resizes by its own rule")


if __name__ == "__main__":
    main()
