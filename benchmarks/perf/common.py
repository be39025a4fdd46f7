"""What the measuring scripts of this folder share."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.hardware import describe_machine
from benchmarks.show.text import machine_line
from edge_runtime.files import find_photos

HERE = Path(__file__).resolve().parent
REPO = HERE.parent.parent

#: Names the file that figures are added to, one JSON object a line.
FIGURES_VARIABLE = "EDGE_PERF_FIGURES"

#: What a script ends with when a check did not hold, as the four commands do.
EXIT_CHECK_FAILED = 4


def shared_option() -> Callable[[click.decorators.FC], click.decorators.FC]:
    """``--shared``: where the real photos and weights are, see CONTRIBUTING.md."""
    return click.option(
        "--shared",
        envvar="EDGE_CLASSIFY_SHARED",
        type=click.Path(path_type=Path),
        default=REPO.parent / "shared",
        show_default="EDGE_CLASSIFY_SHARED, else ../shared beside the repository",
        help="Folder of the real photos.",
    )


def test_photos(shared: Path) -> Path:
    """The test part of the groceries photos."""
    folder = shared / "data" / "groceries" / "test"
    if not folder.is_dir():
        raise click.UsageError(f"{folder} is not there. Name a path, or give --shared.")
    return folder


def first_photo(shared: Path) -> str:
    """A real photo to measure with."""
    return find_photos(test_photos(shared))[0]


def command(name: str) -> str:
    """An installed command of this Python's environment."""
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        raise click.ClickException(f"{path} is not there. Install first: pip install -e '.[all]'")
    return os.fspath(path)


def json_lines(arguments: Sequence[str], accepted: Sequence[int] = (0,)) -> list[dict[str, Any]]:
    """Run a command that prints JSON Lines.

    Args:
        arguments: The command.
        accepted: Exit codes that are no failure.

    Raises:
        ClickException: Another exit code; with what the command said.
    """
    done = subprocess.run(arguments, capture_output=True, check=False)
    if done.returncode not in accepted:
        raise click.ClickException(
            f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr.decode().strip()}"
        )
    return [json.loads(line) for line in done.stdout.splitlines()]


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Median, and smallest to largest."""
    middle = statistics.median(values)
    return f"{middle:.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def record(
    what: str,
    values: Sequence[float],
    unit: str = "x",
    *,
    least: float | None = None,
    most: float | None = None,
    interval: tuple[float, float] | None = None,
    count: int | None = None,
) -> None:
    """Hand a figure to the suite, if it runs the script; see :mod:`benchmarks.perf.suite`.

    Args:
        what: What was compared, and with what.
        values: Of each pair or round; the median is the figure, the others its spread. With an
            interval: the figure alone.
        unit: ``x`` for a ratio.
        least: Limit from below, of the median.
        most: Limit from above, of the median.
        interval: Of 95 %, in place of the smallest and the largest value.
        count: Of pairs or rounds behind the figure, where these are not the values.
    """
    file = os.environ.get(FIGURES_VARIABLE)
    if file is None:
        return
    figure = {
        "what": what,
        "median": statistics.median(values),
        "low": min(values) if interval is None else interval[0],
        "high": max(values) if interval is None else interval[1],
        "interval": interval is not None,
        "count": len(values) if count is None else count,
        "unit": unit,
        "least": least,
        "most": most,
    }
    with open(file, "a", encoding="utf-8") as stream:
        stream.write(json.dumps(figure) + "\n")


def print_machine() -> None:
    """Say what the figures were taken on."""
    click.echo(machine_line(describe_machine()))
