"""What an export refuses, what it leaves out, and what it never loses."""

from __future__ import annotations

import logging
import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge_runtime import Bundle
from edge_runtime.errors import (
    CheckFailed,
    DataError,
    ModelError,
    OutputExists,
    SystemFailure,
    UsageError,
)
from edge_runtime.manifest import FORMAT_SUFFIXES
from edge_runtime.rundir import RunDir, SplitRow, write_split
from exporter import package, parity, scoring
from exporter.formats import tflite_graph
from exporter.formats.registry import FORMATS, choose_formats
from exporter.package import export_bundle
from exporter.report import NothingPassed


def test_formats_come_in_the_manifests_order() -> None:
    assert choose_formats(["onnx-fp32", "tflite-fp32", "onnx-fp32"], []) == [
        "tflite-fp32",
        "onnx-fp32",
    ]


def test_formats_by_default_and_all() -> None:
    """The slow one is written only where it is asked for."""
    assert choose_formats(["all"]) == list(FORMAT_SUFFIXES) == list(FORMATS)
    assert set(FORMATS) - set(choose_formats([])) == {"tflite-int16x8"}


@pytest.mark.parametrize(
    ("wanted", "accept", "message"),
    [
        (["tflite-fp23"], [], "Did you mean tflite-fp32"),
        (["tflite-fp32"], ["tflte-fp32"], "Unknown format 'tflte-fp32'"),
        (["tflite-fp32"], ["onnx-fp32"], "not among the formats"),
        ([""], [], "No format to export"),
        (["tflite"], [], "family of formats.*tflite-fp32, tflite-fp16, .*tflite-int16x8"),
        (["onnx"], [], "family of formats.*onnx-fp32, onnx-fp16, onnx-int8"),
        (["al"], [], "Did you mean all"),
    ],
)
def test_bad_formats(wanted: list[str], accept: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        choose_formats(wanted, accept)


def untouched(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_existing_output_stays(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputExists, match="--overwrite"):
        export_bundle(run, out)
    with pytest.raises(UsageError, match="not a bundle"):
        export_bundle(run, out, overwrite=True)
    assert untouched(out) == {"thesis.txt": b"years of work"}


def test_output_that_is_a_file(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("x")
    with pytest.raises(UsageError, match="is a file"):
        export_bundle(run, out, overwrite=True)


def test_a_bundle_in_place_of_its_run(own_run: Path) -> None:
    for out in (own_run, own_run.parent):
        with pytest.raises(UsageError, match="holds the run itself"):
            export_bundle(own_run, out, overwrite=True)
    assert RunDir.open(own_run)


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such run"):
        export_bundle(tmp_path / "none", tmp_path / "out")


def test_model_cut_in_half(own_run: Path, tmp_path: Path) -> None:
    file = own_run / "model.keras"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ModelError, match=r"model\.keras: damaged or cut off"):
        export_bundle(own_run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unfinished_run(own_run: Path, tmp_path: Path) -> None:
    (own_run / "metrics.json").unlink()
    with pytest.raises(ModelError, match=r"metrics\.json missing"):
        export_bundle(own_run, tmp_path / "out")


def with_split(run: Path, rows: list[SplitRow]) -> Path:
    (run / "split.csv").unlink()
    write_split(run, rows)
    return run


@pytest.mark.usefixtures("instant")
def test_missing_photo(own_run: Path, tmp_path: Path) -> None:
    rows = RunDir.open(own_run).split()
    gone = [replace(row, path=row.path + ".gone") for row in rows]
    with pytest.raises(DataError, match=r"photo_000\.jpg\.gone: No such file"):
        export_bundle(with_split(own_run, gone), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_validation_photo(own_run: Path, tmp_path: Path) -> None:
    rows = RunDir.open(own_run).split("train")
    with pytest.raises(DataError, match="no validation photo"):
        export_bundle(with_split(own_run, rows), tmp_path / "out")


def test_unknown_class(own_run: Path, tmp_path: Path) -> None:
    rows = [replace(row, label="pear") for row in RunDir.open(own_run).split()]
    with pytest.raises(ModelError, match="does not know: pear"):
        export_bundle(with_split(own_run, rows), tmp_path / "out")


def demand(monkeypatch: pytest.MonkeyPatch, fmt: str, limit: float) -> None:
    strict = replace(parity.THRESHOLDS[fmt], max_abs_diff=limit)
    monkeypatch.setitem(parity.THRESHOLDS, fmt, strict)


@pytest.mark.usefixtures("instant")
def test_a_float_format_that_differs_stays_out(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demand(monkeypatch, "tflite-fp32", -1)
    report = export_bundle(run, tmp_path / "out", ["tflite-fp32", "onnx-fp32"])
    row = report.artifacts[0]
    assert (row["format"], row["file"], row["passed"]) == ("tflite-fp32", None, False)
    assert row["max_abs_diff"] >= 0
    assert report.default == "onnx-fp32"
    assert [a.format for a in Bundle.open(tmp_path / "out").manifest.artifacts] == ["onnx-fp32"]
    assert not (tmp_path / "out" / "model-tflite-fp32.tflite").exists()
    with pytest.raises(CheckFailed, match=r"written without 1 of 2.*--accept tflite-fp32"):
        report.check()


@pytest.mark.usefixtures("instant")
def test_the_default_runs_on_a_device(
    run: Path, tmp_path: Path, exported: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SavedModel needs TensorFlow (and seconds to start it, so its scores stand in)."""

    def answer(_file: Path, pixels: Path, *_: object, **__: object) -> scoring.Answers:
        found = np.load(exported.plain / f"scores-{pixels.stem}.npy")
        return scoring.Answers(found, found, 0.0)

    monkeypatch.setattr(scoring, "answers", answer)
    report = export_bundle(run, tmp_path / "out", ["saved_model", "tflite-fp16"])
    assert report.default == Bundle.open(tmp_path / "out").manifest.default == "tflite-fp16"


@pytest.mark.usefixtures("instant")
def test_unless_it_is_accepted(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    demand(monkeypatch, "tflite-fp32", -1)
    with caplog.at_level(logging.WARNING, "exporter"):
        report = export_bundle(run, tmp_path / "out", ["tflite-fp32"], accept=["tflite-fp32"])
    report.check()
    assert "accepted all the same" in caplog.text
    assert not Bundle.open(tmp_path / "out").manifest.artifact("tflite-fp32").passed


@pytest.mark.usefixtures("instant")
def test_no_bundle_when_nothing_is_left(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demand(monkeypatch, "tflite-fp16", -1)
    demand(monkeypatch, "onnx-fp32", -1)
    with pytest.raises(NothingPassed, match="onnx-fp32: largest difference") as caught:
        export_bundle(run, tmp_path / "out", ["tflite-fp16", "onnx-fp32"])
    assert caught.value.exit_code == 4
    assert caught.value.report.bundle is None
    assert [row["file"] for row in caught.value.report.artifacts] == [None, None]
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("instant")
def test_poor_int8_is_shipped_with_its_figures(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    original = scoring.answers

    def mirrored(*arguments: Any, **options: Any) -> scoring.Answers:
        found = original(*arguments, **options)
        return replace(found, raw=found.raw[:, ::-1], scores=found.scores[:, ::-1])

    monkeypatch.setattr(scoring, "answers", mirrored)
    with caplog.at_level(logging.WARNING, "exporter"):
        report = export_bundle(run, tmp_path / "out", ["tflite-int8"])
    report.check()
    assert "tflite-int8: largest difference" in caplog.text
    assert "prefer another format" in caplog.text
    artifact = Bundle.open(tmp_path / "out").manifest.artifact("tflite-int8")
    assert not artifact.passed
    assert artifact.parity["agreement"] < 0.98


@pytest.mark.usefixtures("instant")
def test_a_file_that_cannot_run_stays_out_even_if_accepted(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = scoring.answers

    def crash(model: Path, *rest: Any, **options: Any) -> scoring.Answers:
        if model.suffix == ".onnx":
            raise scoring.NotRun("its interpreter died of SIGSEGV.")
        return original(model, *rest, **options)

    monkeypatch.setattr(scoring, "answers", crash)
    wanted = ["tflite-fp32", "onnx-fp32"]
    report = export_bundle(run, tmp_path / "out", wanted, accept=["onnx-fp32"])
    row = report.artifacts[1]
    assert (row["file"], row["accuracy"]) == (None, None)
    with pytest.raises(CheckFailed, match="onnx-fp32: its interpreter died of SIGSEGV"):
        report.check()


@pytest.mark.usefixtures("instant")
def test_overwrite_replaces_the_bundle_as_a_whole(
    run: Path, tmp_path: Path, exported: SimpleNamespace
) -> None:
    out = tmp_path / "out"
    shutil.copytree(exported.bundle, out)
    export_bundle(run, out, ["onnx-fp32"], overwrite=True)
    assert not (out / "model-tflite-fp32.tflite").exists()
    assert [a.format for a in Bundle.open(out).manifest.artifacts] == ["onnx-fp32"]


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (ModelError("tflite-fp32: the converter failed (no reason)."), "the converter failed"),
        (KeyboardInterrupt(), "^$"),
        (SystemFailure("No space left on device."), "No space left"),
    ],
)
@pytest.mark.usefixtures("instant")
def test_a_conversion_that_fails_leaves_nothing(
    run: Path,
    tmp_path: Path,
    exported: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    failure: BaseException,
    message: str,
) -> None:
    """The old bundle stands as it was, and nothing lies beside it."""
    out = tmp_path / "out"
    shutil.copytree(exported.bundle, out)
    before = untouched(out)

    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(package.Converter, "convert", fail)
    with pytest.raises(type(failure), match=message):
        export_bundle(run, out, ["tflite-fp32"], overwrite=True)
    assert untouched(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_operators_that_a_plain_interpreter_lacks() -> None:
    """A model of one TensorFlow operator that only the Flex delegate knows."""
    schema = tflite_graph.import_schema()
    import flatbuffers

    code = schema.OperatorCodeT()
    code.builtinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = "FlexErfinv"
    model = schema.ModelT()
    model.operatorCodes, model.subgraphs = [code], [schema.SubGraphT()]
    builder = flatbuffers.Builder(256)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    with pytest.raises(ModelError, match="needs the operators FlexErfinv"):
        tflite_graph.check(bytes(builder.Output()), "tflite-fp32")


@pytest.mark.usefixtures("instant")
def test_the_whole_bundle_is_the_same_wherever_it_is_made(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figures, golden photos and page, too: no time, no folder and no order of the moment in them."""
    made = []
    for name, wanted in (("first", ["tflite-fp32", "onnx-int8"]), ("other/second", ["onnx-int8"])):
        home = tmp_path / name
        home.mkdir(parents=True)
        monkeypatch.chdir(home)
        out = Path("out") if name == "first" else home / "bundle"
        export_bundle(os.path.relpath(run), out, [*wanted, "tflite-fp32"])
        made.append(out.resolve())
    first, second = (
        {path.relative_to(out).as_posix(): path.read_bytes() for path in files(out)} for out in made
    )
    assert first == second


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
