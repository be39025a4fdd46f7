"""``edge-bench``: what each model file of a bundle costs on this machine.

Run ``edge-bench run bundle --data photos/test``.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import click

from edge_runtime.console import (
    EdgeGroup,
    LazyCommands,
    json_option,
    overwrite_option,
    print_json,
    version_option,
)
from edge_runtime.errors import InputsFailed, MissingComponent, UsageError
from edge_runtime.files import atomic_file, refuse_existing

_MAX_THREADS = 256


#: A command is imported when it is asked for.
_COMMANDS = ("compare", "schema", "show")


@click.group(cls=EdgeGroup, commands=LazyCommands("benchmarks.commands", *_COMMANDS))
@version_option("edge-bench")
def cli() -> None:
    """Measure what each model file of a bundle costs on this machine."""


@cli.command(example="edge-bench run bundle --data photos/test --threads 1,2 --out bench.json")
@click.argument("bundle", metavar="BUNDLE")
@click.option(
    "--data", metavar="DIR", help="Folder of class folders: count each format's accuracy on it."
)
@click.option(
    "--threads",
    metavar="N,N",
    help="Thread counts, with commas. Default: 1 and the usable cores, at most 4.",
)
@click.option("--formats", metavar="FMT,FMT", help="Formats of the bundle, with commas.")
@click.option(
    "--min-seconds",
    type=click.FloatRange(0),
    default=2.0,
    show_default=True,
    help="Least time that each configuration is timed for, over both rounds.",
)
@click.option(
    "--min-runs",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    help="Least number of timed inferences of each configuration, over both rounds.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=600.0,
    show_default=True,
    help="Seconds after which a process that measures is given up.",
)
@json_option("Print one JSON object on stdout, and nothing else there.")
@click.option("--out", metavar="FILE", help="Write the same JSON object to a file, too.")
@overwrite_option("an existing FILE")
def run(
    bundle: str,
    data: str | None,
    threads: str | None,
    formats: str | None,
    min_seconds: float,
    min_runs: int,
    timeout: float,
    as_json: bool,
    out: str | None,
    overwrite: bool,
) -> None:
    """Time, size, memory and accuracy of every format and thread count.

    Each configuration runs in processes of its own, in two interleaved rounds. A configuration
    that crashes is a row with its reason; the others go on, and the exit code is 1.
    """
    from .report import print_table, require_rich
    from .runner import Settings
    from .runner import run as measure

    settings = Settings(
        threads=None if threads is None else parse_threads(threads),
        formats=None if formats is None else parse_formats(formats),
        min_seconds=min_seconds,
        min_runs=min_runs,
        timeout=timeout,
    )
    if out is not None:
        check_output(out, overwrite)
    if not as_json:
        require_rich()
    result = measure(bundle, data, settings)
    if as_json:
        print_json(result, indent=2)
    else:
        print_table(result, sys.stdout)
    if out is not None:
        with atomic_file(out, overwrite) as temporary:
            temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="ascii")
    raise_failures(result["rows"])


def check_output(out: str, overwrite: bool) -> None:
    """Refuse, before minutes of measuring, a file that could not be written after them.

    Raises:
        UsageError: It is a folder, or exists and may not be replaced.
    """
    if os.path.isdir(out):
        raise UsageError(f"--out {out}: is a folder; a file name was expected.")
    refuse_existing(out, overwrite)


def parse_threads(text: str) -> tuple[int, ...]:
    """Thread counts of ``--threads``, in order, none twice.

    Raises:
        UsageError: Not numbers from 1 to 256.
    """
    try:
        counts = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        counts = ()
    if not counts or not all(1 <= count <= _MAX_THREADS for count in counts):
        raise UsageError(
            f"--threads {text}: expected numbers from 1 to {_MAX_THREADS} with commas, e.g. 1,4."
        )
    return counts


def parse_formats(text: str) -> tuple[str, ...]:
    """Format names of ``--formats``, in order, none twice; the bundle checks them."""
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not names:
        raise UsageError("--formats is empty. Name formats with commas, or leave the option out.")
    return names


def raise_failures(rows: list[dict[str, Any]]) -> None:
    """End with the exit code that the rows deserve.

    Raises:
        InputsFailed: A configuration failed.
        MissingComponent: Nothing could be measured, for want of interpreters.
    """
    failed = [row for row in rows if row["error"]]
    if failed:
        raise InputsFailed(
            f"{len(failed)} of {len(rows)} configurations failed: "
            + "; ".join(sorted({f"{row['format']}: {row['error']}" for row in failed}))
        )
    if all(row["skipped"] for row in rows):
        raise MissingComponent("nothing could be measured. " + str(rows[0]["skipped"]))


if __name__ == "__main__":
    cli()
