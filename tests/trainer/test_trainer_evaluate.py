"""A run against labelled photos, with a network whose answers are known."""

from __future__ import annotations

import json
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from edge_runtime import rundir
from edge_runtime.errors import DatasetError, ModelError, UsageError
from edge_runtime.manifest import ModelInfo, PreprocessSpec
from trainer.evaluation.answers import predict
from trainer.evaluation.evaluate import evaluate_run

#: Index order is not the alphabet's, as after a training folder with other names.
NAMES = ("red", "green", "blue", "grey zone")
COLORS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose network names the strongest colour; "grey zone" never wins."""
    from edge_runtime.backends.full_model import import_keras

    keras = import_keras()
    image = keras.Input((16, 20, 3))
    mean = keras.layers.GlobalAveragePooling2D()(image)
    scores = keras.layers.Dense(4, activation="softmax", name="head")(mean)
    model = keras.Model(image, scores)
    kernel = np.concatenate([np.eye(3) / 32, np.zeros((3, 1))], axis=1)
    model.get_layer("head").set_weights([kernel, np.array([0, 0, 0, -9])])
    folder = tmp_path_factory.mktemp("run")
    model.save(folder / rundir.MODEL)
    rundir.write_info(folder, ModelInfo(NAMES, PreprocessSpec(20, 16)))
    rundir.write_split(folder, [])
    rundir.write_json(folder / rundir.METRICS, {"val": None, "test": None})
    (folder / rundir.CONFIG).write_text("{}\n")
    return rundir.RunDir.open(folder)


@pytest.fixture
def colors(tmp_path):
    """Four photos of each colour; one of those in ``green`` is blue."""
    for name, color in COLORS.items():
        (tmp_path / "colors" / name).mkdir(parents=True)
        for number in range(4):
            shade = tuple(max(0, value - 20 * number) for value in color)
            Image.new("RGB", (50, 40), shade).save(tmp_path / "colors" / name / f"{number}.png")
    Image.new("RGB", (50, 40), COLORS["blue"]).save(tmp_path / "colors" / "green" / "3.png")
    return tmp_path / "colors"


def test_figures_with_the_runs_class_order(run, colors):
    metrics = evaluate_run(run, colors)
    assert (metrics["n"], metrics["skipped"]) == (12, [])
    assert metrics["accuracy"] == pytest.approx(11 / 12)
    assert list(metrics["per_class"]) == list(NAMES)
    assert metrics["per_class"]["green"]["recall"] == 0.75
    assert metrics["per_class"]["grey zone"]["support"] == 0
    assert metrics["confusion_matrix"][1] == [0, 3, 1, 0]
    assert [row["answer"] for row in metrics["confident_mistakes"]] == ["blue"]
    assert {key: metrics[key] for key in ("temperature", "unknown", "class_thresholds")} == {
        "temperature": None, "unknown": None, "class_thresholds": None,
    }, "an old run has fitted nothing"  # fmt: skip
    assert json.loads(json.dumps(metrics)) == metrics


def test_agrees_with_the_classifier_photo_by_photo(run, colors):
    """Batches of the full model and single photos of the runtime give the same answers."""
    from edge_runtime.classifier import Classifier
    from edge_runtime.preprocess import preprocess

    classifier = Classifier.open(run.path)
    paths = sorted(str(path) for path in colors.rglob("*.png"))
    images = np.stack([preprocess(path, run.info.preprocess) for path in paths])
    # 5 photos a batch: the last of three is filled up.
    scores = predict(classifier.backend.model, images, batch_size=5)
    assert (scores.shape, scores.dtype) == ((12, 4), np.float32)
    single = np.stack([classifier.scores(path) for path in paths])
    # Softmax in float32: a few units in the last place between batch sizes.
    np.testing.assert_allclose(scores, single, atol=1e-6)


def test_predict_feeds_full_float32_batches_of_raw_pixels():
    seen = []

    def predict_on_batch(batch):
        seen.append((batch.shape, batch.dtype, batch.max()))
        return batch.mean(axis=(1, 2))

    model = SimpleNamespace(output_shape=(None, 3), predict_on_batch=predict_on_batch)
    images = np.arange(7 * 2 * 2 * 3, dtype=np.uint8).reshape(7, 2, 2, 3) + np.uint8(170)
    result = predict(model, images, batch_size=4)
    np.testing.assert_allclose(result, images.mean(axis=(1, 2)), rtol=1e-6)
    assert [(shape, dtype) for shape, dtype, _ in seen] == [((4, 2, 2, 3), np.float32)] * 2
    assert seen[0][2] == images[:4].max()
    assert predict(model, images[:0]).shape == (0, 3)


def test_unreadable_photos_are_listed(run, colors):
    for number in range(4, 20):
        shutil.copy(colors / "red" / "0.png", colors / "red" / f"{number}.png")
    (colors / "red" / "bad.jpg").write_text("a text file")
    metrics = evaluate_run(run, colors)
    assert metrics["n"] == 28
    (skipped,) = metrics["skipped"]
    assert skipped["path"] == os.path.join(colors, "red", "bad.jpg")
    assert "not an image" in skipped["error"]


def test_too_many_unreadable_photos(run, colors):
    (colors / "red" / "0.png").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"1 of 12 photos cannot be read, 8\.3%"):
        evaluate_run(run, colors)


@pytest.mark.parametrize(
    ("config", "kept"), [("cache: {limit_gb: 0}\n", False), ("another: version\n", True)]
)
def test_the_runs_limit_of_the_cache_holds(run, colors, tmp_path, monkeypatch, config, kept):
    from trainer.evaluation.compare import compare_runs

    monkeypatch.setenv("EDGE_CLASSIFY_CACHE", str(tmp_path / "cache"))
    folder = shutil.copytree(run.path, tmp_path / "run")
    (folder / rundir.CONFIG).write_text(config)
    for call in (evaluate_run, lambda own, data: compare_runs(own, own, data)):
        call(rundir.RunDir.open(folder), colors)
        assert any(f.stat().st_size for f in (tmp_path / "cache").rglob("pixels.bin")) is kept


def test_some_classes_are_enough(run, colors):
    shutil.rmtree(colors / "red")
    shutil.rmtree(colors / "green")
    assert evaluate_run(run, colors)["accuracy"] == 1


def test_folders_that_do_not_fit_the_run(run, colors, tmp_path):
    with pytest.raises(UsageError, match="no such folder"):
        evaluate_run(run, tmp_path / "absent")
    with pytest.raises(DatasetError, match="folder for each class, found 4 photos"):
        evaluate_run(run, colors / "red")
    (colors / "pink").mkdir()
    with pytest.raises(DatasetError, match=r"'pink' is no class of the run .*'blue', 'green'"):
        evaluate_run(run, colors)
    (tmp_path / "empty" / "red").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"no photo in any class folder \('red'\)"):
        evaluate_run(run, tmp_path / "empty")


@pytest.mark.parametrize("part", ["test", "valid"])
def test_a_folder_of_parts_names_the_remedy(run, colors, tmp_path, part):
    shutil.move(colors, tmp_path / "data" / part)
    with pytest.raises(DatasetError, match=rf"holds {part}, not classes\. Name one .*data.{part}$"):
        evaluate_run(run, tmp_path / "data")
    assert evaluate_run(run, tmp_path / "data" / part)["n"] == 12


def test_a_model_that_contradicts_its_run(run, colors, tmp_path):
    folder = tmp_path / "altered"
    shutil.copytree(run.path, folder)
    rundir.write_info(folder, ModelInfo((*NAMES, "fifth"), PreprocessSpec(20, 16)))
    with pytest.raises(ModelError, match="4 scores for 5 class names"):
        evaluate_run(rundir.RunDir.open(folder), colors)


@pytest.mark.parametrize(("limit", "kept"), [("null", 11), ("0", 0)])
def test_decoded_photos_are_kept_as_the_run_was_told(
    run, colors, tmp_path, monkeypatch, limit, kept
):
    folder, cache = tmp_path / "own", tmp_path / "cache"
    shutil.copytree(run.path, folder)
    (folder / rundir.CONFIG).write_text(f"cache:\n  limit_gb: {limit}\n")
    monkeypatch.setenv("EDGE_CLASSIFY_CACHE", str(cache))
    evaluate_run(rundir.RunDir.open(folder), colors)
    pixels = sum(file.stat().st_size for file in cache.rglob("pixels.bin"))
    # Of 16 x 20 pixels; the blue photo among the green ones is a copy, which is kept once.
    assert pixels == kept * 16 * 20 * 3
