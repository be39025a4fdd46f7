"""Which rung of the ladder is taken, and what is said of it."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge_runtime.bundle import Bundle
from edge_runtime.errors import ModelError, UsageError
from edge_runtime.manifest import PreprocessSpec, artifact_name
from edge_runtime.opening import open_backend
from edge_runtime.preprocess import preprocess
from edge_runtime.rundir import RunDir, read_split
from exporter import conversion
from exporter.conversion import Converter
from exporter.convert_worker import Worker
from exporter.formats.job import Judging
from exporter.options import ExportOptions, parse_drop
from exporter.package import export_bundle
from exporter.quantize.ladder import Ladder, Photos, Rule, _Rung
from exporter.quantize.measure import Interpreter

SIZE = 32


@pytest.fixture(scope="module")
def float16(exported: SimpleNamespace) -> bytes:
    """The TFLite file with float16 weights."""
    path: Path = exported.plain / f"plain-{artifact_name('tflite-fp16')}"
    return path.read_bytes()


@pytest.fixture(scope="module")
def photos(run: Path) -> Photos:
    """Training photos to calibrate with, validation photos to judge on."""
    found = {
        part: [row for row in read_split(run / "split.csv") if row.part == part]
        for part in ("train", "val")
    }
    pixels = {
        part: np.stack([preprocess(row.path, PreprocessSpec(SIZE, SIZE)) for row in chosen])
        for part, chosen in found.items()
    }
    names = sorted({row.label for row in found["val"]})
    labels = np.array([names.index(row.label) for row in found["val"]])
    return Photos(pixels["train"], pixels["val"], labels, len(labels))


def ladder(float32: bytes, photos: Photos, rule: Rule | None = None) -> Ladder:
    return Ladder(float32, photos, rule or Rule(1.0, 0.0), "uint8")


class InThisProcess:
    """A stand-in for the session with the converting process, whose start takes as long as this."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self._worker = Worker()

    def __exit__(self, *_: object) -> None:
        pass

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer, with nothing but JSON going in and out."""
        answer = self._worker.answer(json.loads(json.dumps(request)))
        return dict(json.loads(json.dumps(answer)))


def never() -> bytes:
    raise AssertionError("this rung was not needed")


def test_the_least_change_wins_where_all_cost_the_same(
    float32: bytes, photos: Photos, exported: SimpleNamespace
) -> None:
    """Of the three ways to full int8, all judged; the others are not tried."""
    plain = exported.plain / f"plain-{artifact_name('tflite-int8')}"
    chosen = ladder(float32, photos).climb(plain.read_bytes, never)
    assert [entry["rung"].partition(",")[0] for entry in chosen.trail] == ["full int8"] * 3
    taken = next(entry for entry in chosen.trail if entry["chosen"])
    assert taken["noise"] == min(entry["noise"] for entry in chosen.trail)
    assert chosen.recipe["rung"] == taken["rung"]
    assert chosen.recipe["rule"]["n"] == len(photos.labels)
    assert chosen.quantization.startswith("full integer int8")
    json.dumps(chosen.trail)


def test_the_same_photos_give_the_same_file(float32: bytes, photos: Photos) -> None:
    first, second = (ladder(float32, photos)._reconstructed(2).model for _ in range(2))
    assert first == second


def test_as_few_units_in_float_as_needed(
    float32: bytes, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2 fail, 4 hold, 3 hold: 3 it is, and each was tried once."""
    tried = []

    def judge_by_count(self: Ladder, rung: _Rung) -> _Rung | None:
        tried.append(len(rung.recipe["float32"]))
        return rung if tried[-1] >= 3 else None

    monkeypatch.setattr(Ladder, "_try", judge_by_count)
    monkeypatch.setattr("exporter.quantize.ladder._MOST_WORK", 1.0)
    held = ladder(float32, photos)._fewest_in_float()
    assert held is not None
    assert tried == [2, 4, 3]
    assert len(held.recipe["float32"]) == 3
    for name in held.recipe["float32"]:
        assert name in held.scheme


def test_weight_only_and_float16_are_the_last_rungs(
    float32: bytes, photos: Photos, float16: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule that no 8 bits hold: float16 weights change these logits by 2e-5, int8 ones by 1e-3."""
    monkeypatch.setattr("exporter.quantize.ladder._COUNTS", (2,))
    original = Ladder._try

    def only_float(self: Ladder, rung: _Rung) -> _Rung | None:
        found = original(self, rung)
        return found if self._trail[-1]["noise"] < 1e-4 else None

    monkeypatch.setattr(Ladder, "_try", only_float)
    chosen = ladder(float32, photos).climb(lambda: float32, lambda: float16)
    # The stand-in for plain int8 is the float32 file itself, which changes nothing at all.
    assert chosen.recipe["rung"] == "full int8, min-max"
    rough = ladder(float32, photos)
    chosen = rough.climb(lambda: rough._mixed("x", float32, 0).model, lambda: float16)
    assert [entry["rung"] for entry in chosen.trail][-2:] == [
        "weight-only int8",
        "float16 weights",
    ]
    assert chosen.quantization == "float16 weights, float32 arithmetic; uint8 input and output"


def test_nothing_that_holds_is_an_error(
    float32: bytes, photos: Photos, float16: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ladder, "_try", lambda *_: None)
    monkeypatch.setattr("exporter.quantize.ladder._COUNTS", (2,))
    with pytest.raises(ModelError, match="no way of quantising holds --max-drop"):
        ladder(float32, photos, Rule()).climb(lambda: float32, lambda: float16)


def test_what_was_tried_is_in_the_bundle(exported: SimpleNamespace) -> None:
    """In parity.json and in the manifest; the file's scheme is the rung's."""
    parity = json.loads((exported.bundle / "parity.json").read_text(encoding="utf-8"))
    row = next(row for row in parity["artifacts"] if row["format"] == "tflite-int8")
    assert sum(entry["chosen"] for entry in row["trail"]) == 1
    keys = {"rung", "accuracy", "drop", "drop_upper", "agreement", "n", "bytes", "ms", "reason"}
    assert keys <= set(row["trail"][0])
    artifact = Bundle.open(exported.bundle).manifest.artifact("tflite-int8")
    assert artifact.recipe == row["recipe"]
    assert artifact.quantization == row["quantization"]
    assert "How tflite-int8 was quantised" in (exported.bundle / "parity.html").read_text("utf-8")


def test_without_a_rule_int8_is_plain(
    run: Path, tmp_path: Path, instant: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--max-drop none` loads no photos to judge on."""
    from exporter import package

    asked: list[Any] = []
    before = package.load_judges

    def load(*args: Any) -> Any:
        asked.append(before(*args))
        return asked[-1]

    monkeypatch.setattr(package, "load_judges", load)
    options = ExportOptions(max_drop=None)
    export_bundle(run, tmp_path / "out", ["tflite-int8"], options=options)
    assert asked == [None]


@pytest.mark.parametrize(
    ("options", "shape", "dtype"),
    [
        (ExportOptions(batch=4, logits=True, int8_io="int8"), [4, 32, 32, 3], np.int8),
        (ExportOptions(batch=None, int8_io="float32"), [-1, 32, 32, 3], np.float32),
    ],
)
def test_options_hold_for_the_ladder_too(
    run: Path,
    photos: Photos,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: ExportOptions,
    shape: list[int],
    dtype: type,
) -> None:
    """The file runs, and answers like the network on most photos, through edge_runtime."""
    monkeypatch.setattr(conversion, "Session", InThisProcess)
    calibration, judging = tmp_path / "calibration.npy", tmp_path / "judging.npy"
    np.save(calibration, photos.calibration)
    np.save(judging, photos.judging)
    judges = Judging(judging, tuple(photos.labels.tolist()), len(photos.labels))
    loose = replace(options, max_drop=20.0, min_agreement=0.5)
    with Converter(RunDir.open(run), loose, tmp_path) as converter:
        exact = converter.scores(judging, len(photos.labels))
        converted = converter.convert("tflite-int8", calibration, judges)
    assert converted.notes["recipe"]["rung"]
    backend = open_backend(converted.file)
    entry = Interpreter(converted.file.read_bytes())._input
    assert list(entry["shape_signature"]) == shape
    assert entry["dtype"] == dtype
    found = backend.scores_many(photos.judging)
    # The rule that it was chosen by asks for half of the answers; it kept more when it was tried.
    assert (found.argmax(axis=1) == exact.argmax(axis=1)).mean() > 0.8


@pytest.mark.parametrize(("text", "value"), [("none", None), ("0.5", 0.5), ("2", 2.0)])
def test_max_drop_is_read(text: str, value: float | None) -> None:
    assert parse_drop(text) == value


@pytest.mark.parametrize("text", ["half", "", "0,5"])
def test_max_drop_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected percentage points"):
        parse_drop(text)


@pytest.mark.parametrize("wrong", [{"max_drop": -1.0}, {"max_drop": 101.0}, {"min_agreement": 2.0}])
def test_a_rule_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="expected 0 to 1"):
        ExportOptions(**wrong)


def test_rungs_are_told(float32: bytes, photos: Photos, caplog: pytest.LogCaptureFixture) -> None:
    work = ladder(float32, photos)
    with caplog.at_level(logging.INFO, "exporter"):
        work._try(work._mixed("full int8, chosen ranges", float32, 0))
    assert "full int8, chosen ranges: drop" in caplog.text
