"""``fit`` on a few generated photos: the run directory, the phases, what happens when it stops."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from tiny import FEATURES, TINY

from benchmarks.perf import kill_and_resume
from edge_runtime import rundir
from edge_runtime.backends.full_model import import_keras, import_tensorflow, load_keras_model
from edge_runtime.console import Terminated
from edge_runtime.errors import (
    DatasetError,
    MissingComponent,
    ModelError,
    OutputExists,
    SystemFailure,
    UsageError,
)
from edge_runtime.files import sha256_file
from edge_runtime.rundir import RunDir
from trainer.augmentation.augment import Augmentation
from trainer.config.io import load_config
from trainer.config.schema import (
    AugmentConfig,
    CallbacksConfig,
    Config,
    FinetuneConfig,
    HeadConfig,
    LossConfig,
    PhaseConfig,
)
from trainer.data import batches
from trainer.data.batches import (
    Division,
    FeatureBatches,
    PhotoBatches,
    PlainBatches,
    Shuffled,
    balanced_weights,
    epoch_order,
)
from trainer.data.dataset import index_dataset
from trainer.data.feeds import validation_feed
from trainer.data.pixels import Photos
from trainer.evaluation.answers import predict
from trainer.evaluation.evaluate import evaluate_run
from trainer.network.backbones import build_base
from trainer.network.model import (
    LOGITS,
    build_classifier,
    build_head,
    freeze_backbone,
    part_of,
    with_changes,
)
from trainer.network.network import build_network
from trainer.training import phase as phases
from trainer.training.callbacks import BestWeights, EpochLog, RateSchedule, rate_factor
from trainer.training.features import pooled_features
from trainer.training.fit import fit, resume
from trainer.training.phase import Phase, run_phase
from trainer.training.phases import Training
from trainer.training.precision import try_steps
from trainer.training.progress import Progress

pytestmark = pytest.mark.usefixtures("tiny_backbone")

SIDE = 32
FILES = {
    "tensorboard",
    rundir.CONFIG,
    rundir.CLASS_NAMES,
    rundir.PREPROCESS,
    rundir.SPLIT,
    rundir.MODEL,
    rundir.HISTORY,
    rundir.HISTORY_PLOT,
    rundir.CONFUSION_PLOT,
    rundir.METRICS,
    rundir.ENVIRONMENT,
    rundir.CHECKPOINTS,
    rundir.PREDICTIONS,
    rundir.REPORT,
}
HISTORY_COLUMNS = (
    "epoch", "phase", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds",
)  # fmt: skip


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
def weights(tmp_path_factory, tiny_backbone) -> Path:
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
    assert leftovers(tuned.path.parent) == {"tuned"}, "nothing of the training stays"
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
        assert {key: again[key] for key in metrics[part]} == metrics[part]
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


def test_float16_scales_its_loss(weights: Path) -> None:
    """Without that, small gradients are zeros in 16 bits; Keras scales by the model's policy."""
    keras = import_keras()
    for policy, kind in (
        ("mixed_float16", keras.optimizers.LossScaleOptimizer),
        ("mixed_bfloat16", keras.optimizers.Adam),  # which has the exponents of float32
        ("float32", keras.optimizers.Adam),
    ):
        network = build_network(tiny(weights=weights), 2, policy)
        model = network.for_training(Augmentation(AugmentConfig()))
        phases.compile_model(model, FinetuneConfig(), LossConfig(), jit=False)
        assert type(model.optimizer) is kind
        assert network.model.get_layer(LOGITS).compute_dtype == "float32"
        assert network.model.get_layer("conv_1").compute_dtype == policy.removeprefix("mixed_")
        assert model.input_dtype == policy.removeprefix("mixed_")


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


def figures(run: RunDir) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history(run)]


def stop_after(monkeypatch, epochs: int, error: type[BaseException]) -> None:
    """End the training with ``error`` once so many epochs are noted."""
    whole = Progress.save

    def interrupted(self, *arguments):
        whole(self, *arguments)
        if len(self.rows) == epochs:
            raise error

    monkeypatch.setattr(Progress, "save", interrupted)


@pytest.mark.parametrize(("stop", "earlier"), [(KeyboardInterrupt, False), (Terminated, True)])
def test_a_stopped_training_goes_on_to_the_same_result(
    scratch: RunDir, data: Path, weights, tmp_path: Path, monkeypatch, caplog, stop, earlier: bool
) -> None:
    out = tmp_path / "runs" / "run"
    if earlier:
        shutil.copytree(scratch.path, out)
    before = sha256_file(out / rundir.MODEL) if earlier else None
    config = tiny("head.epochs=2", "finetune.epochs=3", "finetune.ema=0.5", weights=weights)
    undisturbed = fit(data, tmp_path / "whole", config)
    for epochs in (1, 4):  # in the head, then in fine-tuning
        with monkeypatch.context() as patch:
            stop_after(patch, epochs, stop)
            with caplog.at_level("INFO", "trainer"), pytest.raises(stop):
                if epochs == 1:
                    fit(data, out, config, overwrite=True)
                else:
                    resume(out)
        assert f"Stopped after {epochs} whole epochs" in caplog.text
        assert f"edge-train fit --resume {out}" in caplog.text
        assert leftovers(out.parent) == {"run.unfinished"} | ({"run"} if earlier else set())
        if earlier:
            assert sha256_file(out / rundir.MODEL) == before
            RunDir.open(out)
    with pytest.raises(OutputExists, match="--overwrite" if earlier else "--resume"):
        fit(data, tmp_path / "runs" / "run", config)
    run = resume(out.with_name("run.unfinished"))
    assert leftovers(out.parent) == {"run"}
    assert leftovers(run.path) == FILES
    assert figures(run) == figures(undisturbed)
    for one, other in zip(
        load_keras_model(run.model_path).get_weights(),
        load_keras_model(undisturbed.model_path).get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(UsageError, match="no interrupted training"):
        resume(out)


def test_a_training_that_never_began_leaves_nothing(data: Path, tmp_path, monkeypatch) -> None:
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("trainer.training.fit.load_parts", stop)
    with pytest.raises(KeyboardInterrupt):
        fit(data, tmp_path / "run", tiny())
    assert leftovers(tmp_path) == set()
    with pytest.raises(UsageError, match=r"no run\.unfinished beside it"):
        resume(tmp_path / "run")


def test_a_training_stopped_before_its_first_epoch_keeps_its_features(
    data: Path, weights: Path, tmp_path: Path, monkeypatch, caplog
) -> None:
    def stop(*_args, **_kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("trainer.training.phases.run_phase", stop)
        with pytest.raises(KeyboardInterrupt):
            fit(data, tmp_path / "run", tiny(weights=weights))
    assert f"Stopped after 0 whole epochs. Go on with: edge-train fit --resume {tmp_path}" in (
        caplog.text
    )
    work = tmp_path / "run.unfinished" / "work"
    assert leftovers(work) == {"features-train.npy", "features-val.npy"}
    monkeypatch.setattr(
        "trainer.training.features._plain", lambda *_: pytest.fail("computed again")
    )
    assert leftovers(resume(tmp_path / "run").path) == FILES


def test_a_missing_package_is_told_before_the_training(
    data: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.setattr(Training, "run", lambda _: pytest.fail("trained"))
    with pytest.raises(MissingComponent, match="jinja2 is needed to evaluate the training"):
        fit(data, tmp_path / "run", tiny())
    assert leftovers(tmp_path) == set()


def test_an_error_at_the_end_keeps_what_was_trained(
    data: Path, tmp_path: Path, monkeypatch, caplog
) -> None:
    def fail(*_):
        raise MissingComponent("a package is broken")

    with monkeypatch.context() as patch:
        patch.setattr("trainer.training.fit.finish_evaluation", fail)
        with pytest.raises(MissingComponent, match="is broken"):
            fit(data, tmp_path / "run", tiny())
    assert f"Go on with: edge-train fit --resume {tmp_path / 'run'}" in caplog.text
    monkeypatch.setattr(phases, "_train", lambda *_: pytest.fail("trained again"))
    assert leftovers(resume(tmp_path / "run").path) == FILES


def test_what_came_to_be_at_the_place_of_the_run_stays(
    data: Path, tmp_path: Path, monkeypatch
) -> None:
    out = tmp_path / "run"

    def arrive(*_):
        out.mkdir()
        (out / rundir.CONFIG).write_text("of another run")

    with monkeypatch.context() as patch:
        patch.setattr("trainer.training.fit._announce", arrive)
        with pytest.raises(OutputExists):
            fit(data, out, tiny())
    monkeypatch.setattr(phases, "_train", lambda *_: pytest.fail("trained again"))
    with pytest.raises(OutputExists):
        resume(out)
    assert (out / rundir.CONFIG).read_text() == "of another run"
    (out / rundir.CONFIG).rename(out / "mine.txt")
    with pytest.raises(UsageError, match="is no run directory"):
        resume(out, overwrite=True)
    (out / "mine.txt").rename(out / rundir.MODEL)
    assert leftovers(resume(out, overwrite=True).path) == FILES
    assert leftovers(tmp_path) == {"run"}


def test_another_backend_does_not_go_on(data: Path, tmp_path: Path, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 1, KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            fit(data, tmp_path / "run", tiny("full.epochs=2"))
    monkeypatch.setattr("trainer.training.fit.backend", lambda: "jax")
    with pytest.raises(
        UsageError, match=r"this is jax\. Set the variable KERAS_BACKEND=tensorflow"
    ):
        resume(tmp_path / "run")
    assert (tmp_path / "run.unfinished").is_dir()


def test_a_checkpoint_of_a_killed_process_does_not_count(tmp_path: Path) -> None:
    """Half of an epoch's weights, by a process that was killed before it renamed them."""
    best = BestWeights(tmp_path / "best.weights.h5", "val_loss", threshold=0.1)
    (tmp_path / "new-best.weights.h5").write_bytes(b"half")
    best.on_train_begin()
    best.on_epoch_end(0, {"val_loss": 0.5})  # not better than the threshold
    assert leftovers(tmp_path) == set()


@pytest.mark.slow
def test_killed_at_random_moments() -> None:
    """Real processes and SIGKILL; the script says what it compares."""
    done = CliRunner().invoke(kill_and_resume.main, ["--kills", "4"])
    assert done.exit_code == 0, done.output
    assert "metrics.json equal to the byte: True" in done.output


def test_a_changed_photo_ends_a_resumed_training(
    data: Path, tmp_path: Path, monkeypatch, make_photos
) -> None:
    photos = Path(shutil.copytree(data, tmp_path / "data"))
    with monkeypatch.context() as patch:
        stop_after(patch, 1, KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            fit(photos, tmp_path / "run", tiny("full.epochs=2"))
    make_photos(photos / "train", ("green",), 1, seed=99)
    with pytest.raises(DatasetError, match="photos have changed or gone"):
        resume(tmp_path / "run")
    assert (tmp_path / "run.unfinished").is_dir()
    fit(photos, tmp_path / "run", tiny(), overwrite=True)
    assert leftovers(tmp_path) == {"data", "run"}


@pytest.mark.parametrize("file", ["checkpoints/state.npz", "job.json"])
def test_a_damaged_state_is_told(data: Path, tmp_path: Path, monkeypatch, file: str) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 1, KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            fit(data, tmp_path / "run", tiny("full.epochs=2"))
    (tmp_path / "run.unfinished" / file).write_bytes(b"{")
    with pytest.raises(ModelError, match=r"damaged.*--overwrite"):
        resume(tmp_path / "run")
    assert (tmp_path / "run.unfinished").is_dir()


def test_two_processes_do_not_train_one_run(data: Path, tmp_path: Path, monkeypatch) -> None:
    seen = []

    def another(*_):
        with pytest.raises(SystemFailure, match="another process trains here"):
            resume(tmp_path / "run")
        seen.append(True)

    monkeypatch.setattr("trainer.training.fit._announce", another)
    fit(data, tmp_path / "run", tiny())
    assert seen


def test_a_disk_that_fills_up(data: Path, tmp_path: Path, monkeypatch) -> None:
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trainer.training.fit.plot_history", full)
    with pytest.raises(SystemFailure, match="No space left"):
        fit(data, tmp_path / "run", tiny())
    assert leftovers(tmp_path) == {"run.unfinished"}
    monkeypatch.undo()
    assert leftovers(resume(tmp_path / "run").path) == FILES
    assert leftovers(tmp_path) == {"run"}


@pytest.mark.parametrize("phase", ["features", "fit"])
def test_memory_that_runs_out_halves_the_batch(
    data: Path, weights: Path, tmp_path: Path, monkeypatch, caplog, phase: str
) -> None:
    """20 photos in batches of 8; more than 4 at once are too many."""
    tf = import_tensorflow()
    exhausted = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
    name = {
        "features": "trainer.training.phases.pooled_features",
        "fit": "trainer.training.phase.training_feed",
    }
    whole = {"features": pooled_features, "fit": phases.training_feed}[phase]

    def limited(*arguments):
        size = arguments[3] if phase == "features" else len(arguments[0].batch(0, 0)[0])
        if size > 4:
            raise exhausted
        return whole(*arguments)

    monkeypatch.setattr(name[phase], limited)
    run = fit(data, tmp_path / "run", tiny(weights=weights))
    assert "going on with batches of 4 photos" in caplog.text
    assert json.loads((run.path / rundir.ENVIRONMENT).read_text())["batch_size"] == 4
    assert [row["phase"] for row in history(run)] == ["head", "finetune"]


def test_memory_that_runs_out_after_an_epoch(
    data: Path, weights: Path, tmp_path: Path, monkeypatch, caplog
) -> None:
    """20 photos in batches of 8 are three steps; the fifth is in the second epoch."""
    steps = []

    def exhausted() -> None:
        steps.append(True)
        if len(steps) == 5:
            raise MemoryError

    monkeypatch.setattr("trainer.training.callbacks.check_stop", exhausted)
    run = fit(data, tmp_path / "run", tiny("head.epochs=0", "finetune.epochs=3", weights=weights))
    assert "going on with batches of 4 photos" in caplog.text
    assert len(steps) == 5 + 2 * 5
    assert [row["epoch"] for row in history(run)] == ["1", "2", "3"]


def test_memory_that_runs_out_at_the_end(data: Path, tmp_path: Path, monkeypatch, caplog) -> None:
    sizes = []

    def limited(model, images, batch_size):
        sizes.append(batch_size)
        if batch_size > 4:
            raise MemoryError
        return predict(model, images, batch_size)

    monkeypatch.setattr("trainer.evaluation.finish.predict", limited)
    run = fit(data, tmp_path / "run", tiny())
    assert sizes == [8, 4, 4, 4]
    assert "the answers for report.html" in caplog.text
    assert run.metrics()["test"]["n"] == 6


def test_memory_that_runs_out_in_the_trial_of_the_precision(
    data: Path, weights: Path, tmp_path: Path, monkeypatch, caplog
) -> None:
    """The trial makes do with less; the training tries its own batch all the same."""
    sizes = []

    def limited(network, config, train, size):
        sizes.append(size)
        if size > 4:
            raise MemoryError
        return try_steps(network, config, train, size)

    monkeypatch.setattr("trainer.training.fit.try_steps", limited)
    run = fit(data, tmp_path / "run", tiny("mixed_precision=on", weights=weights))
    assert sizes == [8, 4, 4]
    assert "steps that compare the precisions" in caplog.text
    assert json.loads((run.path / rundir.ENVIRONMENT).read_text())["batch_size"] == 8


def test_no_memory_at_all(data: Path, tmp_path: Path, monkeypatch) -> None:
    def exhausted(*_args, **_kwargs):
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes.")

    monkeypatch.setattr(phases, "_train", exhausted)
    with pytest.raises(SystemFailure, match=r"one photo at a time.*--image-size"):
        fit(data, tmp_path / "run", tiny())
    assert leftovers(tmp_path) == set()


def test_a_training_that_diverges(data: Path, tmp_path: Path, monkeypatch) -> None:
    """A target that is not a number, as after an overflow."""
    monkeypatch.setattr(
        batches, "one_hot", lambda labels, n: np.full((len(labels), n), np.nan, "f4")
    )
    with pytest.raises(ModelError, match=r"diverged.*full.learning_rate"):
        fit(data, tmp_path / "run", tiny())
    assert leftovers(tmp_path) == set()


def test_bad_data_is_refused_before_the_network_is_built(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("trainer.training.fit.start_network", lambda *_: pytest.fail("built"))
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
    copied = tmp_path / "data" / "train" / "green" / "photo_000.jpg"
    shutil.copy(copied, tmp_path / "data" / "val" / "green" / "copy.jpg")
    run = fit(tmp_path / "data", tmp_path / "run", tiny())
    entry, copy = json.loads((run.path / rundir.ENVIRONMENT).read_text())["left_out"]
    assert (copy["path"], copy["kind"], entry["kind"]) == (str(copied), "leakage", "unreadable")
    page = (run.path / rundir.REPORT).read_text(encoding="utf-8")
    assert "2 photos: 1 could not be read, 1 also in a part that measures." in page
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
    """10 photos in batches of at most 4: three of four, and the first two come again."""
    order = Shuffled(10, 4, seed=0)
    assert order.steps == 3
    for epoch in range(2):
        seen = np.concatenate([order.indices(epoch, step) for step in range(3)])
        assert len(seen) == 12
        assert sorted(seen[:10]) == list(range(10))
        np.testing.assert_array_equal(seen[:10], epoch_order(10, 0, epoch))
        np.testing.assert_array_equal(seen[10:], seen[:2])


@pytest.mark.parametrize(("count", "size", "groups"), [(387, 32, 2), (5, 32, 4), (1, 8, 2)])
def test_a_batch_can_be_cut_among_devices(count: int, size: int, groups: int) -> None:
    order = Shuffled(count, size, 0, Division(groups))
    batches = [order.indices(0, step) for step in range(order.steps)]
    assert {len(batch) % groups for batch in batches} == {0}
    assert len({len(batch) for batch in batches}) == 1
    assert set(np.concatenate(batches)) == set(range(count))


def test_the_head_sees_one_view_an_epoch_in_turn() -> None:
    views = np.arange(3, dtype=np.float32)[:, None, None] * np.ones((1, 5, 2), np.float32)
    found = FeatureBatches(views, np.zeros(5, int), 2, batch_size=5, seed=0)
    assert [float(found.batch(epoch, 0)[0].mean()) for epoch in range(4)] == [0, 1, 2, 0]


def test_balanced_classes_count_the_same() -> None:
    labels = np.array([0] * 6 + [1] * 2)
    weights = balanced_weights(labels, 2)
    np.testing.assert_allclose(weights, [8 / 12, 8 / 4])
    assert weights[labels].sum() == pytest.approx(8)
    found = FeatureBatches(np.zeros((1, 8, 3), "f4"), labels, 2, 8, 0, weights)
    _, targets, own = found.batch(0, 0)
    np.testing.assert_allclose(own, weights[targets.argmax(1)])


def test_batches_are_copies() -> None:
    """TensorFlow smooths labels where they lie; those of the next epoch must not change."""
    labels = np.array([0, 1, 1])
    found = PlainBatches(np.ones((3, 2), np.float32), labels, 2, 2)
    before = [array.copy() for array in found.batch(0, 0)]
    for array in found.batch(0, 0):
        array[:] = 7
    for array, other in zip(found.batch(0, 0), before, strict=True):
        np.testing.assert_array_equal(array, other)


@pytest.mark.parametrize(
    ("schedule", "done", "expected"),
    [
        ("cosine", 0.25, 0.25),
        ("cosine", 1, 1.0),  # the top of the cosine
        ("cosine", 3, 0.1 + 0.9 * 0.5),  # halfway
        ("cosine", 5, 0.1),  # the end
        ("cosine", 99, 0.1),
        ("constant", 0.5, 0.5),
        ("constant", 5, 1.0),
    ],
)
def test_rate_schedule(schedule: str, done: float, expected: float) -> None:
    config = PhaseConfig(
        epochs=5, learning_rate=1, schedule=schedule, final_rate=0.1, warmup_epochs=1
    )
    assert rate_factor(done, config, 5) == pytest.approx(expected)


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
        schedule.on_epoch_begin(epoch)
        schedule.on_train_batch_begin(0)
        rates.append(float(model.optimizer.learning_rate.numpy()))
        plateau.on_epoch_end(epoch, {"loss": 1.0})
    plain = [0.1 * rate_factor(step + (step < 2), config, 9) for step in range(9)]
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


def phase(name: str, config: PhaseConfig, folder: Path, **changes) -> Phase:
    return Phase(
        name,
        config,
        config.epochs,
        LossConfig(),
        changes.pop("callbacks", CallbacksConfig()),
        folder / f"{name}.weights.h5",
        **changes,
    )


def photos_of(pixels) -> Photos:
    return Photos(*pixels, [])


def test_the_head_on_features_learns_what_it_learns_on_the_full_model(
    classifier, pixels, tmp_path: Path
) -> None:
    """Phase 1's short cut: the same head as training on the photos, to float32 rounding.

    No views and no dropout, so that both see the same numbers; the order is the same seed's.
    """
    images, labels = pixels
    freeze_backbone(classifier)
    start = classifier.get_layer(LOGITS).get_weights()
    config = HeadConfig(epochs=3, views=0, learning_rate=1e-2)
    features = pooled_features(classifier, images, tmp_path / "features.npy", batch_size=8)
    assert (features.shape, features.dtype) == ((1, 21, FEATURES), np.float32)
    head = build_head(FEATURES, 3, dropout=0.0)
    head.set_weights(start)
    cached, full = (Progress(tmp_path / f"{name}.npz") for name in ("cached", "full"))
    run_phase(
        head,
        phase("head", config, tmp_path),
        lambda size: (
            FeatureBatches(features, labels, 3, size, seed=5),
            PlainBatches(features[0], labels, 3, size),
        ),
        8,
        cached,
    )
    none = Augmentation(AugmentConfig(level="none"))
    run_phase(
        with_changes(part_of(classifier, LOGITS), none),
        phase("full", config, tmp_path, inputs=2),
        lambda size: (
            PhotoBatches(photos_of(pixels), 3, size, 5, none),
            PlainBatches(images, labels, 3, size, none.width),
        ),
        8,
        full,
    )
    for one, other in zip(
        head.get_weights(), classifier.get_layer(LOGITS).get_weights(), strict=True
    ):
        assert np.abs(other - start[0][0, 0]).max() > 0.01, "it learned"
        # Adam divides by the root of tiny squares, which enlarges rounding.
        np.testing.assert_allclose(one, other, atol=2e-4)
    for one, other in zip(cached.rows, full.rows, strict=True):
        for key in ("loss", "val_loss", "accuracy", "val_accuracy"):
            assert one[key] == pytest.approx(other[key], abs=1e-4)


def test_views_are_augmented_and_reproducible(classifier, pixels, tmp_path: Path) -> None:
    images, _ = pixels
    changes = Augmentation(AugmentConfig(level="medium"))
    first = pooled_features(classifier, images, tmp_path / "a.npy", 8, 2, changes, seed=3)
    again = pooled_features(classifier, images, tmp_path / "b.npy", 8, 2, changes, seed=3)
    plain = pooled_features(classifier, images, tmp_path / "c.npy", 8)
    assert (first.shape, plain.shape) == ((3, 21, FEATURES), (1, 21, FEATURES))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first[0], plain[0])
    assert np.abs(first[1] - plain[0]).max() > 1e-3
    assert np.abs(first[1] - first[2]).max() > 1e-4


def test_features_of_an_earlier_process_are_taken_if_they_are_whole(
    classifier, pixels, tmp_path: Path
) -> None:
    images, _ = pixels
    found = np.array(pooled_features(classifier, images, tmp_path / "f.npy", 8))
    np.save(tmp_path / "f.npy", found + 1)
    np.testing.assert_array_equal(
        pooled_features(classifier, images, tmp_path / "f.npy", 8), found + 1
    )
    np.save(tmp_path / "f.npy", found[:, :20] + 1)  # of other photos
    np.testing.assert_array_equal(pooled_features(classifier, images, tmp_path / "f.npy", 8), found)


def test_the_best_epoch_s_weights_stay(classifier, pixels, tmp_path: Path) -> None:
    """Early stopping after two epochs without improvement, then the best epoch's weights."""
    images, labels = pixels
    config = HeadConfig(epochs=30, learning_rate=3)  # jumps about
    callbacks = CallbacksConfig(early_stopping_patience=2, plateau_patience=0)
    freeze_backbone(classifier)
    features = pooled_features(classifier, images, tmp_path / "features.npy", batch_size=8)
    head, progress = build_head(FEATURES, 3, dropout=0.0), Progress(tmp_path / "state.npz")
    val = PlainBatches(features[0], labels, 3, 8)
    run_phase(
        head,
        phase("head", config, tmp_path, callbacks=callbacks),
        lambda size: (FeatureBatches(features, labels, 3, size, seed=0), val),
        8,
        progress,
    )
    losses = [row["val_loss"] for row in progress.rows]
    found = head.evaluate(validation_feed(val, 1), verbose=0, return_dict=True)["loss"]
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
    run_phase(
        head,
        phase("head", config, tmp_path),
        lambda size: (
            FeatureBatches(features * 0, labels, 3, size, seed=0),
            PlainBatches(features[0] * 0, labels, 3, 8),
        ),
        21,
        Progress(tmp_path / "state.npz"),
    )
    kernel, bias = head.get_weights()
    np.testing.assert_allclose(kernel, 0.5 * (1 - 1e-6), rtol=2e-7)
    assert (kernel < 0.5).all()
    np.testing.assert_allclose(bias, 0.5, atol=2e-6)


def test_the_average_of_the_weights_is_what_is_kept(classifier, pixels, tmp_path: Path) -> None:
    """One step an epoch: a bias and its average, followed by hand."""
    images, labels = pixels
    freeze_backbone(classifier)
    features = pooled_features(classifier, images, tmp_path / "features.npy", batch_size=8)
    kept = {}
    for share in (0.0, 0.75):
        head = build_head(FEATURES, 3, dropout=0.0)
        head.set_weights([np.zeros((FEATURES, 3)), np.zeros(3)])
        config = HeadConfig(epochs=2, learning_rate=1e-2, ema=share)
        seen = []
        with pytest.MonkeyPatch.context() as patch:
            whole = EpochLog.on_epoch_end

            def note(self, epoch, logs=None, seen=seen, whole=whole):
                seen.append(self.model.get_weights()[1])
                whole(self, epoch, logs)

            patch.setattr(EpochLog, "on_epoch_end", note)
            run_phase(
                head,
                phase("head", config, tmp_path / str(share)),
                lambda size: (
                    FeatureBatches(features, labels, 3, size, seed=0),
                    PlainBatches(features[0], labels, 3, 21),
                ),
                21,
                Progress(tmp_path / str(share) / "state.npz"),
            )
        kept[share] = seen
    raw, average = kept[0.0], kept[0.75]
    np.testing.assert_allclose(average[0], raw[0], atol=1e-7)  # Keras begins with the first step
    np.testing.assert_allclose(average[1], 0.75 * raw[0] + 0.25 * raw[1], atol=1e-6)


@pytest.mark.parametrize("name", ["focal", "crossentropy"])
def test_losses_are_the_papers(name: str) -> None:
    """Lin et al. 2017, equation 4, without alpha."""
    config = LossConfig(name=name, focal_gamma=2)
    logits = np.array([[2.0, -1.0, 0.5], [0.1, 0.2, -3.0]], np.float32)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    own = p[[0, 1], [0, 2]]
    expected = (((1 - own) ** 2 if name == "focal" else 1) * -np.log(own)).mean()
    targets = np.eye(3, dtype=np.float32)[[0, 2]]
    found = float(phases.make_loss(config, smoothing=0.0)(targets, logits))
    assert found == pytest.approx(expected, rel=1e-5)


def test_the_metric_that_is_watched_may_be_f1(data: Path, tmp_path: Path) -> None:
    run = fit(
        data,
        tmp_path / "run",
        tiny("callbacks.monitor=val_f1", "loss.name=focal", "loss.class_weights=balanced",
             "augment.mixup=0.2", "augment.cutmix=1"),
    )  # fmt: skip
    assert 0 <= float(history(run)[0]["val_f1"]) <= 1


def test_predictions_do_not_depend_on_the_batch(scratch: RunDir, data: Path) -> None:
    run = scratch
    images = np.random.RandomState(0).randint(0, 256, (5, SIDE, SIDE, 3)).astype(np.uint8)
    model = load_keras_model(run.model_path)
    one = np.concatenate([predict(model, images[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(predict(model, images), one, atol=1e-6)
    assert index_dataset(data).class_names == run.class_names
