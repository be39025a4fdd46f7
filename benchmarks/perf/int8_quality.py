"""Is the int8 file that ``--max-drop`` chooses good enough, and is it fast and small?

Run ``python -m benchmarks.perf.int8_quality RUN [--data DIR] [--rounds N] [--bundle DIR]``. The
run is exported twice, with ``--max-drop 0.5`` and with plain int8. Both files, and the float32 file, are compared
with the Keras model on all validation and all test photos, through edge_runtime, and timed with one
interpreter thread in turns. Exit code 4 unless the chosen file loses at most 0.5 points on each
part, agrees by 99 %, is 1.6 times as fast as float32 and at most 0.35 of its size, and its heat maps
correlate with Grad-CAM by 0.95. The test photos choose nothing.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.perf.common import EXIT_CHECK_FAILED, print_machine, spread
from edge_runtime.bundle import Bundle
from edge_runtime.errors import EdgeError
from edge_runtime.opening import open_backend
from edge_runtime.rundir import RunDir
from exporter.conversion import Converter
from exporter.evidence import examine, gather
from exporter.options import ExportOptions
from exporter.package import export_bundle
from exporter.photos import find_moved

_FLOAT, _INT8 = "tflite-fp32", "tflite-int8"
_PLAIN, _CHOSEN = "plain int8", "chosen int8"

_MAX_DROP, _MIN_AGREEMENT, _SPEED, _SIZE, _CORRELATION = 0.005, 0.99, 1.6, 0.35, 0.95

#: Inferences of one file in a row; short, so that all files meet the same moods of the machine.
_TURN = 20


@click.command()
@click.argument("run")
@click.option("--data", type=click.Path(path_type=Path), help="Where its photos are now, if moved.")
@click.option("--rounds", type=click.IntRange(3), default=15, show_default=True, help="Of timing.")
@click.option(
    "--bundle",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Exported before with the ladder, tflite-fp32 among its formats. Default: export now.",
)
def main(run: str, data: Path | None, rounds: int, bundle: Path | None) -> None:
    """Compare chosen and plain int8 with float32 and with the Keras model of RUN."""
    print_machine()
    try:
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            if bundle is not None:
                shutil.copytree(bundle, work / "chosen")
            else:
                start = time.monotonic()
                export_bundle(run, work / "chosen", [_FLOAT, _INT8], data=data)
                click.echo(f"export with the ladder: {time.monotonic() - start:.0f} s")
            plain = ExportOptions(max_drop=None)
            export_bundle(run, work / "plain", [_INT8], options=plain, data=data)
            failures = _compare(RunDir.open(run), work, data) + _measure(work, rounds)
    except EdgeError as error:
        raise click.ClickException(str(error)) from error
    for failure in failures:
        click.echo(failure, err=True)
    if failures:
        raise click.exceptions.Exit(EXIT_CHECK_FAILED)


def _bundles(work: Path) -> dict[str, tuple[Bundle, str]]:
    chosen, plain = Bundle.open(work / "chosen"), Bundle.open(work / "plain")
    return {"float32": (chosen, _FLOAT), _CHOSEN: (chosen, _INT8), _PLAIN: (plain, _INT8)}


def _compare(run: RunDir, work: Path, data: Path | None) -> list[str]:
    """Print accuracy, agreement and heat maps on both parts; gives what does not hold."""
    bundles = _bundles(work)
    click.echo(f"chosen: {bundles[_CHOSEN][0].manifest.artifact(_INT8).quantization}")
    failures = []
    with Converter(run, ExportOptions(), work) as keras:
        for part in ("val", "test"):
            rows = run.split(part)
            if not rows:
                continue
            truth = gather(run, keras, rows if data is None else find_moved(rows, data), work)
            reference = truth.figures()["accuracy"]
            click.echo(f"{part}, {len(truth)} photos: Keras {reference:.2%}")
            for name, (bundle, fmt) in bundles.items():
                artifact, file = bundle.file(fmt)
                info = bundle.manifest.info_of(artifact)
                row = examine(truth, fmt, file, info, described=True).figures
                click.echo(f"  {name}: {_figures(row)}")
                if name == _CHOSEN:
                    failures += [f"{part}: {failure}" for failure in _broken(row, reference)]
    return failures


def _figures(row: dict[str, Any]) -> str:
    heat = (row["heatmap"] or {}).get("mean")
    return (
        f"accuracy {row['accuracy']:.2%}, agreement {row['agreement']:.2%}, largest difference "
        f"{row['max_abs_diff']:.2g}, heat maps {'none' if heat is None else f'{heat:.4f}'}"
    )


def _broken(row: dict[str, Any], reference: float) -> list[str]:
    checks = (
        (reference - row["accuracy"] <= _MAX_DROP, "loses more than 0.5 points"),
        (row["agreement"] >= _MIN_AGREEMENT, "agrees by less than 99 %"),
        (((row["heatmap"] or {}).get("mean") or 0) >= _CORRELATION, "heat maps below 0.95"),
    )
    return [text for held, text in checks if not held]


def _measure(work: Path, rounds: int) -> list[str]:
    """Print times and sizes; gives what does not hold."""
    files = {name: bundle.file(fmt)[1] for name, (bundle, fmt) in _bundles(work).items()}
    backends = {name: open_backend(file, threads=1) for name, file in files.items()}
    size = next(iter(backends.values())).input_size or (224, 224)
    photo = np.random.default_rng(0).integers(256, size=(size[1], size[0], 3), dtype=np.uint8)
    tensors = {name: backend.prepare(photo) for name, backend in backends.items()}
    times: dict[str, list[float]] = {name: [] for name in backends}
    for _ in range(rounds):
        for name, backend in backends.items():
            turn = []
            for _ in range(_TURN):
                start = time.perf_counter()
                backend.infer(tensors[name])
                turn.append(1000 * (time.perf_counter() - start))
            times[name].append(statistics.median(turn))
    base = os.path.getsize(files["float32"])
    failures = []
    for name, measured in times.items():
        ratios = [slow / fast for slow, fast in zip(times["float32"], measured, strict=True)]
        share = os.path.getsize(files[name]) / base
        click.echo(
            f"{name}: {spread(measured, 2)} ms, {spread(ratios, 2)} times as fast as float32, "
            f"{share:.3f} of its size"
        )
        if name == _CHOSEN:
            if statistics.median(ratios) < _SPEED:
                failures.append(f"less than {_SPEED} times as fast as float32")
            if share > _SIZE:
                failures.append(f"more than {_SIZE} of its size")
    return failures


if __name__ == "__main__":
    main()
