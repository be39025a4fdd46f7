"""Is the accuracy in edge-bench's report what ``edge-classify image`` gives on the same folder?

Run ``python -m benchmarks.perf.bench_equals_image BUNDLE [FOLDER]``. For each file of the bundle the
right answers of the report are compared with those counted in the JSON of the command. Exit code 4
if they differ by a photo.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import click

from benchmarks.perf.common import (
    EXIT_CHECK_FAILED,
    command,
    json_lines,
    print_machine,
    shared_option,
    test_photos,
)


@click.command()
@click.argument("bundle")
@click.argument("folder", required=False)
@shared_option()
def main(bundle: str, folder: str | None, shared: Path) -> None:
    """Compare the accuracy of each file, to the photo."""
    print_machine()
    folder = folder or os.fspath(test_photos(shared))
    quickly = ("--rounds", "1", "--min-seconds", "0", "--min-runs", "1", "--no-throughput")
    done = subprocess.run(
        [
            *(command("edge-bench"), "run", bundle, "--data", folder, "--threads", "1"),
            *(*quickly, "--json"),
        ],
        stdout=subprocess.PIPE,
        check=True,
    )
    equal = True
    for row in json.loads(done.stdout)["rows"]:
        fmt, found = row["artifact"]["format"], row["accuracy"]
        answers = json_lines(
            [
                command("edge-classify"),
                "image",
                "--model",
                bundle,
                "--format",
                fmt,
                "--json",
                folder,
            ],
            accepted=(0, 1),  # 1: some photos cannot be read
        )
        read = [answer for answer in answers if answer["error"] is None]
        right = sum(answer["label"] == Path(answer["path"]).parent.name for answer in read)
        same = (right, len(read)) == (found["correct"], found["photos"])
        equal &= same
        click.echo(
            f"{fmt:16} edge-bench {found['correct']} of {found['photos']}, "
            f"edge-classify image {right} of {len(read)}: {'equal' if same else 'NOT EQUAL'}"
        )
    if not equal:
        raise click.exceptions.Exit(EXIT_CHECK_FAILED)


if __name__ == "__main__":
    main()
