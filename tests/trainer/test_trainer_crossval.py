"""Cross-validation: the division, the figures, and two folds as they are typed."""

from __future__ import annotations

import csv
import errno
import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from edge_runtime import rundir
from edge_runtime.errors import (
    DataError,
    DatasetError,
    MissingComponent,
    OutputExists,
    SystemFailure,
    UsageError,
)
from edge_runtime.files import sha256_file
from edge_runtime.rundir import RunDir, unfinished
from trainer.cli import cli
from trainer.config.io import load_config, read_config
from trainer.config.schema import Config
from trainer.crossval import crossval, parallel
from trainer.crossval.crossval import cross_validate
from trainer.crossval.figures import (
    fold_figures,
    mean_predictions,
    over_folds,
    pooled_figures,
    spread,
)
from trainer.crossval.fold import FoldTask, train_fold
from trainer.crossval.folds import plan_folds
from trainer.crossval.parallel import run_all, threads_each
from trainer.crossval.plan import make_plan
from trainer.crossval.table import format_crossval
from trainer.evaluation.intervals import wilson
from trainer.evaluation.predictions import Predictions, read_predictions, write_predictions
from trainer.training.fit import fit

SIDE = 32


# --- the division


def labels_of(**counts: int) -> list[str]:
    return [name for name, count in counts.items() for _ in range(count)]


def test_every_photo_is_held_out_once_a_repeat() -> None:
    labels = labels_of(a=20, b=10, c=5)
    plan = plan_folds(labels, range(35), folds=5, repeats=2, val_share=0.2, seed=3)
    assert [fold.name for fold in plan[4:6]] == ["repeat-1-fold-5", "repeat-2-fold-1"]
    for repeat in (1, 2):
        held = np.concatenate([fold.test for fold in plan if fold.repeat == repeat])
        assert sorted(held) == list(range(35))
    assert [list(f.test) for f in plan[:5]] != [list(f.test) for f in plan[5:]]


def test_each_class_in_proportion() -> None:
    """4, 2 and 1 of 20, 10 and 5 are held out; a quarter of the other 16, 8 and 4 validate."""
    labels = np.array(labels_of(a=20, b=10, c=5))
    for fold in plan_folds(list(labels), range(35), 5, 1, 0.25, 0):
        assert Counter(labels[fold.test]) == {"a": 4, "b": 2, "c": 1}
        assert Counter(labels[fold.val]) == {"a": 4, "b": 2, "c": 1}
        assert Counter(labels[fold.train]) == {"a": 12, "b": 6, "c": 3}
        together = np.concatenate([fold.train, fold.val, fold.test])
        assert sorted(together) == list(range(35))


def test_the_seed_decides() -> None:
    labels = labels_of(a=12, b=12)

    def held(seed: int) -> list[list[int]]:
        return [list(fold.test) for fold in plan_folds(labels, range(24), 3, 1, 0.2, seed)]

    assert held(1) == held(1) != held(2)


@pytest.mark.parametrize("repeats", [1, 2])
def test_groups_stay_in_one_part_of_every_fold(repeats: int) -> None:
    """Twelve objects of each class, three photos of each."""
    labels = labels_of(a=36, b=36)
    groups = np.arange(72) // 3
    plan = plan_folds(labels, list(groups), 4, repeats, 0.2, 0)
    assert len(plan) == 4 * repeats
    for fold in plan:
        owners = [set(groups[part]) for part in (fold.train, fold.val, fold.test)]
        assert all(owners)
        assert not owners[0] & owners[1]
        assert not owners[0] & owners[2]
        assert not owners[1] & owners[2]
    held = np.concatenate([fold.test for fold in plan])
    assert set(Counter(held.tolist()).values()) == {repeats}


@pytest.mark.parametrize(
    ("counts", "folds", "words"),
    [
        ({"a": 9, "b": 4}, 5, "'b': 4 photos are too few for 5 folds, which need 5"),
        ({"a": 9, "b": 3}, 2, "'b': 3 photos are too few for 2 folds, which need 4"),
    ],
)
def test_too_few_photos_of_a_class(counts: dict[str, int], folds: int, words: str) -> None:
    labels = labels_of(**counts)
    with pytest.raises(DatasetError, match=words):
        plan_folds(labels, range(len(labels)), folds, 1, 0.2, 0)


def test_just_enough_photos_of_a_class() -> None:
    for folds, count in ((2, 4), (3, 3), (5, 5)):
        labels = np.array(labels_of(a=9, b=count))
        for fold in plan_folds(list(labels), range(9 + count), folds, 1, 0.1, 0):
            for part in (fold.train, fold.val, fold.test):
                assert set(labels[part]) == {"a", "b"}


def test_too_few_groups_of_a_class() -> None:
    labels = labels_of(a=9, b=9)
    groups = [*range(9), *(100 + n // 5 for n in range(9))]
    with pytest.raises(DatasetError, match="'b': 9 photos in 2 groups that stay together are too"):
        plan_folds(labels, groups, 3, 1, 0.2, 0)


@pytest.mark.parametrize(("folds", "repeats"), [(1, 1), (3, 0)])
def test_numbers_that_make_no_sense(folds: int, repeats: int) -> None:
    with pytest.raises(UsageError, match="at least 2 folds and 1 repeat"):
        plan_folds(labels_of(a=9, b=9), range(18), folds, repeats, 0.2, 0)


# --- the figures


def test_the_interval_is_nadeau_and_bengios() -> None:
    """By hand: s = 0.02 (0.9 +- 0.02, 0.9), t(2; 97.5 %) = 4.302653, 1/3 + 1/2."""
    found = spread([0.88, 0.9, 0.92], test_to_train=0.5)
    assert found["mean"] == pytest.approx(0.9, abs=1e-12)
    assert found["std"] == pytest.approx(0.02, abs=1e-12)
    half = 4.302652729911275 * 0.02 * math.sqrt(1 / 3 + 1 / 2)
    assert found["low"] == pytest.approx(0.9 - half, abs=1e-9)
    assert found["high"] == pytest.approx(0.9 + half, abs=1e-9)
    assert found["values"] == [0.88, 0.9, 0.92]


def test_an_interval_stays_in_its_range() -> None:
    found = spread([0.1, 0.9], 1.0)
    assert (found["low"], found["high"]) == (0.0, 1.0)
    assert spread([0.5, 1.5], 1.0, math.inf)["high"] > 2


def test_one_fold_has_no_interval() -> None:
    found = spread([0.7], 0.25)
    assert (found["mean"], found["std"], found["low"], found["high"]) == (0.7, None, None, None)


def test_the_corrected_interval_covers_what_it_promises() -> None:
    """Ten-fold cross-validation of a mean, 400 times, from photos that are drawn anew.

    What is estimated: the expected squared error of a training mean of 18 standard normal numbers,
    1 + 1/18. The naive interval is known to cover too seldom; 95 % of 400 has a deviation of 1.1 %.
    """
    random, covered = np.random.default_rng(0), 0
    for _ in range(400):
        values = random.normal(size=20)
        errors = [
            float(np.mean((values[n : n + 2] - np.delete(values, [n, n + 1]).mean()) ** 2))
            for n in range(0, 20, 2)
        ]
        found = spread(errors, 2 / 18, math.inf)
        covered += found["low"] <= 1 + 1 / 18 <= found["high"]
    assert covered / 400 > 0.88


def test_an_undefined_figure_does_not_count() -> None:
    figures = [{"accuracy": 0.5, "auc": None}, {"accuracy": 0.7, "auc": 0.9}]
    found = over_folds(figures, 0.5)
    assert found["auc"]["values"] == [0.9]
    assert found["accuracy"]["mean"] == pytest.approx(0.6)
    assert "auc" not in over_folds([{"auc": None}], 0.5)


def test_the_numbers_of_a_fold() -> None:
    metrics: dict[str, Any] = dict.fromkeys(
        (
            "accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1",
            "macro_roc_auc", "log_loss",
        ),
        0.5,
    )  # fmt: skip
    calibration = {"raw": {"ece": 0.3, "brier": 0.4}, "calibrated": {"ece": 0.1, "brier": 0.2}}
    found = fold_figures(metrics | {"top_k": {"3": 0.9}, "calibration": calibration})
    assert (found["top_3"], found["ece"], found["brier"]) == (0.9, 0.1, 0.2)
    calibration["calibrated"] = None
    assert fold_figures(metrics | {"top_k": {}, "calibration": calibration})["ece"] == 0.3


NAMES = ("cat", "dog")


def answers(**chances: float) -> Predictions:
    """Photos whose name begins with their class, with the probability of a dog."""
    paths = list(chances)
    rows = np.array([[1 - chance, chance] for chance in chances.values()], np.float32)
    labels = np.array([NAMES.index(path[:3]) for path in paths])
    return Predictions(NAMES, paths, ["test"] * len(paths), labels, rows)


#: Two repeats of two folds; dog2 is wrong in the first repeat, cat1 in the second.
FOLDS = [
    answers(cat1=0.2, dog2=0.4), answers(dog1=0.9, cat2=0.1),
    answers(cat1=0.6, dog1=0.8), answers(cat2=0.3, dog2=0.9),
]  # fmt: skip


def test_the_answers_of_the_repeats_are_averaged() -> None:
    found = mean_predictions(FOLDS)
    assert found.paths == ["cat1", "cat2", "dog1", "dog2"]
    assert found.probabilities[:, 1] == pytest.approx([0.4, 0.2, 0.85, 0.65])
    assert found.labels.tolist() == [0, 0, 1, 1]
    assert set(found.parts) == {"out-of-fold"}
    assert found.right.all(), "though each repeat has a mistake"


def by_class(**recalls: float) -> dict[str, Any]:
    rows = {
        name: {"precision": recall, "recall": recall, "f1": recall, "support": 1}
        for name, recall in recalls.items()
    }
    return {"per_class": rows}


def test_pooled_figures_are_those_of_single_networks() -> None:
    folds = [by_class(cat=1, dog=0), by_class(cat=1, dog=1), by_class(cat=0, dog=1)]
    absent = by_class(cat=0, dog=1)
    absent["per_class"]["cat"]["support"] = 0
    found = pooled_figures(FOLDS, 2, [*folds, absent])
    assert found["pooled"]["n"] == 4
    assert found["pooled"]["accuracy"] == 6 / 8
    assert found["pooled"]["accuracy_interval"] == wilson(3, 4)
    assert found["pooled"]["confusion_matrix"] == [[3, 1], [1, 3]]
    assert found["per_class"]["dog"]["recall"] == 3 / 4
    assert found["per_class"]["dog"]["support"] == 2
    assert found["per_class"]["dog"]["std"]["recall"] == 0.5, "of 0, 1, 1, 1"
    assert found["per_class"]["cat"]["std"]["f1"] == pytest.approx(3**-0.5), "of 1, 1, 0"


def test_label_errors_come_from_the_mean_answers() -> None:
    sure = [answers(cat1=0.1, cat2=0.99, dog1=0.9), answers(cat3=0.1, dog2=0.95, dog3=0.9)]
    found = pooled_figures(sure, 1, [by_class(cat=1, dog=1)] * 2)["label_errors"]
    assert found["count"] == 1
    assert found["suspects"][0]["path"] == "cat2"
    assert found["suspects"][0]["suggestion"] == "dog"


def test_a_table_for_people() -> None:
    folds = [by_class(cat=1, dog=0), by_class(cat=1, dog=1)]
    metrics = over_folds(
        [{"accuracy": 0.88, "log_loss": 0.3}, {"accuracy": 0.92, "log_loss": 0.5}], 1
    )
    result = {"folds": 2, "repeats": 2, "metrics": metrics, **pooled_figures(FOLDS, 2, folds)}
    text = format_crossval(result, "cv")
    assert text.startswith(
        "cv: 2 folds x 2 repeats of 4 photos in 2 classes, out-of-fold accuracy 75.0%"
    )
    # t(1; 97.5 %) = 12.706: 0.9 -+ 12.706 * 0.0283 * sqrt(1.5) leaves the range above.
    assert "accuracy               90.0%    2.8%    46.0% to 100.0%" in text
    assert "log loss               0.400   0.141    " in text
    assert text.splitlines()[-1].split() == ["dog", "0.750", "0.750", "0.750", "0.707", "2"]


# --- the work in processes


def write_process(path: Path) -> None:
    path.write_text(f"{os.getpid()}")


def fail(path: Path) -> None:
    raise DatasetError(f"{path.name}: no photo.")


def test_one_job_works_in_this_process(tmp_path: Path) -> None:
    run_all(write_process, [tmp_path / "a", tmp_path / "b"])
    assert {(tmp_path / name).read_text() for name in "ab"} == {str(os.getpid())}
    run_all(write_process, [])


def test_threads_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "cores", lambda: 8)
    monkeypatch.setenv("RAY_ADDRESS", "somewhere")
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    assert [threads_each(jobs, "loky") for jobs in (1, 3, 20, None)] == [8, 2, 1, None]
    assert threads_each(2, "ray") is None
    assert threads_each(2, "dask") == 4


@pytest.mark.parametrize(("backend", "module"), [("ray", "ray"), ("dask", "distributed")])
def test_a_missing_package_names_its_extra(
    backend: Any, module: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingComponent, match=rf"edge-classify\[{backend}\]"):
        run_all(write_process, [tmp_path / "a"], 1, backend)


def test_the_parent_needs_no_keras() -> None:
    """TensorFlow takes memory, and does not survive a fork."""
    code = "import sys, trainer.crossval.crossval; print({'keras', 'tensorflow', 'jax'} & {*sys.modules})"
    root = Path(crossval.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, check=True, capture_output=True, text=True
    )
    assert done.stdout == "set()\n"


def test_planning_needs_no_keras_either(data: Path) -> None:
    code = (
        "import sys; from trainer.config.io import load_config\n"
        "from trainer.crossval.plan import make_plan\n"
        "config = load_config(None, {'model.weights': 'none'}, ['image.size=32'])\n"
        "assert len(make_plan(sys.argv[1], config, 2, 1).folds) == 2\n"
        "print({'keras', 'tensorflow', 'jax'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(data)],
        cwd=Path(crossval.__file__).parents[2], check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == "set()\n"


# --- the whole, with a small network


def tiny(*assignments: str) -> Config:
    given = {"model.backbone": "tiny", "model.weights": "none", "image.size": SIDE}
    given |= {"batch_size": 8, "full.epochs": 1}
    return load_config(None, given, ["tracking.tensorboard=off", *assignments])


@pytest.fixture(scope="module")
def data(tmp_path_factory, make_photos) -> Path:
    """Two classes with train, val and test; a photo lies in train and in val, one in both classes."""
    root = tmp_path_factory.mktemp("data")
    for seed, (part, count) in enumerate((("train", 5), ("val", 3), ("test", 2))):
        make_photos(root / part, ("green", "red stripes"), count, seed)
    train, val = root / "train", root / "val"
    (val / "green" / "copy.jpg").write_bytes((train / "green" / "photo_000.jpg").read_bytes())
    for label in ("green", "red stripes"):
        Image.new("RGB", (40, 40), "gray").save(train / label / "both.png")
    return root


@pytest.fixture(scope="module")
def validated(tmp_path_factory, data: Path, tiny_backbone) -> tuple[Path, dict[str, Any]]:
    """Two folds."""
    out = tmp_path_factory.mktemp("crossval") / "cv"
    return out, cross_validate(data, out, tiny(), folds=2, keep_models=True)


def rows_of(file: Path) -> list[dict[str, str]]:
    with open(file, newline="") as stream:
        return list(csv.DictReader(stream))


def test_what_is_written(validated: Any) -> None:
    out, result = validated
    assert {entry.name for entry in out.iterdir()} == {
        "crossval.json", "predictions.csv", "confusion_matrix.png", "folds.csv", "config.yaml",
        "folds",
    }  # fmt: skip
    assert json.loads((out / "crossval.json").read_text()) == result
    assert not unfinished(out).exists()
    assert {entry.name for entry in (out / "folds").iterdir()} == {
        "repeat-1-fold-1", "repeat-1-fold-2",
    }  # fmt: skip


def test_photos_of_train_and_val_are_used_and_test_is_left_alone(
    validated: Any, data: Path
) -> None:
    out, result = validated
    rows = rows_of(out / "folds.csv")
    assert result["photos"] == len(rows) == 17
    used = {Path(row["path"]).relative_to(data).parts[0] for row in rows}
    assert used == {"train", "val"}
    assert [Path(row["path"]).name for row in result["left_out"]] == ["both.png", "both.png"]


def test_copies_are_held_out_together(validated: Any) -> None:
    out, result = validated
    copies = [row for row in rows_of(out / "folds.csv") if row["path"].endswith(("0.jpg", "y.jpg"))]
    by_digest: dict[str, list[dict[str, str]]] = {}
    for row in copies:
        by_digest.setdefault(row["sha256"], []).append(row)
    (pair,) = [rows for rows in by_digest.values() if len(rows) == 2]
    assert pair[0]["repeat_1"] == pair[1]["repeat_1"]
    assert pair[0]["sha256"] == sha256_file(pair[0]["path"])
    assert result["groups"] == {"groups": 1, "photos": 2}


def test_group_by_keeps_photos_in_one_fold(data: Path, tiny_backbone) -> None:
    """The first two photos of each class, here also across classes and parts."""
    plan = make_plan(data, tiny("data.group_by='photo_00([01])'"), folds=3, repeats=1)
    names = [Path(sample.path).name[:9] for sample in plan.samples]
    for first in ("photo_000", "photo_001"):
        members = {index for index, name in enumerate(names) if name == first}
        assert len(members) == 4, "two classes in train and in val"
        for fold in plan.folds:
            assert len(members & set(fold.test)) in (0, 4)
            assert len(members & set(fold.val)) in (0, 4)


def test_other_machines_need_no_working_folder(
    data: Path, tiny_backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path is relative to the folder in which the command was typed, and to no other."""
    monkeypatch.chdir(data.parent)
    plan = make_plan(data.name, tiny(), folds=2, repeats=1)
    for fold in plan.folds:
        for samples in plan.dataset(fold).parts.values():
            assert all(Path(sample.path).is_relative_to(data) for sample in samples)


def test_the_parts_of_a_fold_are_those_of_the_plan(validated: Any) -> None:
    """What fold 1 holds out is its test part, and fold 2 has trained or validated on it."""
    out, _ = validated
    held = {row["path"] for row in rows_of(out / "folds.csv") if row["repeat_1"] == "1"}
    first, second = (rows_of(out / "folds" / f"repeat-1-fold-{n}" / "split.csv") for n in (1, 2))
    assert {row["path"] for row in first if row["part"] == "test"} == held
    assert held <= {row["path"] for row in second if row["part"] in ("train", "val")}
    assert len(first) == len(second) == 17
    assert {row["part"] for row in first} == {"train", "val", "test"}


def test_answers_are_those_of_the_networks_that_had_not_seen_the_photo(validated: Any) -> None:
    """Recomputed with the networks that were kept, through the runtime's own door."""
    from edge_runtime.classifier import Classifier

    out, result = validated
    found = read_predictions(out / "predictions.csv")
    rows = {row["path"]: row for row in rows_of(out / "folds.csv")}
    assert sorted(found.paths) == sorted(rows)
    right = 0
    for number in (1, 2):
        run = RunDir.open(out / "folds" / f"repeat-1-fold-{number}")
        classifier = Classifier.open(str(run.path))
        for path, score in zip(found.paths, found.probabilities.max(axis=1), strict=True):
            if rows[path]["repeat_1"] == str(number):
                answer = classifier.classify(path)
                assert answer.score == pytest.approx(score, abs=2e-6), "six digits are written"
                right += answer.label == rows[path]["class"]
    assert result["pooled"]["accuracy"] == right / 17
    accuracies = [run["metrics"]["accuracy"] for run in result["runs"]]
    assert result["metrics"]["accuracy"]["values"] == accuracies


def test_the_table_and_evaluate_take_it(validated: Any, data: Path) -> None:
    out, result = validated
    assert "out-of-fold accuracy" in format_crossval(result, str(out))
    run = out / "folds" / "repeat-1-fold-1"
    arguments = ["evaluate", str(run), str(data / "test"), "--out-of-fold"]
    done = CliRunner().invoke(cli, [*arguments, str(out / "predictions.csv"), "--json"])
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["label_errors"] == result["label_errors"]


def test_fit_looks_for_label_errors_in_the_out_of_fold_answers(
    validated: Any, data: Path, tmp_path: Path, tiny_backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, result = validated
    monkeypatch.chdir(out)
    run = fit(data, tmp_path / "run", tiny("evaluation.out_of_fold=predictions.csv"))
    assert run.metrics()["label_errors"] == result["label_errors"]
    assert read_config(run.path / rundir.CONFIG).evaluation.out_of_fold == f"{out}/predictions.csv"


@pytest.mark.parametrize("file", ["nowhere.csv", "folds.csv", "others.csv"])
def test_out_of_fold_answers_of_no_use_are_refused_before_the_training(
    validated: Any, data: Path, tmp_path: Path, tiny_backbone, monkeypatch, file: str
) -> None:
    """Also before an interrupted training is thrown away."""
    out, _ = validated
    write_predictions(answers(cat1=0.2, dog2=0.4), tmp_path / "others.csv")
    folder = tmp_path if file == "others.csv" else out
    monkeypatch.setattr("trainer.training.fit.start_job", lambda *_: pytest.fail("began"))
    with pytest.raises((UsageError, DataError), match=file):
        fit(data, tmp_path / "run", tiny(f"evaluation.out_of_fold={folder / file}"), True)
    assert not (tmp_path / "run.unfinished").exists()


def test_the_folds_themselves_take_no_out_of_fold_answers(
    data: Path, tmp_path: Path, tiny_backbone, monkeypatch
) -> None:
    tasks: list[FoldTask] = []

    def note(task: FoldTask) -> None:
        tasks.append(task)
        raise KeyboardInterrupt

    monkeypatch.setattr(crossval, "train_fold", note)
    with pytest.raises(KeyboardInterrupt):
        cross_validate(data, tmp_path / "cv", tiny("evaluation.out_of_fold=old.csv"), folds=2)
    assert tasks[0].config.evaluation.out_of_fold is None


def test_an_existing_result_stays(validated: Any, data: Path, tmp_path: Path) -> None:
    out, _ = validated
    with pytest.raises(OutputExists):
        cross_validate(data, out, tiny(), folds=2)
    with pytest.raises(UsageError, match="nothing to --resume, the cross-validation is finished"):
        cross_validate(data, out, tiny(), folds=2, resume=True)
    with pytest.raises(UsageError, match="was not begun"):
        cross_validate(data, tmp_path / "new", tiny(), folds=2, resume=True)
    with pytest.raises(UsageError, match="overlaps the photos"):
        cross_validate(data, data / "cv", tiny(), folds=2)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(UsageError, match="no result of crossval"):
        cross_validate(data, tmp_path / "mine", tiny(), folds=2, overwrite=True)
    with pytest.raises(UsageError, match="cannot start from a run"):
        cross_validate(data, tmp_path / "new", tiny_from_run())
    assert not unfinished(tmp_path / "new").exists()


def tiny_from_run() -> Config:
    config = tiny()
    return config.model_copy(
        update={"model": config.model.model_copy(update={"from_run": "runs/first"})}
    )


def test_what_was_interrupted_goes_on(
    data: Path, tmp_path: Path, tiny_backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C before the second fold: the first is not trained again, and its network is gone."""
    out, trained = tmp_path / "cv", []

    def interrupted(task: FoldTask) -> None:
        if trained:
            raise KeyboardInterrupt
        trained.append(task.out.name)
        train_fold(task)

    monkeypatch.setattr(crossval, "train_fold", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cross_validate(data, out, tiny(), folds=2)
    assert not out.exists()
    first = unfinished(out) / "folds" / "repeat-1-fold-1"
    before = (first / rundir.METRICS).read_bytes()
    assert not (first / rundir.MODEL).exists()
    assert not (first / rundir.CHECKPOINTS).exists()
    with pytest.raises(OutputExists, match="same command and --resume"):
        cross_validate(data, out, tiny(), folds=2)
    with pytest.raises(UsageError, match="the options are others"):
        cross_validate(data, out, tiny("full.epochs=2"), folds=2, resume=True)
    with pytest.raises(UsageError, match="the photos, --folds or --repeats are others"):
        cross_validate(data, out, tiny(), folds=2, repeats=2, resume=True)

    def counted(task: FoldTask) -> None:
        trained.append(task.out.name)
        train_fold(task)

    monkeypatch.setattr(crossval, "train_fold", counted)
    result = cross_validate(data, out, tiny(), folds=2, resume=True)
    assert trained == ["repeat-1-fold-1", "repeat-1-fold-2"]
    assert (out / "folds" / "repeat-1-fold-1" / rundir.METRICS).read_bytes() == before
    assert result["pooled"]["n"] == 17


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), SystemFailure),
        (RuntimeError("a bug"), RuntimeError),
    ],
)
def test_how_to_go_on_is_said_whatever_happened(
    data: Path, tmp_path: Path, tiny_backbone, monkeypatch, caplog, error, shown
) -> None:
    def fail(task: FoldTask) -> None:
        raise error

    monkeypatch.setattr(crossval, "train_fold", fail)
    with pytest.raises(shown):
        cross_validate(data, tmp_path / "cv", tiny(), folds=2)
    assert "Stopped with 0 of 2 trainings whole. Go on with the same command" in caplog.text


def test_a_fold_does_not_say_how_to_go_on_with_itself(
    data: Path, tmp_path: Path, tiny_backbone, monkeypatch, caplog
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("trainer.training.phases.run_phase", stop)
    caplog.set_level("INFO", "trainer")
    with pytest.raises(KeyboardInterrupt):
        cross_validate(data, tmp_path / "cv", tiny(), folds=2)
    assert (unfinished(tmp_path / "cv") / "folds" / "repeat-1-fold-1.unfinished").is_dir()
    assert "repeat-1-fold-1: " in caplog.text, "its other lines are there"
    assert "fit --resume" not in caplog.text
    assert "Go on with the same command and --resume" in caplog.text


# --- as it is typed

TYPED = (
    *("--backbone", "mobilenetv3small", "--weights", "none", "--image-size", "32"),
    *("--batch-size", "8", "--head-epochs", "1", "--finetune-epochs", "0", "--folds", "2"),
)


def typed(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "trainer.cli", "crossval", *map(str, arguments), *TYPED]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(crossval.__file__).parents[1],
        **options,
    )


def check_typed(data: Path, out: Path, *arguments: object) -> None:
    child = typed(data, "--out", out, "--json", *arguments)
    stdout, stderr = child.communicate(timeout=600)
    assert child.returncode == 0, stderr
    found = json.loads(stdout)
    assert found["pooled"]["n"] == 17
    assert "repeat-1-fold-2: " in stderr
    assert found == json.loads((out / "crossval.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["loky", "ray", "dask"])
def test_two_processes(backend: str, data: Path, tmp_path: Path) -> None:
    """On this machine; ray and dask make a cluster of their own."""
    module = {"loky": "joblib", "ray": "ray", "dask": "distributed"}[backend]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    check_typed(data, tmp_path / "cv", "--backend", backend, "--jobs", 2)


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_running(data: Path, tmp_path: Path) -> None:
    """One SIGINT to the whole process group, as a terminal sends it."""
    out = tmp_path / "cv"
    child = typed(data, "--out", out, "--jobs", 2, start_new_session=True)
    folds = unfinished(out) / "folds"
    deadline = time.monotonic() + 300
    while not list(folds.glob("*.unfinished")):
        assert time.monotonic() < deadline
        assert child.poll() is None, child.communicate()
        time.sleep(0.2)
    os.killpg(child.pid, signal.SIGINT)
    _, stderr = child.communicate(timeout=120)
    assert child.returncode == 130, stderr
    assert "the same command and --resume" in stderr
    assert "Traceback" not in stderr
    deadline = time.monotonic() + 120
    while True:
        try:
            os.killpg(child.pid, 0)
        except ProcessLookupError:
            break
        assert time.monotonic() < deadline, "a process of the group is left"
        time.sleep(0.2)
    check_typed(data, out, "--resume")
