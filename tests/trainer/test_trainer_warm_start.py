"""``fit --from-run``: what is taken over, what is refused, what is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edge_runtime import rundir
from edge_runtime.backends.full_model import import_keras, load_keras_model
from edge_runtime.errors import DataError, UsageError
from edge_runtime.files import sha256_file
from edge_runtime.manifest import ModelInfo
from edge_runtime.rundir import RunDir, SplitRow
from trainer.config.io import dump_config, load_config, read_config
from trainer.config.schema import Config
from trainer.data.dataset import Sample
from trainer.network.backbones import build_base, get_backbone
from trainer.network.model import LOGITS, build_classifier, precision
from trainer.network.network import build_network
from trainer.network.warm_start import (
    describe_start,
    grow_head,
    start_facts,
    start_network,
    warm_start,
    warn_of_known_photos,
)
from trainer.training.callbacks import EpochLog
from trainer.training.fit import fit, resume
from trainer.training.resolve import resolve

pytestmark = pytest.mark.usefixtures("tiny_backbone")

NAME, SIDE = "tiny", 32
OLD = ("blue dots", "green", "red stripes")


def small(*assignments: str, **options: object) -> Config:
    """The tiny backbone at 32 pixels; ``from_run`` stands for the option of ``fit``."""
    given: dict[str, object] = {"model.backbone": NAME, "model.weights": "none", "image.size": SIDE}
    if "from_run" in options:
        given = {"model.from_run": str(options["from_run"])}
    return load_config(None, given, assignments)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunDir:
    """A run as ``fit`` leaves it, as far as a warm start reads it; its weights are random."""
    config = resolve(small("image.fit=pad", "augment.level=light", "seed=3", "head.epochs=4"))
    return write_run(tmp_path_factory.mktemp("runs") / "old", config, OLD)


def test_answers_for_other_photos_are_not_taken_over(run: RunDir, tmp_path: Path) -> None:
    """They are about the photos of that run, which may be others, in other classes."""
    old = tmp_path / "old"
    shutil.copytree(run.path, old)
    config = read_config(old / rundir.CONFIG)
    evaluation = config.evaluation.model_copy(update={"out_of_fold": "/x.csv", "precision": 0.7})
    text = dump_config(config.model_copy(update={"evaluation": evaluation}))
    (old / rundir.CONFIG).write_text(text)
    found = small(from_run=old).evaluation
    assert (found.out_of_fold, found.precision) == (None, 0.7)
    assert small("evaluation.out_of_fold=y.csv", from_run=old).evaluation.out_of_fold == "y.csv"


def write_run(folder: Path, config: Config, names: Sequence[str]) -> RunDir:
    folder.mkdir()
    network = build_network(config, len(names))
    random = np.random.default_rng(0)
    for layer in network.model.layers:  # BatchNorm's statistics, too
        layer.set_weights([w + random.uniform(0, 0.1, w.shape) for w in layer.get_weights()])
    network.model.save(folder / rundir.MODEL)
    (folder / rundir.CONFIG).write_text(dump_config(config))
    rundir.write_info(folder, ModelInfo(tuple(names), config.image.spec()))
    parts = {"train": "ab", "val": "c", "test": "d"}
    rows = [SplitRow(f"/{sha}.jpg", sha, names[0], p) for p, all_ in parts.items() for sha in all_]
    rundir.write_split(folder, rows)
    rundir.write_json(folder / rundir.METRICS, {})
    return RunDir.open(folder)


def photos(count: int = 4) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, SIDE, SIDE, 3)).astype("float32")


def answers(model, pixels: np.ndarray) -> np.ndarray:
    return np.asarray(model.predict(pixels, verbose=0))


# The head


def test_columns_go_with_their_names() -> None:
    kernel, bias = np.arange(12, dtype="f4").reshape(4, 3), np.array([1, 2, 6], "f4")
    grown, biases = grow_head(kernel, bias, ("a", "b", "c"), ("c", "new", "a"))
    np.testing.assert_array_equal(grown[:, 0], kernel[:, 2])
    np.testing.assert_array_equal(grown[:, 2], kernel[:, 0])
    np.testing.assert_array_equal(grown[:, 1], [1, 4, 7, 10])  # mean of the first and the last
    np.testing.assert_array_equal(biases, [6, 3.5, 1])
    assert (grown.dtype, biases.dtype) == (np.float32, np.float32)


def test_a_new_class_never_wins_before_it_has_learned() -> None:
    random = np.random.default_rng(0)
    kernel, bias = random.normal(size=(8, 3)), random.normal(size=3)
    grown, biases = grow_head(kernel, bias, ("a", "b", "c"), ("a", "new", "b", "c"))
    logits = random.normal(size=(100, 8)) @ grown + biases
    assert (logits.argmax(axis=1) != 1).all()
    np.testing.assert_allclose(logits[:, 1], logits[:, [0, 2, 3]].mean(axis=1))


# The network


def test_without_new_classes_the_answers_are_those_of_the_run(run: RunDir) -> None:
    config = resolve(small(from_run=run.path))
    network = start_network(config, OLD)
    old = load_keras_model(run.model_path)
    np.testing.assert_array_equal(answers(network.model, photos()), answers(old, photos()))
    expected = ("run", str(run.model_path), sha256_file(run.model_path))
    assert tuple(vars(network.source).values()) == expected


def test_classes_in_another_order_one_new_one_gone(run: RunDir) -> None:
    names = ("red stripes", "yellow", "blue dots")
    network = start_network(resolve(small(from_run=run.path)), names)
    old = load_keras_model(run.model_path)
    kernel, bias = old.get_layer(LOGITS).get_weights()
    found, biases = network.model.get_layer(LOGITS).get_weights()
    np.testing.assert_array_equal(found[:, [0, 2]], kernel[:, [2, 0]])
    np.testing.assert_array_equal(biases[[0, 2]], bias[[2, 0]])
    before, after = answers(old, photos()), answers(network.model, photos())
    ratio = (before[:, 2] / before[:, 0]) / (after[:, 0] / after[:, 2])
    np.testing.assert_allclose(ratio, 1, rtol=1e-5)


def test_no_class_in_common_takes_the_backbone_alone(run: RunDir, caplog) -> None:
    config = resolve(small(from_run=run.path))
    network = start_network(config, ("x", "y"))
    fresh = build_network(resolve(small("seed=3")), 2)
    for mine, other in zip(
        network.model.get_layer(LOGITS).get_weights(),
        fresh.model.get_layer(LOGITS).get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, other)
    old = load_keras_model(run.model_path)
    for mine, other in zip(network.model.layers[:-2], old.layers[:-2], strict=True):
        for left, right in zip(mine.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(left, right)
    start_facts(config, ("x", "y"), run.path.parent / "new")
    assert "no class in common; only its backbone" in caplog.text


def test_a_mixed_precision_graph_takes_the_same_weights(run: RunDir) -> None:
    with precision("mixed_float16"):
        model = build_classifier(build_base(get_backbone(NAME), SIDE), 3, 0.0)
    warm_start(model, run, OLD)
    np.testing.assert_allclose(
        answers(model, photos()), answers(load_keras_model(run.model_path), photos()), atol=0.02
    )
    assert model.get_layer(LOGITS).dtype == "float32"


def test_another_network_under_the_same_name(run: RunDir) -> None:
    keras = import_keras()
    image = keras.Input((SIDE, SIDE, 3))
    other = keras.layers.Conv2D(7, 3, name="other")(image)
    model = build_classifier(keras.Model(image, other), 3, 0.0)
    with pytest.raises(DataError, match=r"does not fit; first mismatch: layer 'other'"):
        warm_start(model, run, OLD)


# The configuration


def test_the_configuration_of_the_run_is_the_base(run: RunDir, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("head: {epochs: 6}\nseed: 5\n")
    config = load_config(own, {"model.from_run": str(run.path)}, ["batch_size=2"], preset="fast")
    assert (config.model.backbone, config.image.size, config.image.fit) == (NAME, SIDE, "pad")
    assert (config.head.epochs, config.seed, config.batch_size) == (6, 5, 2)
    assert (config.finetune.epochs, config.augment.level) == (3, "light")
    assert not config.from_scratch, "though the run itself was"
    assert resolve(config).model.fine_tune_at is not None


def test_the_key_does_what_the_option_does(run: RunDir) -> None:
    assert small(f"model.from_run={run.path}", from_run=run.path) == load_config(
        None, None, [f"model.from_run={run.path}"]
    )


def test_the_resolved_configuration_says_where_from(run: RunDir, monkeypatch) -> None:
    monkeypatch.chdir(run.path.parent)
    config = resolve(small(from_run="old"))
    assert config.model.from_run == str(run.path.resolve())
    assert resolve(config) == config


def test_a_run_s_configuration_is_read_when_the_earlier_run_is_gone(run: RunDir, tmp_path) -> None:
    config = resolve(small(from_run=run.path))
    gone = config.model.model_copy(update={"from_run": str(tmp_path / "gone")})
    file = tmp_path / "config.yaml"
    file.write_text(dump_config(config.model_copy(update={"model": gone})))
    assert read_config(file).model.from_run == str(tmp_path / "gone")
    with pytest.raises(UsageError, match="no such run directory"):
        load_config(file)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("model.backbone=mobilenetv2", "model.backbone is mobilenetv2, but .* holds tiny"),
        ("image.size=64", "size 32, fit pad, .* found size 64, .*--weights .*model.keras"),
        ("image.fit=crop", "size 32, fit pad, .* found size 32, fit crop"),
        ("model.weights=imagenet", "model.weights is imagenet, but .* where it is none"),
    ],
)
def test_contradictions(run: RunDir, assignment: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve(small(assignment, from_run=run.path))


def test_the_run_itself_is_not_overwritten(run: RunDir) -> None:
    with pytest.raises(UsageError, match="is the run to start from"):
        start_facts(resolve(small(from_run=run.path)), OLD, run.path)


# What is said


def test_dropped_classes_are_named(run: RunDir, caplog) -> None:
    config = resolve(small(from_run=run.path))
    facts = start_facts(config, ("green", "yellow"), run.path.parent / "new")
    assert facts["from_run"]["dropped"] == ("blue dots", "red stripes")
    assert "blue dots, red stripes, of which there are no photos: dropped" in caplog.text
    assert start_facts(small(), OLD, "new") == {}
    start = describe_start(run, OLD)
    assert (start.kept, start.new, start.dropped) == (OLD, (), ())


def test_photos_that_the_run_saw_in_another_part(run: RunDir, caplog) -> None:
    def samples(shas: str) -> list[Sample]:
        return [Sample(f"{sha}.jpg", 0, sha) for sha in shas]

    config = resolve(small(from_run=run.path))
    warn_of_known_photos(config, {"train": samples("abx"), "val": samples("c"), "test": []})
    assert not caplog.records, "each where it was"
    warn_of_known_photos(
        config, {"train": samples("cdx"), "val": samples("y"), "test": samples("az")}
    )
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("train: 2 of 3 photos are from the validation or test part of")
    assert second.startswith("test: 1 of 2 photos are from the training part of")


def test_photos_that_a_run_before_the_run_learned(run: RunDir, tmp_path: Path, caplog) -> None:
    config = resolve(small(from_run=run.path))
    middle = write_run(tmp_path / "middle", config, OLD)
    rundir.write_split(middle.path, [SplitRow("/x.jpg", "x", "green", "train")])
    last = resolve(small(from_run=middle.path))
    warn_of_known_photos(last, {"val": [Sample("a.jpg", 0, "a")]})
    assert "val: 1 of 1 photos are from the training part" in caplog.text


# The whole of it


def test_fit_grows_a_run_by_a_class(run: RunDir, make_photos, tmp_path: Path, monkeypatch) -> None:
    """Stopped after the first epoch, and resumed when the earlier run is gone."""
    names = ("amber", "blue dots", "green")
    run = RunDir.open(shutil.copytree(run.path, tmp_path / "old"))
    for seed, (part, count) in enumerate((("train", 6), ("val", 2))):
        make_photos(tmp_path / "data" / part, names, count, seed)
    config = small(
        "head.epochs=1", "head.views=0", "finetune.epochs=1", "finetune.learning_rate=1e-9",
        "head.learning_rate=1e-9", "finetune.warmup_epochs=0", "model.fine_tune_at=0.9",
        from_run=run.path,
    )  # fmt: skip
    checksum = sha256_file(run.model_path)
    old = load_keras_model(run.model_path).get_layer(LOGITS).get_weights()[0]
    whole = EpochLog.on_epoch_end

    def interrupted(self, epoch, logs=None):
        whole(self, epoch, logs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(EpochLog, "on_epoch_end", interrupted)
        fit(tmp_path / "data", tmp_path / "new", config)
    shutil.rmtree(run.path)
    new = resume(tmp_path / "new")
    assert new.class_names == names
    environment = json.loads((new.path / rundir.ENVIRONMENT).read_text())
    assert environment["from_run"] == {
        "path": str(run.path.resolve()),
        "sha256": checksum,
        "kept": ["blue dots", "green"],
        "new": ["amber"],
        "dropped": ["red stripes"],
    }
    assert environment["weights"]["kind"] == "run"
    assert read_config(new.path / rundir.CONFIG).model.from_run == str(run.path.resolve())
    history = (new.path / rundir.HISTORY).read_text()
    assert "head" in history and "finetune" in history, "not from scratch, though the run was"
    # At a rate of 1e-9 the network is still the run's.
    found = load_keras_model(new.model_path).get_layer(LOGITS).get_weights()[0]
    np.testing.assert_allclose(found[:, 1:], old[:, :2], atol=1e-6)
    np.testing.assert_allclose(found[:, 0], old[:, :2].mean(axis=1), atol=1e-6)
