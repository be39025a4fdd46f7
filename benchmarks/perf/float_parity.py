"""Do the float files answer and explain like Keras, on every photo that a run knows?

Run ``python -m benchmarks.perf.float_parity RUN [--bundle BUNDLE] [--out FILE]``. Training,
validation and test photos alike are decoded from their original files; the Keras model answers
them and explains each answer with Grad-CAM, with real gradients, and so does each file of the
bundle through edge_runtime, opened by what it carries itself. Without ``--bundle`` the float
formats of the run are exported first. Exit code 4 unless all of this holds:

- float32: no probability differs by more than 1e-5;
- float16: none by more than 5e-3, and no answer but where the two best probabilities of the Keras
  model are within 1e-2 of each other, so that their order proves nothing;
- all: the heat maps correlate with Grad-CAM by 0.999 on average.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from benchmarks.perf.common import EXIT_CHECK_FAILED, print_machine
from edge_runtime.bundle import Bundle
from edge_runtime.errors import EdgeError
from edge_runtime.files import sha256_file
from edge_runtime.rundir import RunDir
from exporter.conversion import Converter
from exporter.evidence import Truth, examine, gather
from exporter.options import ExportOptions
from exporter.package import export_bundle
from exporter.photos import find_moved
from exporter.thresholds import is_float

#: Exported where no bundle is named: all float formats.
_FORMATS = ("saved_model", "tflite-fp32", "tflite-fp16", "onnx-fp32", "onnx-fp16")

#: Largest difference of a probability: float32 sums in another order; float16 rounds each weight
#: to 11 significant bits.
_LIMITS = {fmt: 5e-3 if fmt.endswith("fp16") else 1e-5 for fmt in _FORMATS}

_CORRELATION = 0.999


@click.command()
@click.argument("run")
@click.option("--bundle", help="Of this run. Default: its float formats are exported.")
@click.option("--data", type=click.Path(path_type=Path), help="Where its photos are now, if moved.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the table to this file, too.")
def main(run: str, bundle: str | None, data: Path | None, out: Path | None) -> None:
    """Compare the float files of RUN with its Keras model on all of its photos."""
    print_machine()
    try:
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            if bundle is None:
                bundle = os.fspath(work / "bundle")
                export_bundle(run, bundle, _FORMATS, accept=_FORMATS, data=data)
            rows = compare_all(RunDir.open(run), Bundle.open(bundle), data, work)
    except EdgeError as error:
        raise click.ClickException(str(error)) from error
    text = table(rows)
    click.echo(text)
    if out is not None:
        out.write_text(text + "\n", encoding="utf-8")
    failures = [f"{row['format']}: {failure}" for row in rows for failure in broken(row)]
    for failure in failures:
        click.echo(failure, err=True)
    if failures:
        raise click.exceptions.Exit(EXIT_CHECK_FAILED)


def compare_all(run: RunDir, bundle: Bundle, data: Path | None, work: Path) -> list[dict[str, Any]]:
    """Compare each float file of a bundle on all photos; rows as in ``parity.json``."""
    if bundle.manifest.source["weights_sha256"] != sha256_file(run.model_path):
        raise click.ClickException(f"{bundle.path}: was not made from {run.path}.")
    photos = run.split()
    if data is not None:
        photos = find_moved(photos, data)
    with Converter(run, ExportOptions(), work) as keras:
        truth = gather(run, keras, photos, work)
        every = list(range(len(truth)))
        click.echo(f"{len(truth)} photos; Grad-CAM of each", err=True)
        maps = keras.heatmaps(truth.pixels, every, truth.answers.tolist())
    return [
        _row(replace(truth, mapped=every, maps=maps), bundle, artifact.format)
        for artifact in bundle.manifest.artifacts
        if is_float(artifact.format)
    ]


def broken(row: dict[str, Any]) -> list[str]:
    """What does not hold of a row."""
    if "error" in row:
        return [row["error"]]
    found = []
    if not row["max_abs_diff"] <= _LIMITS[row["format"]]:
        found.append(f"a probability differs by {row['max_abs_diff']:.1e}")
    if row["agreement_except_ties"] != 1:
        found.append(f"answers agree by {row['agreement_except_ties']} where there is no tie")
    heatmap = row["heatmap"] or {}
    if not (heatmap.get("mean") or 0) >= _CORRELATION:
        found.append(f"heat maps: {heatmap}")
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| format | photos | largest difference | agreement | ties | agreement except ties "
        "| heat maps, mean | smallest |",
        "|---" * 8 + "|",
    ]
    for row in rows:
        if "error" in row:
            lines.append(f"| `{row['format']}` | {row['error']} |" + " |" * 6)
            continue
        heatmap = row["heatmap"] or {}
        lines.append(
            f"| `{row['format']}` | {row['n']} | {row['max_abs_diff']:.1e} | {row['agreement']:.2%} "
            f"| {row['ties']} | {_percent(row['agreement_except_ties'])} "
            f"| {_figure(heatmap.get('mean'))} | {_figure(heatmap.get('min'))} |"
        )
    return "\n".join(lines)


def _row(truth: Truth, bundle: Bundle, fmt: str) -> dict[str, Any]:
    artifact, file = bundle.file(fmt)
    click.echo(f"{fmt}: comparing", err=True)
    info = bundle.manifest.info_of(artifact)
    return {"format": fmt, **examine(truth, fmt, file, info, described=True).figures}


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{share:.2%}"


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.6f}"


if __name__ == "__main__":
    main()
