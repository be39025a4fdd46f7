"""``edge-train evaluate``."""

from __future__ import annotations

import json

import click

from edge_runtime.console import EdgeCommand, json_option, overwrite_option, print_json
from edge_runtime.files import atomic_file, refuse_existing
from edge_runtime.rundir import RunDir


@click.command(
    cls=EdgeCommand, example="edge-train evaluate runs/first photos/test --report test.html"
)
@click.argument("run", metavar="RUN")
@click.argument("data", metavar="DATA")
@click.option("--out", metavar="FILE", help="Write the figures as JSON to this file, too.")
@click.option("--report", metavar="FILE", help="Write a page with figures and photos, HTML.")
@click.option(
    "--out-of-fold",
    metavar="FILE",
    help="Predictions of crossval, in which label errors are then looked for.",
)
@overwrite_option("existing files")
@json_option()
def evaluate(
    run: str,
    data: str,
    out: str | None,
    report: str | None,
    out_of_fold: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Accuracy, calibration and figures for each class of RUN on a folder of class folders."""
    from ..evaluation.evaluate import evaluate_run
    from ..report.text import format_metrics_table

    opened = RunDir.open(run)
    if out is not None:
        refuse_existing(out, overwrite)
    metrics = evaluate_run(opened, data, report, out_of_fold, overwrite)
    if out is not None:
        with atomic_file(out, overwrite) as temporary:
            temporary.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    if as_json:
        print_json(metrics)
    else:
        click.echo(format_metrics_table(metrics, data))
