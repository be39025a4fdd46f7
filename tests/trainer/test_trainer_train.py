"""``fit`` on a few generated photos: the run directory, the phases, what happens when it stops."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from edge_runtime import rundir
from edge_runtime.backends.full_model import import_keras, import_tensorflow, load_keras_model
from edge_runtime.console import Terminated
from edge_runtime.errors import DatasetError, ModelError, OutputExists, SystemFailure, UsageError
from edge_runtime.files import sha256_file
from edge_runtime.rundir import RunDir
from trainer import batches, training
from trainer.backbones import BACKBONES, Backbone, build_base
from trainer.batches import epoch_order, feature_batches, photo_batches, plain_batches, shuffled
from trainer.callbacks import EpochLog, RateSchedule, rate_factor
from trainer.config import CallbacksConfig, Config, FinetuneConfig, HeadConfig, PhaseConfig
from trainer.config_io import load_config
from trainer.data import index_dataset
from trainer.evaluate import evaluate_run, predict
from trainer.features import pooled_features
from trainer.model import LOGITS, build_classifier, build_head, freeze_backbone, part_of
from trainer.phases import Phase, run_phase
from trainer.train import HISTORY_COLUMNS, fit

SIDE, FEATURES = 32, 8
TINY = Backbone("tiny", "Tiny", fine_tune_at=1)
FILES = {
    rundir.CONFIG, rundir.CLASS_NAMES, rundir.PREPROCESS, rundir.SPLIT, rundir.MODEL,
    rundir.HISTORY, rundir.HISTORY_PLOT, rundir.CONFUSION_PLOT, rundir.METRICS,
    rundir.ENVIRONMENT, rundir.CHECKPOINTS,
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def tiny_backbone():
    """A backbone of two convolutions; the real ones take ten seconds each to trace."""
    keras = import_keras()

    def build(include_top: bool, weights: None, input_tensor):
        layers = keras.layers
        found = layers.Rescaling(1 / 255, name="rescaling")(input_tensor)
        for number in (1, 2):
            found = layers.Conv2D(FEATURES, 3, strides=4, name=f"conv_{number}")(found)
            found = layers.BatchNormalization(name=f"norm_{number}")(found)
            found = layers.ReLU(name=f"relu_{number}")(found)
        return keras.Model(input_tensor, found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES, "tiny", TINY)
        patch.setattr(keras.applications, "Tiny", build, raising=False)
        yield


def tiny(*assignments: str, weights: object = "none") -> Config:
    """The tiny backbone at 32 pixels, one epoch a phase."""
    return load_config(
        None,
        {
            "model.backbone": "tiny",
            "model.weights": str(weights),
            "image.size": SIDE,
            "batch_size": 8,
            "head.epochs": 1,
            "head.views": 2,
            "finetune.epochs": 1,
            "full.epochs": 1,
        },
        assignments,
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory, make_photos) -> Path:
    """20 photos to train, 6 to validate, 6 to test, of two classes."""
    root = tmp_path_factory.mktemp("data")
    for seed, (part, count) in enumerate((("train", 10), ("val", 3), ("test", 3))):
        make_photos(root / part, ("green", "red stripes"), count, seed)
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A weights file; random, which is as good as any for what is tested here."""
    import_keras().utils.set_random_seed(0)
    file = tmp_path_factory.mktemp("weights") / "small.weights.h5"
    build_base(TINY, SIDE).save_weights(file)
    return file


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, data: Path, weights: Path) -> RunDir:
    """A run of two phases."""
    return fit(data, tmp_path_factory.mktemp("runs") / "tuned", tiny(weights=weights))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory, data: Path) -> RunDir:
    """A run from scratch, on a folder of class folders that is split in memory."""
    ratios = "data.ratios=[0.7, 0.3, 0]"
    return fit(data / "train", tmp_path_factory.mktemp("runs") / "scratch", tiny(ratios))


def history(run: RunDir) -> list[dict[str, str]]:
    with open(run.path / rundir.HISTORY, newline="") as stream:
        return list(csv.DictReader(stream))


def leftovers(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_every_file_of_the_run_directory(tuned: RunDir) -> None:
    assert leftovers(tuned.path) == FILES
    assert leftovers(tuned.path.parent) == {"tuned"}, "the pixel cache is gone"
    assert leftovers(tuned.path / rundir.CHECKPOINTS) <= {
        "head.weights.h5",
        "finetune.weights.h5",
    }
    assert (tuned.path / rundir.CHECKPOINTS / "head.weights.h5").is_file()


def test_the_model_is_flat_float32_and_has_no_augmentation(tuned: RunDir) -> None:
    model = load_keras_model(tuned.model_path)
    assert model.input.name == "image"
    assert model.output_shape == (None, 2)
    kinds = {type(layer).__name__ for layer in model.layers}
    assert not any(kind.startswith("Random") or kind == "Functional" for kind in kinds)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}


def test_metrics_are_those_of_the_file_on_disk(tuned: RunDir, data: Path) -> None:
    metrics = tuned.metrics()
    for part in ("val", "test"):
        again = evaluate_run(tuned, data / part)
        assert again.pop("skipped") == []
        assert again == metrics[part]
        assert metrics[part]["n"] == 6
        assert set(metrics[part]["per_class"]) == {"green", "red stripes"}


def test_config_is_resolved_and_fit_for_another_run(tuned: RunDir, weights: Path) -> None:
    config = load_config(tuned.path / rundir.CONFIG)
    assert config.model.fine_tune_at == TINY.fine_tune_at
    assert config.model.weights == str(weights.resolve())
    assert config.head == tiny().head


def test_split_names_every_photo(tuned: RunDir, data: Path) -> None:
    rows = tuned.split()
    assert len(rows) == 32
    for row in rows:
        assert os.path.isabs(row.path)
        assert f"/{row.part}/{row.label}/" in row.path
    assert rows[0].sha256 == sha256_file(rows[0].path)
    assert {row.part for row in rows} == {"train", "val", "test"}


def test_history_has_a_row_an_epoch(tuned: RunDir) -> None:
    rows = history(tuned)
    assert tuple(rows[0]) == HISTORY_COLUMNS
    assert [(row["epoch"], row["phase"]) for row in rows] == [("1", "head"), ("2", "finetune")]
    for row in rows:
        assert all(np.isfinite(float(row[key])) for key in HISTORY_COLUMNS if key != "phase")


def test_environment_says_what_was_used(tuned: RunDir, scratch: RunDir, weights: Path) -> None:
    found = json.loads((tuned.path / rundir.ENVIRONMENT).read_text())
    assert found["weights"] == {
        "kind": "file",
        "path": str(weights.resolve()),
        "sha256": sha256_file(weights),
    }
    assert (found["seed"], found["policy"], found["left_out"]) == (0, "float32", [])
    assert {"python", "tensorflow", "keras", "edge-classify"} <= set(found["versions"])
    assert found["kept_phase"] in ("head", "finetune")
    other = json.loads((scratch.path / rundir.ENVIRONMENT).read_text())
    assert other["weights"] == {"kind": "none", "path": None, "sha256": None}


def test_from_scratch_there_is_one_phase(scratch: RunDir) -> None:
    assert [row["phase"] for row in history(scratch)] == ["full"]
    assert leftovers(scratch.path / rundir.CHECKPOINTS) == {"full.weights.h5"}
    model = load_keras_model(scratch.model_path)
    moved = [
        layer.name
        for layer in model.layers
        if type(layer).__name__ == "BatchNormalization"
        and not np.allclose(layer.moving_mean.numpy(), 0)
    ]
    assert moved, "BatchNorm learned"


def test_without_a_test_part(scratch: RunDir) -> None:
    metrics = scratch.metrics()
    assert metrics["test"] is None
    assert metrics["val"]["n"] == 6
    assert {row.part for row in scratch.split()} == {"train", "val"}


def test_the_seed_decides_the_training(
    tuned: RunDir, data: Path, weights: Path, tmp_path: Path
) -> None:
    def figures(run: RunDir) -> list[dict[str, str]]:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in history(run)]

    again = fit(data, tmp_path / "again", tiny(weights=weights))
    assert figures(again) == figures(tuned)
    first, second = (load_keras_model(run.model_path).get_weights() for run in (tuned, again))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    assert figures(fit(data, tmp_path / "other", tiny("seed=1", weights=weights))) != figures(tuned)


def test_mixed_precision_writes_a_float32_model(data: Path, weights: Path, tmp_path: Path) -> None:
    run = fit(data, tmp_path / "run", tiny("mixed_precision=on", weights=weights))
    assert json.loads((run.path / rundir.ENVIRONMENT).read_text())["policy"] == "mixed_float16"
    model = load_keras_model(run.model_path)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert import_keras().config.dtype_policy().name == "float32"


@pytest.mark.parametrize("only", ["head", "finetune"])
def test_one_phase_may_be_left_out(data: Path, weights: Path, tmp_path: Path, only: str) -> None:
    other = {"head": "finetune", "finetune": "head"}[only]
    run = fit(data, tmp_path / "run", tiny(f"{other}.epochs=0", weights=weights))
    assert [row["phase"] for row in history(run)] == [only]


def test_the_head_s_end_is_kept_if_fine_tuning_makes_it_worse(
    data: Path, weights: Path, tmp_path: Path
) -> None:
    """A learning rate of 10 wrecks any network."""
    config = tiny("finetune.learning_rate=10", "finetune.warmup_epochs=0", weights=weights)
    run = fit(data, tmp_path / "run", config)
    assert json.loads((run.path / rundir.ENVIRONMENT).read_text())["kept_phase"] == "head"
    rows = history(run)
    assert run.metrics()["val"]["accuracy"] == pytest.approx(float(rows[0]["val_accuracy"]))


# What must not be overwritten


def test_an_existing_run_is_refused_before_any_work(data: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(OutputExists, match="--overwrite"):
        fit(data, tmp_path / "run", tiny())
    with pytest.raises(UsageError, match="is no run directory, so --overwrite does not"):
        fit(data, tmp_path / "run", tiny(), overwrite=True)
    assert leftovers(tmp_path / "run") == {"notes.txt"}


def test_the_photos_are_never_overwritten(data: Path) -> None:
    for out in (data, data.parent, data / "train" / "run", data / "run"):
        with pytest.raises(UsageError, match=r"overlaps the photos|exists already"):
            fit(data, out, tiny())
        with pytest.raises(UsageError, match=r"overlaps the photos"):
            fit(data, out, tiny(), overwrite=True)


def test_an_overwritten_run_is_replaced_as_a_whole(
    scratch: RunDir, data: Path, tmp_path: Path
) -> None:
    shutil.copytree(scratch.path, tmp_path / "run")
    (tmp_path / "run" / "notes.txt").write_text("of the earlier run")
    run = fit(data, tmp_path / "run", tiny(), overwrite=True)
    assert leftovers(run.path) == FILES
    assert run.metrics()["test"] is not None


@pytest.mark.parametrize("stop", [KeyboardInterrupt, Terminated])
@pytest.mark.parametrize("earlier", [False, True])
def test_a_stopped_training_leaves_no_half_run(
    scratch: RunDir, data: Path, tmp_path: Path, monkeypatch, caplog, stop, earlier: bool
) -> None:
    out = tmp_path / "runs" / "run"
    if earlier:
        shutil.copytree(scratch.path, out)
    before = sha256_file(out / rundir.MODEL) if earlier else None
    whole = EpochLog.on_epoch_end

    def interrupted(self, epoch, logs=None):
        whole(self, epoch, logs)
        raise stop

    monkeypatch.setattr(EpochLog, "on_epoch_end", interrupted)
    with caplog.at_level("INFO", "trainer"), pytest.raises(stop):
        fit(data, out, tiny("full.epochs=3"), overwrite=True)
    state = "is as it was" if earlier else "was not written"
    assert f"Stopped after 1 whole epochs of training; {out} {state}." in caplog.text
    assert leftovers(out.parent) == ({"run"} if earlier else set())
    if earlier:
        assert sha256_file(out / rundir.MODEL) == before
        RunDir.open(out)


def test_a_disk_that_fills_up(data: Path, tmp_path: Path, monkeypatch) -> None:
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trainer.train.plot_history", full)
    with pytest.raises(SystemFailure, match="No space left"):
        fit(data, tmp_path / "run", tiny())
    assert leftovers(tmp_path) == set()


def test_memory_that_runs_out(data: Path, tmp_path: Path, monkeypatch) -> None:
    tf = import_tensorflow()

    def exhausted(*_args, **_kwargs):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(training, "run_phase", exhausted)
    with pytest.raises(SystemFailure, match="--batch-size"):
        fit(data, tmp_path / "run", tiny())


def test_a_training_that_diverges(data: Path, tmp_path: Path, monkeypatch) -> None:
    """A target that is not a number, as after an overflow."""
    monkeypatch.setattr(
        batches, "one_hot", lambda labels, n: np.full((len(labels), n), np.nan, "f4")
    )
    with pytest.raises(ModelError, match=r"diverged.*full.learning_rate"):
        fit(data, tmp_path / "run", tiny())
    assert leftovers(tmp_path) == set()


def test_bad_data_is_refused_before_the_network_is_built(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("trainer.train.build_network", lambda *_: pytest.fail("built"))
    (tmp_path / "data" / "only").mkdir(parents=True)
    with pytest.raises(DatasetError):
        fit(tmp_path / "data", tmp_path / "run", tiny())
    with pytest.raises(UsageError, match="no such folder"):
        fit(tmp_path / "nowhere", tmp_path / "run", tiny())
    with pytest.raises(UsageError, match="Unknown backbone 'vgg'"):
        fit(tmp_path / "data", tmp_path / "run", tiny("model.backbone=vgg"))
    with pytest.raises(UsageError, match="no such file"):
        fit(tmp_path / "data", tmp_path / "run", tiny(weights="nowhere.h5"))


def test_a_layer_that_is_not_there(data: Path, weights: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="fine_tune_at"):
        fit(data, tmp_path / "run", tiny("model.fine_tune_at=9999", weights=weights))
    assert leftovers(tmp_path) == set()


def test_unreadable_photos_are_left_out_and_listed(data: Path, tmp_path: Path, make_photos) -> None:
    shutil.copytree(data, tmp_path / "data")
    make_photos(tmp_path / "data" / "train", ("green", "red stripes"), 15, 7)
    bad = tmp_path / "data" / "train" / "green" / "bad.jpg"  # 1 of 31: below 5 %
    bad.write_text("no photo")
    run = fit(tmp_path / "data", tmp_path / "run", tiny())
    (entry,) = json.loads((run.path / rundir.ENVIRONMENT).read_text())["left_out"]
    assert (entry["part"], entry["path"]) == ("train", str(bad))
    assert "not an image" in entry["error"]
    assert str(bad) not in {row.path for row in run.split()}


# The parts of the training


def test_an_epoch_s_order_depends_on_seed_and_epoch_alone() -> None:
    assert sorted(epoch_order(10, 0, 0)) == list(range(10))
    np.testing.assert_array_equal(epoch_order(10, 3, 5), epoch_order(10, 3, 5))
    assert (epoch_order(10, 3, 5) != epoch_order(10, 3, 6)).any()
    assert (epoch_order(10, 3, 5) != epoch_order(10, 4, 5)).any()


def test_every_photo_comes_once_an_epoch() -> None:
    stream = shuffled(10, 4, seed=0)
    for epoch in range(2):
        parts = [next(stream) for _ in range(3)]
        assert [(len(chosen), e, step) for chosen, e, step in parts] == [
            (4, epoch, 0),
            (3, epoch, 1),
            (3, epoch, 2),
        ]
        assert sorted(np.concatenate([chosen for chosen, _, _ in parts])) == list(range(10))


def test_the_head_sees_one_view_an_epoch_in_turn() -> None:
    views = np.arange(3, dtype=np.float32)[:, None, None] * np.ones((1, 5, 2), np.float32)
    stream = feature_batches(views, np.zeros(5, int), 2, batch_size=5, seed=0).as_numpy_iterator()
    assert [float(next(stream)[0].mean()) for _ in range(4)] == [0, 1, 2, 0]


@pytest.mark.parametrize(
    ("schedule", "step", "expected"),
    [
        ("cosine", 0, 0.25),  # the first of four warm-up steps
        ("cosine", 3, 1.0),
        ("cosine", 4, 1.0),  # the top of the cosine
        ("cosine", 12, 0.1 + 0.9 * 0.5),  # halfway
        ("cosine", 20, 0.1),  # the end
        ("cosine", 99, 0.1),
        ("constant", 1, 0.5),
        ("constant", 20, 1.0),
    ],
)
def test_rate_schedule(schedule: str, step: int, expected: float) -> None:
    config = PhaseConfig(epochs=5, learning_rate=1, schedule=schedule, final_rate=0.1)
    assert rate_factor(step, 20, 4, config) == pytest.approx(expected)


def test_the_schedule_keeps_what_reduce_lr_on_plateau_takes_off() -> None:
    """One step an epoch, a loss that never falls: the plateau cuts the rate every two epochs."""
    keras = import_keras()
    config = FinetuneConfig(epochs=9, learning_rate=0.1, warmup_epochs=2, schedule="cosine")
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    schedule = RateSchedule(config, epochs=9, steps=1)
    plateau = keras.callbacks.ReduceLROnPlateau(monitor="loss", patience=2, factor=0.5)
    rates = []
    for callback in (schedule, plateau):
        callback.set_model(model)
        callback.on_train_begin()
    for epoch in range(9):
        schedule.on_train_batch_begin(0)
        rates.append(float(model.optimizer.learning_rate.numpy()))
        plateau.on_epoch_end(epoch, {"loss": 1.0})
    plain = [0.1 * rate_factor(step, 9, 2, config) for step in range(9)]
    cuts = [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]
    np.testing.assert_allclose(rates, np.multiply(plain, cuts), rtol=1e-5)


@pytest.fixture(scope="module")
def classifier():
    import_keras().utils.set_random_seed(1)
    return build_classifier(build_base(TINY, SIDE), 3, dropout=0.0)


@pytest.fixture(scope="module")
def pixels() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.RandomState(0)
    labels = np.arange(21) % 3
    shade = (labels * 80)[:, None, None, None]
    images = np.clip(random.randint(0, 90, (21, SIDE, SIDE, 3)) + shade, 0, 255)
    return images.astype(np.uint8), labels


def test_the_head_on_features_learns_what_it_learns_on_the_full_model(
    classifier, pixels, tmp_path: Path
) -> None:
    """Phase 1's short cut: the same head as training on the photos, to float32 rounding.

    No views and no dropout, so that both see the same numbers; the order is the same seed's.
    """
    tf = import_tensorflow()
    images, labels = pixels
    freeze_backbone(classifier)
    start = classifier.get_layer(LOGITS).get_weights()
    config = HeadConfig(epochs=3, views=0, learning_rate=1e-2)

    def phase(name: str) -> Phase:
        return Phase(name, config, 3, CallbacksConfig(), tmp_path / f"{name}.weights.h5")

    rows: dict[str, list[dict[str, float]]] = {"cached": [], "full": []}
    features = pooled_features(classifier, images, tmp_path / "features.npy", batch_size=8)
    assert (features.shape, features.dtype) == ((1, 21, FEATURES), np.float32)
    head = build_head(FEATURES, 3, dropout=0.0)
    head.set_weights(start)
    run_phase(
        head,
        phase("cached"),
        feature_batches(features, labels, 3, 8, seed=5),
        3,
        plain_batches(features[0], labels, 3, 8),
        rows["cached"],
    )
    run_phase(
        part_of(classifier, LOGITS),
        phase("full"),
        photo_batches(images, labels, 3, 8, 5, lambda x, _: tf.cast(x, tf.float32)),
        3,
        plain_batches(images, labels, 3, 8),
        rows["full"],
    )
    for cached, full in zip(
        head.get_weights(), classifier.get_layer(LOGITS).get_weights(), strict=True
    ):
        assert np.abs(full - start[0][0, 0]).max() > 0.01, "it learned"
        # Adam divides by the root of tiny squares, which enlarges rounding.
        np.testing.assert_allclose(cached, full, atol=2e-4)
    for cached, full in zip(rows["cached"], rows["full"], strict=True):
        for key in ("loss", "val_loss", "accuracy", "val_accuracy"):
            assert cached[key] == pytest.approx(full[key], abs=1e-4)


def test_views_are_augmented_and_reproducible(classifier, pixels, tmp_path: Path) -> None:
    images, _ = pixels

    def negative(batch, seed):
        tf = import_tensorflow()
        shade = tf.cast(tf.math.floormod(seed[0], 50), tf.float32)
        return 255 - tf.cast(batch, tf.float32) + shade

    first = pooled_features(classifier, images, tmp_path / "a.npy", 8, 2, negative, seed=3)
    again = pooled_features(classifier, images, tmp_path / "b.npy", 8, 2, negative, seed=3)
    plain = pooled_features(classifier, images, tmp_path / "c.npy", 8)
    assert (first.shape, plain.shape) == ((2, 21, FEATURES), (1, 21, FEATURES))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first[0] - plain[0]).max() > 1e-3
    assert np.abs(first[0] - first[1]).max() > 1e-4


def test_the_best_epoch_s_weights_stay(classifier, pixels, tmp_path: Path) -> None:
    """Early stopping after two epochs without improvement, then the best epoch's weights."""
    images, labels = pixels
    config = HeadConfig(epochs=30, learning_rate=3)  # jumps about
    callbacks = CallbacksConfig(early_stopping_patience=2, plateau_patience=0)
    freeze_backbone(classifier)
    features = pooled_features(classifier, images, tmp_path / "features.npy", batch_size=8)
    head, rows = build_head(FEATURES, 3, dropout=0.0), []
    val = plain_batches(features[0], labels, 3, 8)
    run_phase(
        head,
        Phase("head", config, 30, callbacks, tmp_path / "best.weights.h5"),
        feature_batches(features, labels, 3, 8, seed=0),
        3,
        val,
        rows,
    )
    losses = [row["val_loss"] for row in rows]
    found = head.evaluate(val, verbose=0, return_dict=True)["loss"]
    assert found == pytest.approx(min(losses), rel=1e-4)
    assert len(losses) < 30
    assert len(losses) - 1 - int(np.argmin(losses)) == 2


def test_weight_decay_leaves_biases_alone(classifier, pixels, tmp_path: Path) -> None:
    """Without a gradient to speak of, AdamW moves kernels towards 0 and nothing else."""
    images, labels = pixels
    freeze_backbone(classifier)
    features = pooled_features(classifier, images, tmp_path / "features.npy", batch_size=8)
    head = build_head(FEATURES, 3, dropout=0.0)
    head.set_weights([np.full((FEATURES, 3), 0.5), np.full(3, 0.5)])
    config = HeadConfig(epochs=1, learning_rate=1e-6, weight_decay=1, label_smoothing=0)
    data = feature_batches(features * 0, labels, 3, 21, seed=0)
    val = plain_batches(features[0] * 0, labels, 3, 8)
    phase = Phase("head", config, 1, CallbacksConfig(), tmp_path / "best.weights.h5")
    run_phase(head, phase, data, 1, val, [])
    kernel, bias = head.get_weights()
    np.testing.assert_allclose(kernel, 0.5 * (1 - 1e-6), rtol=2e-7)
    assert (kernel < 0.5).all()
    np.testing.assert_allclose(bias, 0.5, atol=2e-6)


def test_predictions_do_not_depend_on_the_batch(scratch: RunDir, data: Path) -> None:
    run = scratch
    images = np.random.RandomState(0).randint(0, 256, (5, SIDE, SIDE, 3)).astype(np.uint8)
    model = load_keras_model(run.model_path)
    one = np.concatenate([predict(model, images[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(predict(model, images), one, atol=1e-6)
    assert index_dataset(data).class_names == run.class_names
