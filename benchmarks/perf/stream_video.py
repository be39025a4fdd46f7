"""Is every frame of a video answered, in order, with the right steady label, the same in two runs?

Run ``python -m benchmarks.perf.stream_video MODEL [VIDEO]``; MODEL is Coral's MobileNetV2 of 224
pixels with ImageNet's labels. VIDEO (default: the bottles of the shared folder) shows three bottles
of water, of which the network sees the middle one: it looks at the middle square of the picture. A
person looked at all frames: the bottle stands there in frames 0 to 517, from 475 on with a hand at
it, which lifts it in 518, brings it back in 671 and lets go in 726; then it stands there to the end,
1188.

Two runs of ``edge-classify stream --json --print all`` have to give: an answer for each of the 1,189
frames, in order; "water bottle" as the steady label of every frame in which it stands there, but
for the two before the label is decided at all and for the ``--smooth-window`` and the ``--hold``
after it came back; and the same lines, but for timings. Exit code 4 if not. ``--also OPTION`` adds
an option to both, such as ``--also=--threshold=0.2``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from benchmarks.perf.common import EXIT_CHECK_FAILED, print_machine, shared_option

FRAMES = 1189

#: First and last frame in which the bottle stands there, of each time.
STANDING = ((0, 517), (726, FRAMES - 1))

LABEL = "water bottle"

#: Frames until a label is decided: ``--hold`` of 3; and, once something else stood, until what was
#: before is forgotten: a window of 1 s at the video's 29.83 frames a second, and those 3.
FIRST, AGAIN = 2, 33

#: Keys whose values are timings.
TIMES = {"ms", "time", "age_ms", "since", "seconds", "mean_fps", "age_p95_ms"}


def run(model: str, video: str, also: tuple[str, ...]) -> list[dict[str, Any]]:
    """The lines that the command prints."""
    arguments = ["--model", model, "--source", video, "--json", "--print", "all", *also]
    done = subprocess.run(
        [sys.executable, "-m", "edge_runtime.cli", "stream", *arguments],
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode != 0:
        raise click.ClickException(f"edge-classify stream ended with {done.returncode}.")
    return [json.loads(line) for line in done.stdout.splitlines()]


def without_times(value: Any) -> Any:
    """The same without timings, at every depth."""
    if isinstance(value, dict):
        return {key: without_times(inner) for key, inner in value.items() if key not in TIMES}
    return value


def state(answer: dict[str, Any]) -> str | None:
    """The steady label, "unknown", or None."""
    steady = answer["steady"]
    return "unknown" if steady["unknown"] else steady["label"]


@click.command()
@click.argument("model")
@click.argument("video", required=False)
@click.option("--also", multiple=True, metavar="OPTION", help="Passed on; repeatable.")
@shared_option()
def main(model: str, video: str | None, also: tuple[str, ...], shared: Path) -> None:
    """Answer the video twice."""
    print_machine()
    path = video or os.fspath(shared / "video" / "bottle-detection.mp4")
    runs = [run(model, path, also) for _ in range(2)]
    # A "source" event comes from another thread, between any two lines.
    alike = [[without_times(x) for x in lines if x.get("event") != "source"] for lines in runs]
    answers = [line for line in runs[0] if "event" not in line]
    numbers = [answer["frame"] for answer in answers]
    in_order = numbers == list(range(FRAMES)) and not any(answer["error"] for answer in answers)
    click.echo(f"answered: {len(answers)} of {FRAMES}, {'' if in_order else 'NOT '}each, in order")
    for label, group in groupby(answers, state):
        frames = [answer["frame"] for answer in group]
        click.echo(f"  {frames[0]:5} to {frames[-1]:5}  {label}")
    wrong = [
        number
        for (first, last), late in zip(STANDING, (FIRST, AGAIN), strict=True)
        for number in range(first + late, min(last, len(answers) - 1) + 1)
        if state(answers[number]) != LABEL
    ]
    stand = " and ".join(f"{first} to {last}" for first, last in STANDING)
    said = f"steady label {LABEL!r} while it stands there ({stand})"
    click.echo(f"{said}: {'yes' if not wrong else f'NOT in {len(wrong)} frames, first {wrong[0]}'}")
    click.echo(f"two runs alike but for timings: {'yes' if alike[0] == alike[1] else 'NO'}")
    if not in_order or wrong or alike[0] != alike[1]:
        raise SystemExit(EXIT_CHECK_FAILED)


if __name__ == "__main__":
    main()
