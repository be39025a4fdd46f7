"""Labels and description inside the model files, read as other programs read them."""

from __future__ import annotations

import ast
import json
import mmap
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flatbuffers
import numpy as np
import onnxruntime
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from flatbuffers.table import Table

from edge_runtime import Bundle, Classifier
from edge_runtime.backends.litert import read_embedded
from edge_runtime.errors import ModelError
from edge_runtime.manifest import (
    FORMAT_SUFFIXES,
    HeatmapSpec,
    ModelInfo,
    OutputSpec,
    artifact_name,
)
from exporter.metadata.describe import describe
from exporter.metadata.labels import labels_text
from exporter.metadata.tflite import describe_tflite

TFLITE = tuple(name for name in FORMAT_SUFFIXES if name.startswith("tflite"))


class Reader:
    """Fields of a flatbuffer table by their place in metadata_schema.fbs."""

    def __init__(self, buffer: bytes, position: int | None = None) -> None:
        root = flatbuffers.encode.Get(flatbuffers.packer.uoffset, buffer, 0)
        self.buffer = buffer
        self.table = Table(buffer, root if position is None else position)

    def _at(self, slot: int) -> int:
        offset = self.table.Offset(4 + 2 * slot)
        return offset and self.table.Pos + offset

    def text(self, slot: int) -> str:
        return self.table.String(self._at(slot)).decode()

    def number(self, slot: int, kind: Any) -> int:
        place = self._at(slot)
        return int(self.table.Get(kind, place)) if place else 0

    def child(self, slot: int) -> Reader:
        return Reader(self.buffer, self.table.Indirect(self._at(slot)))

    def children(self, slot: int) -> list[Reader]:
        offset = self.table.Offset(4 + 2 * slot)
        start = self.table.Vector(offset)
        return [
            Reader(self.buffer, self.table.Indirect(start + 4 * i))
            for i in range(self.table.VectorLen(offset))
        ]

    def floats(self, slot: int) -> list[float]:
        offset = self.table.Offset(4 + 2 * slot)
        start, n = self.table.Vector(offset), self.table.VectorLen(offset)
        return np.frombuffer(self.buffer, "<f4", n, start).tolist()


BYTE, UINT = flatbuffers.number_types.Int8Flags, flatbuffers.number_types.Uint32Flags


def model_metadata(file: Path) -> bytes:
    """The buffer that the model's metadata list names TFLITE_METADATA."""
    model = schema.Model.GetRootAs(file.read_bytes())
    entries = [model.Metadata(i) for i in range(model.MetadataLength())]
    (entry,) = [entry for entry in entries if entry.Name() == b"TFLITE_METADATA"]
    return model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()


def label_file(file: Path) -> str:
    """The way of MediaPipe and ML Kit: output tensor, file of type TENSOR_AXIS_LABELS, zip."""
    metadata = model_metadata(file)
    assert metadata[4:8] == b"M001"
    (output,) = Reader(metadata).children(3)[0].children(3)
    (name,) = [found.text(0) for found in output.children(6) if found.number(2, BYTE) == 2]
    with zipfile.ZipFile(file) as archive:
        assert archive.getinfo(name).compress_type == zipfile.ZIP_STORED
        return archive.read(name).decode()


@pytest.mark.parametrize("fmt", TFLITE)
def test_labels_are_found(exported: SimpleNamespace, fmt: str) -> None:
    file = exported.bundle / f"model-{fmt}.tflite"
    assert label_file(file) == "blue dots\ngreen\nred stripes\n"
    with zipfile.ZipFile(file) as archive:
        assert archive.namelist() == ["labels.txt", "edge_classify.json"]
        assert archive.testzip() is None


@pytest.mark.shared
def test_the_same_reader_reads_a_model_of_others(shared: Path) -> None:
    """Coral's file was written by the standard's own library, so the reader above is right."""
    labels = label_file(shared / "models" / "mobilenet_v2_1.0_224_quant.tflite")
    assert labels.splitlines()[:2] == ["background", "tench, Tinca tinca"]


@pytest.mark.parametrize("fmt", TFLITE)
def test_tensors_are_described(exported: SimpleNamespace, fmt: str) -> None:
    root = Reader(model_metadata(exported.bundle / f"model-{fmt}.tflite"))
    assert root.text(0) == "tiny"
    assert root.text(7) == "1.0.0"
    assert [found.text(0) for found in root.children(6)] == ["edge_classify.json"]
    (graph,) = root.children(3)
    (image,), (scores,) = graph.children(2), graph.children(3)
    assert (image.text(0), scores.text(0)) == ("image", "probabilities")
    content = image.child(3)
    assert content.number(0, BYTE) == 2  # ImageProperties
    assert content.child(1).number(0, BYTE) == 1  # RGB
    size = content.child(1).child(1)
    assert (size.number(0, UINT), size.number(1, UINT)) == (32, 32)
    (unit,) = image.children(4)
    assert unit.number(0, BYTE) == 1  # NormalizationOptions
    assert (unit.child(1).floats(0), unit.child(1).floats(1)) == ([0.0], [1.0])
    assert (image.child(5).floats(0), image.child(5).floats(1)) == ([255.0], [0.0])
    assert scores.child(3).number(0, BYTE) == 1  # FeatureProperties


def test_weights_are_untouched_and_aligned(run: Path, exported: SimpleNamespace) -> None:
    """A buffer that moved by a multiple of 16 bytes is as aligned as the converter left it."""
    plain = (exported.plain / "plain-model-tflite-fp32.tflite").read_bytes()
    info = ModelInfo.from_json((run / "preprocess.json").read_text(), "run")
    described = describe_tflite(plain, info, "tiny")
    before, after = (schema.Model.GetRootAs(data) for data in (plain, described))
    assert after.BuffersLength() == before.BuffersLength() + 1
    assert after.Description() == before.Description()
    assert after.OperatorCodesLength() == before.OperatorCodesLength()
    assert after.SignatureDefsLength() == before.SignatureDefsLength() == 1
    assert after.Metadata(0).Name() == before.Metadata(0).Name() == b"min_runtime_version"
    for index in range(before.BuffersLength()):
        old, new = before.Buffers(index), after.Buffers(index)
        if not old.DataLength():
            assert not new.DataLength()
            continue
        places = [buffer._tab.Vector(buffer._tab.Offset(4)) for buffer in (old, new)]
        assert (places[1] - places[0]) % 16 == 0
        assert np.array_equal(old.DataAsNumpy(), new.DataAsNumpy())
    assert described == describe_tflite(plain, info, "tiny")  # no time stamp


def test_described_file_runs_from_a_memory_map(exported: SimpleNamespace) -> None:
    with (
        open(exported.bundle / "model-tflite-fp32.tflite", "rb") as stream,
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
    ):
        interpreter = Interpreter(model_content=mapped[:])
        interpreter.allocate_tensors()
        signature = interpreter.get_signature_list()
    assert signature == {"serve": {"inputs": ["image"], "outputs": ["probabilities"]}}


def test_onnx_says_what_it_is(exported: SimpleNamespace) -> None:
    file = exported.bundle / "model-onnx-fp32.onnx"
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    meta = session.get_modelmeta()
    assert json.loads(meta.custom_metadata_map["class_names"]) == [
        "blue dots",
        "green",
        "red stripes",
    ]
    info = ModelInfo.from_json(meta.custom_metadata_map["edge_classify"], "file")
    assert info.preprocess.width == 32
    assert meta.producer_name == "edge-classify"
    (image,), (scores, _) = session.get_inputs(), session.get_outputs()
    assert (image.name, image.shape, image.type) == ("image", [1, 32, 32, 3], "tensor(float)")
    assert (scores.name, scores.shape) == ("probabilities", [1, 3])


def test_labels_text() -> None:
    assert labels_text(["a", "b c", "naïve"]) == "a\nb c\nnaïve\n"


@pytest.mark.parametrize("name", ["", "a\nb", "a\r", "a\u2028b", "a\x85"])
def test_a_label_of_two_lines_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match=r"line break.*Rename the class folder"):
        labels_text(["fine", name])


def test_a_label_that_is_no_text_is_refused() -> None:
    with pytest.raises(ModelError, match="not UTF-8"):
        labels_text(["caf\udce9"])


@pytest.fixture(scope="module")
def full(run: Path) -> ModelInfo:
    """A description with everything in it."""
    info = ModelInfo.from_json((run / "preprocess.json").read_text(), "run")
    output = OutputSpec("logits", 1.5, 0.6, HeatmapSpec(features="f", weights="w"))
    about = {
        "format": "tflite-fp32",
        "quantization": "none (float32)",
        "run": "tiny",
        "license": "CC-BY-4.0",
        "versions": {"keras": "3"},
    }
    return replace(info, output=output, about=about)


def test_tflite_carries_everything(
    exported: SimpleNamespace, full: ModelInfo, tmp_path: Path
) -> None:
    """The toolkit's description whole, and what the standard has a field for."""
    file = tmp_path / "model.tflite"
    describe(exported.plain / "plain-model-tflite-fp32.tflite", file, full, "tiny")
    assert read_embedded(file) == full
    root = Reader(model_metadata(file))
    assert "none (float32)" in root.text(1)
    assert root.text(2) == "tiny"
    assert root.text(4).startswith("edge-classify")
    assert root.text(5) == "CC-BY-4.0"
    (scores,) = root.children(3)[0].children(3)
    assert scores.text(0) == "logits"
    assert not scores.table.Offset(4 + 2 * 5)  # logits have no smallest and largest value


def test_described_again_with_other_figures(
    exported: SimpleNamespace, full: ModelInfo, tmp_path: Path
) -> None:
    """A temperature comes after the scoring: the same plain file, described once more."""
    plain, file = exported.plain / "plain-model-tflite-fp32.tflite", tmp_path / "model.tflite"
    describe(plain, file, full, "tiny")
    first = file.read_bytes()
    describe(plain, file, replace(full, output=replace(full.output, temperature=2.0)), "tiny")
    again = read_embedded(file)
    assert again is not None and again.output.temperature == 2.0
    describe(plain, file, full, "tiny")
    assert file.read_bytes() == first


def test_onnx_speaks_to_other_readers(
    exported: SimpleNamespace, full: ModelInfo, tmp_path: Path
) -> None:
    """The keys of Ultralytics' files: a Python literal with integer keys, and (h, w)."""
    file = tmp_path / "model.onnx"
    info = replace(full, about={**full.about, "format": "onnx-fp32"})
    describe(exported.plain / "plain-model-onnx-fp32.onnx", file, info, "tiny")
    meta = onnxruntime.InferenceSession(str(file)).get_modelmeta().custom_metadata_map
    assert ast.literal_eval(meta["names"]) == {0: "blue dots", 1: "green", 2: "red stripes"}
    assert ast.literal_eval(meta["imgsz"]) == [32, 32]
    assert (meta["task"], meta["batch"], meta["license"]) == ("classify", "1", "CC-BY-4.0")
    assert ModelInfo.from_json(meta["edge_classify"], "file") == info


@pytest.mark.parametrize("fmt", list(FORMAT_SUFFIXES))
def test_every_file_says_where_it_comes_from(exported: SimpleNamespace, fmt: str) -> None:
    about = Classifier.open(exported.bundle / artifact_name(fmt)).info.about
    assert (about["format"], about["run"]) == (fmt, "tiny")
    assert about["quantization"] == Bundle.open(exported.bundle).manifest.artifact(fmt).quantization
    assert {"tensorflow", "keras", "edge-classify"} <= set(about["versions"])
