"""Do the exported float files answer as Keras does, photo by photo, and is metrics.json right?

Run ``python -m benchmarks.perf.count_accuracy RUN BUNDLE [TEST_FOLDER]``. The installed
``edge-classify image`` classifies the folder with the run's own Keras model and with each format;
counted are the labels that equal the folder's name. Exit code 4 unless every format gives Keras's
label for every photo and Keras's count is the one in ``metrics.json`` (key ``test``).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from benchmarks.perf.common import (
    EXIT_CHECK_FAILED,
    command,
    json_lines,
    print_machine,
    shared_option,
    test_photos,
)
from edge_runtime.bundle import Bundle
from edge_runtime.rundir import RunDir

_FLOAT32 = ("saved_model", "tflite-fp32", "onnx-fp32")


@click.command()
@click.argument("run")
@click.argument("bundle")
@click.argument("folder", required=False)
@click.option(
    "--formats",
    help="With commas; only float32 ones must agree. Default: the float32 ones.",
)
@shared_option()
def main(run: str, bundle: str, folder: str | None, formats: str | None, shared: Path) -> None:
    """Count the accuracy of each format through the installed command."""
    print_machine()
    folder = folder or os.fspath(test_photos(shared))
    names = [a.format for a in Bundle.open(bundle).manifest.artifacts]
    wanted = [name for name in names if name in _FLOAT32]
    if formats is not None:
        wanted = formats.split(",")
    classes = len(RunDir.open(run).class_names)
    metrics = RunDir.open(run).metrics()["test"]
    keras = _answers([run], folder, classes)
    photos, correct = len(keras), _correct(keras)
    stated = None if metrics is None else round(metrics["accuracy"] * metrics["n"])
    click.echo(f"{folder}: {photos} readable photos")
    if metrics is not None:
        click.echo(
            f"metrics.json: {stated} of {metrics['n']} right, accuracy {metrics['accuracy']:.6f}"
        )
    click.echo(
        f"{'format':16}{'right':>7}{'accuracy':>10}{'as Keras':>10}{'largest difference':>20}"
    )
    click.echo(f"{'keras':16}{correct:7}{correct / photos:10.6f}")
    problems = []
    if metrics is not None and (stated, metrics["n"]) != (correct, photos):
        problems.append("metrics.json states another count than Keras gives here")
    for fmt in wanted:
        found = _answers([bundle, "--format", fmt], folder, classes)
        same = sum(found[path]["label"] == keras[path]["label"] for path in keras)
        difference = max(_difference(found[path], keras[path]) for path in keras)
        right = _correct(found)
        click.echo(f"{fmt:16}{right:7}{right / photos:10.6f}{same:10}{difference:20.2e}")
        if fmt in _FLOAT32 and same != photos:
            problems.append(f"{fmt} gives another label than Keras for {photos - same} photos")
    click.echo(f"NOT EQUAL: {'; '.join(problems)}" if problems else "equal to the photo")
    if problems:
        raise click.exceptions.Exit(EXIT_CHECK_FAILED)


def _answers(model: list[str], folder: str, classes: int) -> dict[str, dict[str, Any]]:
    """Results of the readable photos by path."""
    choice = ["--model", *model, "--top-k", str(classes)]
    found = json_lines(
        [command("edge-classify"), "image", *choice, "--json", folder],
        accepted=(0, 1),  # 1: some photos cannot be read, which is no matter here
    )
    return {answer["path"]: answer for answer in found if answer["error"] is None}


def _correct(answers: dict[str, dict[str, Any]]) -> int:
    return sum(answer["label"] == Path(path).parent.name for path, answer in answers.items())


def _difference(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Largest probability difference over the classes."""
    scores = {entry["index"]: entry["score"] for entry in other["top"]}
    return max(abs(float(entry["score"] - scores[entry["index"]])) for entry in one["top"])


if __name__ == "__main__":
    main()
