"""The folder for servers: its configurations parsed, its very files loaded and asked in batches."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import CLASSES, SIZE, copier
from google.protobuf import text_format
from server_schemas import parse_tf_serving, parse_triton

from edge_runtime.backends.full_model import import_tensorflow
from edge_runtime.errors import CheckFailed, ModelError, OutputExists, UsageError
from edge_runtime.preprocess import preprocess
from edge_runtime.rundir import RunDir
from exporter import package, parity
from exporter.making import Made, Maker
from exporter.package import export_bundle
from exporter.serving import layout, texts
from exporter.serving.triton import config_pbtxt

ONNX_FORMATS = ("onnx-fp32", "onnx-int8")

#: Sums of a batch in another order change the last digits of a float32; the limit of the contract.
BATCH_DIFFERENCE = 1e-5

TRITON_TYPES = {"tensor(float)": "TYPE_FP32"}


@pytest.fixture(scope="module")
def served(
    run: Path, exported: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> SimpleNamespace:
    """A bundle of files with a batch of 1, from copies, and its folder for servers, converted."""
    home = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(package, "Converter", copier(exported.plain))
        report = export_bundle(run, home / "bundle", ONNX_FORMATS, serving=home / "serve")
    return SimpleNamespace(folder=home / "serve", report=report)


@pytest.fixture(scope="module")
def photos(run: Path, exported: SimpleNamespace) -> SimpleNamespace:
    """The validation photos as a server gets them, and the Keras model's answers."""
    opened = RunDir.open(run)
    rows = opened.split("val")
    pixels = np.stack([preprocess(row.path, opened.info.preprocess) for row in rows])
    scores = np.load(exported.plain / "scores-validation.npy")
    return SimpleNamespace(pixels=pixels.astype(np.float32), scores=scores)


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_layout(served: SimpleNamespace) -> None:
    found = files_below(served.folder)
    model = {"config.pbtxt", "labels.txt", "1/model.onnx"}
    expected = {f"triton/tiny-{fmt}/{name}" for fmt in ONNX_FORMATS for name in model}
    assert {name for name in found if name.startswith("triton/")} == expected
    assert {"tf_serving/models.config", "tf_serving/tiny/1/saved_model.pb"} <= found
    tops = {name for name in found if "/" not in name}
    assert tops == {"README.txt", "labels.txt", "serving.json"}
    assert (served.folder / "labels.txt").read_text() == "".join(f"{name}\n" for name in CLASSES)


def test_what_is_listed_is_there_and_was_proved(served: SimpleNamespace) -> None:
    listed = json.loads((served.folder / "serving.json").read_text())
    models = listed["models"]
    assert models == json.loads(json.dumps(served.report.serving["models"]))
    assert [(row["server"], row["name"]) for row in models] == [
        ("triton", "tiny-onnx-fp32"),
        ("triton", "tiny-onnx-int8"),
        ("tf_serving", "tiny"),
    ]
    for row in models:
        assert (served.folder / row["file"]).exists()
        assert row["n"] == 18  # six validation photos of each class
    for row in (models[0], models[2]):
        assert row["passed"]
        assert row["max_abs_diff"] <= row["threshold"]["max_abs_diff"]


def open_onnx(path: Path) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def check_config(config: Any, home: Path, file: Path) -> None:
    """Triton's rules for a model of the ONNX Runtime backend, against what the file says."""
    session = open_onnx(file)
    assert config.name == home.name
    assert (config.platform, config.backend) == ("onnxruntime_onnx", "onnxruntime")
    assert config.default_model_filename == file.name
    batched = config.max_batch_size > 0
    for stated, real in (
        (config.input, session.get_inputs()),
        (config.output, session.get_outputs()),
    ):
        assert [tensor.name for tensor in stated] == [tensor.name for tensor in real]
        for tensor, node in zip(stated, real, strict=True):
            kind = tensor.DESCRIPTOR.fields_by_name["data_type"].enum_type
            assert kind.values_by_number[tensor.data_type].name == TRITON_TYPES[node.type]
            shape = [size if isinstance(size, int) else -1 for size in node.shape]
            assert list(tensor.dims) == (shape[1:] if batched else shape)
            if batched:
                assert shape[0] == -1, "Triton batches along an open first dimension only"
    labelled = [tensor for tensor in config.output if tensor.label_filename]
    assert [tensor.name for tensor in labelled] == ["probabilities"]
    assert (home / labelled[0].label_filename).read_text().splitlines() == list(CLASSES)
    assert labelled[0].dims[-1] == len(CLASSES)
    formats = [tensor.format for tensor in config.input]
    assert formats == [1 if batched else 0]  # FORMAT_NHWC needs three dimensions
    assert config.HasField("dynamic_batching") == batched
    if batched:
        sizes = config.dynamic_batching.preferred_batch_size
        assert 1 < min(sizes) <= max(sizes) <= config.max_batch_size
        assert sorted(set(sizes)) == list(sizes)


@pytest.mark.parametrize("fmt", ONNX_FORMATS)
def test_triton_configuration(served: SimpleNamespace, fmt: str) -> None:
    home = served.folder / "triton" / f"tiny-{fmt}"
    config = parse_triton((home / "config.pbtxt").read_text(encoding="utf-8"))
    check_config(config, home, home / "1" / "model.onnx")
    assert config.max_batch_size > 0
    assert list(config.input[0].dims) == [SIZE, SIZE, 3]
    assert [tensor.name for tensor in config.output] == ["probabilities", "heatmap"]


def test_the_parser_refuses_what_triton_does_not_know(served: SimpleNamespace) -> None:
    text = (served.folder / "triton" / "tiny-onnx-fp32" / "config.pbtxt").read_text()
    for damage in (text + "max_batch: 3\n", text.replace("TYPE_FP32", "FP32")):
        with pytest.raises(text_format.ParseError):
            parse_triton(damage)


def test_a_file_with_a_fixed_batch_is_described_without_batching(
    exported: SimpleNamespace, tmp_path: Path
) -> None:
    home = tmp_path / "fixed"
    (home / "1").mkdir(parents=True)
    file = Path(shutil.copy(exported.bundle / "model-onnx-fp32.onnx", home / "1" / "model.onnx"))
    shutil.copy(exported.bundle / "labels.txt", home)
    config = parse_triton(config_pbtxt("fixed", file, "probabilities"))
    check_config(config, home, file)
    assert config.max_batch_size == 0
    assert list(config.input[0].dims) == [1, SIZE, SIZE, 3]
    with pytest.raises(ModelError, match="no output 'logits'"):
        config_pbtxt("fixed", file, "logits")


@pytest.mark.parametrize("fmt", ONNX_FORMATS)
def test_onnx_answers_a_batch_like_single_photos(
    served: SimpleNamespace, photos: SimpleNamespace, fmt: str
) -> None:
    session = open_onnx(served.folder / "triton" / f"tiny-{fmt}" / "1" / "model.onnx")
    names = [node.name for node in session.get_outputs()]
    single = [session.run(names, {"image": photo[None]}) for photo in photos.pixels]
    for count in (1, 3, 8):
        together = session.run(names, {"image": photos.pixels[:count]})
        for index, values in enumerate(together):
            alone = np.concatenate([answer[index] for answer in single[:count]])
            assert values.shape == alone.shape
            # The heat map is in the units of the logits, some tens here.
            limit = BATCH_DIFFERENCE * max(1.0, float(np.abs(alone).max()))
            np.testing.assert_allclose(values, alone, rtol=0, atol=limit)
        expected = np.concatenate([answer[0] for answer in single[:count]]).argmax(axis=1)
        assert together[0].argmax(axis=1).tolist() == expected.tolist()
    if fmt == "onnx-fp32":
        found = np.concatenate([answer[0] for answer in single])
        np.testing.assert_allclose(found, photos.scores, rtol=0, atol=BATCH_DIFFERENCE)


def test_saved_model_answers_a_batch_under_both_names(
    served: SimpleNamespace, photos: SimpleNamespace
) -> None:
    """``serving_default`` is the signature that a REST request gets that names none."""
    tf = import_tensorflow()
    loaded = tf.saved_model.load(str(served.folder / "tf_serving" / "tiny" / "1"))
    assert {"serve", "serving_default", "gradcam"} <= set(loaded.signatures)
    for name in ("serve", "serving_default"):
        signature = loaded.signatures[name]
        (spec,) = signature.structured_input_signature[1].values()
        assert (spec.name, spec.shape.as_list()) == ("image", [None, SIZE, SIZE, 3])
        for count in (1, 3, 8):
            answer = signature(image=tf.constant(photos.pixels[:count]))
            assert list(answer) == ["probabilities"]
            found = answer["probabilities"].numpy()
            limit = {"rtol": 0, "atol": BATCH_DIFFERENCE}
            np.testing.assert_allclose(found, photos.scores[:count], **limit)
            assert found.argmax(axis=1).tolist() == photos.scores[:count].argmax(axis=1).tolist()


def test_tf_serving_configuration(served: SimpleNamespace) -> None:
    home = served.folder / "tf_serving"
    (config,) = parse_tf_serving((home / "models.config").read_text()).model_config_list.config
    assert (config.name, config.model_platform) == ("tiny", "tensorflow")
    # The README mounts tf_serving/ at /models.
    assert (home / Path(config.base_path).relative_to("/models") / "1" / "saved_model.pb").is_file()


def test_readme_starts_both_servers(served: SimpleNamespace) -> None:
    text = (served.folder / "README.txt").read_text(encoding="utf-8")
    assert '-v "$PWD/triton:/models:ro"' in text
    assert "tritonserver --model-repository=/models" in text
    assert '-v "$PWD/tf_serving:/models:ro"' in text
    assert "--model_config_file=/models/models.config" in text
    assert "tiny-onnx-fp32, tiny-onnx-int8" in text


def test_which_formats_servers_get() -> None:
    """Triton gets the ONNX formats of the bundle, and one where it has none."""
    assert layout.served_formats(["tflite-fp32", "onnx-int8"]) == ["onnx-int8", "saved_model"]
    assert layout.served_formats(["tflite-fp32"]) == ["onnx-fp32", "saved_model"]
    assert layout.served_formats(["saved_model"]) == ["onnx-fp32", "saved_model"]


@pytest.mark.parametrize(
    ("run_name", "expected"),
    [
        ("groceries", "groceries"),
        ('Obst "2024"/ä:b', "Obst-2024-b"),
        ("../..", "classifier"),
        (".hidden", "hidden"),
        ("ß", "classifier"),
        ("b0.v1", "b0.v1"),
    ],
)
def test_names_that_servers_take(run_name: str, expected: str) -> None:
    assert layout.model_name(run_name) == expected
    assert parse_tf_serving(texts.models_config([layout.model_name(run_name)]))


def test_where_it_may_not_be_written(own_run: Path, tmp_path: Path) -> None:
    """Before any work; what is there stays."""
    thesis, bundle = tmp_path / "thesis", tmp_path / "bundle"
    thesis.mkdir()
    (thesis / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("x")
    for serving, message in (
        (own_run, "overlaps the run"),
        (own_run / "serve", "overlaps the run"),
        (tmp_path, "overlaps the run"),
        (bundle, "overlaps the bundle"),
        (bundle / "serve", "overlaps the bundle"),
        (tmp_path / "file", "is a file"),
        (thesis, "is no folder of --serving"),
    ):
        with pytest.raises(UsageError, match=message):
            export_bundle(own_run, bundle, serving=serving, overwrite=True)
    with pytest.raises(OutputExists, match="--overwrite"):
        export_bundle(own_run, bundle, serving=thesis)
    with pytest.raises(UsageError, match="overlaps the bundle"):
        export_bundle(own_run, tmp_path / "a" / "b.zip", serving=tmp_path / "a")
    assert files_below(tmp_path) >= {"thesis/thesis.txt", "file", "own/model.keras"}
    assert not bundle.exists()


@pytest.fixture
def quick(
    exported: SimpleNamespace, instant: None, monkeypatch: pytest.MonkeyPatch
) -> SimpleNamespace:
    """Nothing is converted, for servers neither; and the SavedModel, slow to start, is left out."""
    monkeypatch.setattr(layout, "Converter", copier(exported.plain))
    monkeypatch.setattr(layout, "served_formats", lambda _: ["onnx-fp32"])
    return exported


def test_overwrite_replaces_both_as_a_whole(
    run: Path, tmp_path: Path, quick: SimpleNamespace
) -> None:
    for name in ("bundle", "serve"):
        (tmp_path / name).mkdir()
    (tmp_path / "bundle" / "manifest.json").write_text("old")
    (tmp_path / "serve" / "serving.json").write_text("old")
    (tmp_path / "serve" / "old.txt").write_text("old")
    export_bundle(
        run, tmp_path / "bundle", ["onnx-fp32"], serving=tmp_path / "serve", overwrite=True
    )
    assert not (tmp_path / "serve" / "old.txt").exists()
    assert (tmp_path / "serve" / "triton" / "tiny-onnx-fp32" / "config.pbtxt").is_file()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == [
        "bundle",
        "serve",
    ]


def test_a_failure_leaves_both_as_they_were(
    run: Path, tmp_path: Path, quick: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The conversion for servers comes last; the bundle, finished by then, is not put in place."""
    for name in ("bundle/manifest.json", "serve/serving.json"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("old")

    def fail(*_: object) -> None:
        raise ModelError("onnx-fp32: the converter failed (no reason).")

    monkeypatch.setattr(layout.Converter, "convert", fail)
    with pytest.raises(ModelError, match="the converter failed"):
        export_bundle(
            run, tmp_path / "bundle", ["onnx-fp32"], serving=tmp_path / "serve", overwrite=True
        )
    assert files_below(tmp_path / "bundle") == {"manifest.json"}
    assert files_below(tmp_path / "serve") == {"serving.json"}


def test_a_model_that_differs_is_not_served(
    run: Path, tmp_path: Path, quick: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two, the other is; of one, nothing is written. The bundle's own file was good."""

    class Strict(Maker):
        def make(self, fmt: str, *rest: Any) -> Made:
            if fmt == "onnx-fp32":
                limit = replace(parity.THRESHOLDS[fmt], max_abs_diff=-1.0)
                monkeypatch.setitem(parity.THRESHOLDS, fmt, limit)
            return super().make(fmt, *rest)

    monkeypatch.setattr(layout, "Maker", Strict)
    unlimited = parity.THRESHOLDS["onnx-fp32"]
    with pytest.raises(CheckFailed, match="nothing was written: onnx-fp32: largest difference"):
        export_bundle(run, tmp_path / "bundle", ["onnx-fp32"], serving=tmp_path / "serve")
    assert not (tmp_path / "bundle").exists()
    assert not (tmp_path / "serve").exists()

    monkeypatch.setitem(parity.THRESHOLDS, "onnx-fp32", unlimited)
    monkeypatch.setattr(layout, "served_formats", lambda _: list(ONNX_FORMATS))
    report = export_bundle(run, tmp_path / "bundle", ONNX_FORMATS, serving=tmp_path / "serve")
    with pytest.raises(CheckFailed, match=r"serve was written without 1 of 2 models.*--accept"):
        report.check()
    assert [path.name for path in (tmp_path / "serve" / "triton").iterdir()] == ["tiny-onnx-int8"]
    assert not (tmp_path / "serve" / "tf_serving").exists()
