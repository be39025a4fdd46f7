"""Run the comparisons with other programs and write ``benchmarks/perf/RESULTS.md``.

Run ``python -m benchmarks.perf.suite`` (or ``make perf``); ``--only NAME,NAME`` runs some, ``--list``
names them. Each comparison is a script of ``benchmarks/perf/`` in a process of its own, nothing else
runs beside it. What could not be run (a peer that does not install, photos that are not there) is a
row that says why. What was measured stays in ``--work``, so that a suite that was stopped goes on
with ``--resume`` (what did not run to its end is tried again), and ``--only`` leaves the rows of the
others on the page. ``--quick`` has a page of its own. Exit code 4 if a limit was missed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Set
from pathlib import Path
from typing import Any

import click

from benchmarks.hardware import describe_machine
from benchmarks.perf.common import (
    EXIT_CHECK_FAILED,
    FIGURES_VARIABLE,
    HERE,
    REPO,
    shared_option,
)
from benchmarks.perf.suite.comparisons import COMPARISONS, Comparison, Inputs
from benchmarks.perf.suite.environments import ENVIRONMENTS, NotInstalled, prepared
from benchmarks.perf.suite.kept import keep, kept, named_in, write
from benchmarks.perf.suite.results import Outcome, page
from benchmarks.show.text import machine_line

#: Seconds after which a comparison is given up.
_TIMEOUT = 3 * 3600


@click.command()
@click.option("--only", metavar="NAME,NAME", help="Names of comparisons, with commas.")
@click.option("--list", "listing", is_flag=True, help="Name the comparisons and end.")
@click.option("--quick", is_flag=True, help="Few rounds: to see that it works, not to quote.")
@click.option("--run", "run_dir", type=click.Path(path_type=Path), help="Run of edge-train fit.")
@click.option("--bundle", type=click.Path(path_type=Path), help="Its bundle.")
@click.option(
    "--work", type=click.Path(path_type=Path), default=REPO / "build" / "perf", show_default="build/perf",
    help="Where peers are installed, and runs and figures kept.",
)  # fmt: skip
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Page of results. Default: RESULTS.md in benchmarks/perf, with --quick in --work.",
)
@click.option("--resume", is_flag=True, help="Measure only what --work has no figures of.")
@shared_option()
def main(
    only: str | None,
    listing: bool,
    quick: bool,
    run_dir: Path | None,
    bundle: Path | None,
    work: Path,
    out: Path | None,
    resume: bool,
    shared: Path,
) -> None:
    """Compare with every peer."""
    chosen = _chosen(only)
    if listing:
        for comparison in chosen:
            click.echo(f"{comparison.name:20} {comparison.minutes:5.0f} min  {comparison.question}")
        return
    if out is None:
        out = work / "RESULTS.md" if quick else HERE / "RESULTS.md"
    work.mkdir(parents=True, exist_ok=True)
    known = {c.name: before for c in COMPARISONS if (before := kept(c.name, quick, work))}
    _refuse_loss(out, {c.name for c in chosen} | set(known), work)
    inputs = _inputs(shared, run_dir, bundle, work, quick)
    for comparison in chosen:
        before = known.get(comparison.name)
        if not (resume and before is not None and before.completed):
            click.echo(f"== {comparison.name}: {comparison.question}", err=True)
            known[comparison.name] = _run(comparison, inputs, work)
            keep(known[comparison.name], work)
        write(out, page([known[c.name] for c in COMPARISONS if c.name in known]))
    click.echo(f"{out}", err=True)
    if not all(known[comparison.name].held for comparison in chosen):
        raise SystemExit(EXIT_CHECK_FAILED)


def _refuse_loss(out: Path, names: Set[str], work: Path) -> None:
    """Raise UsageError if the page has rows that the new one would not have."""
    # Rows of comparisons that there are no more are to go.
    lost = [c.name for c in COMPARISONS if c.name in named_in(out) and c.name not in names]
    if lost:
        raise click.UsageError(
            f"{out}: its rows of {', '.join(lost)} would be lost, {work} has none of them. Give "
            "another --out, or measure those, too."
        )


def _chosen(only: str | None) -> list[Comparison]:
    if only is None:
        return list(COMPARISONS)
    names = [name.strip() for name in only.split(",")]
    known = {comparison.name: comparison for comparison in COMPARISONS}
    for name in names:
        if name not in known:
            raise click.UsageError(f"--only {name}: is none of {', '.join(known)}.")
    return [known[name] for name in names]


def _inputs(
    shared: Path, run_dir: Path | None, bundle: Path | None, work: Path, quick: bool
) -> Inputs:
    """Train and export what the comparisons measure, unless it was given."""
    weights = shared / "weights" / "efficientnetb0_notop.weights.h5"
    data = shared / "data" / "groceries"
    if not weights.is_file() or not data.is_dir():
        raise click.UsageError(f"{shared}: the real photos and weights are not there (--shared).")
    if run_dir is None:
        run_dir = work / "run"
        if not run_dir.exists():
            _do("edge-train", "fit", data, "--weights", weights, "--out", run_dir)
    if bundle is None:
        bundle = work / "bundle"
        if not bundle.exists():
            formats = "tflite-fp32,tflite-int8,onnx-fp32"
            _do("edge-export", "bundle", run_dir, "--out", bundle, "--formats", formats)
    return Inputs(shared, run_dir.resolve(), bundle.resolve(), quick)


def _do(command: str, *arguments: object) -> None:
    program = Path(sys.executable).with_name(command)
    done = subprocess.run([program, *map(str, arguments)], check=False)
    if done.returncode:
        raise click.ClickException(f"{command} ended with {done.returncode}.")


def _run(comparison: Comparison, inputs: Inputs, work: Path) -> Outcome:
    """Run one comparison; whatever happens to it is its row."""
    figures = work / f"{comparison.name}.figures.jsonl"
    figures.unlink(missing_ok=True)
    start = time.monotonic()
    versions: dict[str, str] = {}
    code: int | None = None
    reason = ""
    try:
        python = sys.executable
        if comparison.environment is not None:
            python, versions = prepared(ENVIRONMENTS[comparison.environment], work)
        command = [python, "-m", comparison.module, *comparison.arguments(inputs)]
        if comparison.peer_python:
            command = [sys.executable, *command[1:], "--python", python]
        code = _logged(command, figures, work / f"{comparison.name}.log")
        if code not in (0, EXIT_CHECK_FAILED):
            reason = f"ended with {code}, see its log"
    except NotInstalled as error:
        reason = f"the peer does not install: {error}"
    except subprocess.TimeoutExpired:
        reason = f"not done after {_TIMEOUT // 3600} hours"
    found: list[dict[str, Any]] = []
    if figures.exists():
        found = [json.loads(line) for line in figures.read_text(encoding="utf-8").splitlines()]
    shown = " ".join(["python", "-m", comparison.module, *comparison.shown_arguments])
    return Outcome(
        comparison.name,
        comparison.peer,
        comparison.question,
        shown,
        time.strftime("%Y-%m-%d"),
        round(time.monotonic() - start),
        versions,
        found,
        code,
        reason,
        inputs.quick,
        machine_line(describe_machine()),
    )


def _logged(command: list[str], figures: Path, log: Path) -> int:
    environment = os.environ | {FIGURES_VARIABLE: os.fspath(figures), "PYTHONPATH": os.fspath(REPO)}
    with open(log, "wb") as stream:
        return subprocess.run(
            command,
            stdout=stream,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
            cwd=REPO,
            timeout=_TIMEOUT,
            check=False,
        ).returncode


if __name__ == "__main__":
    main()
