"""Two runs on the same photos; their networks name colours, so every answer is known."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from edge_runtime import rundir
from edge_runtime.confidence import mcnemar
from edge_runtime.errors import DatasetError, UsageError
from edge_runtime.files import sha256_file
from edge_runtime.manifest import ModelInfo, PreprocessSpec
from edge_runtime.rundir import RunDir, SplitRow
from trainer.cli import cli
from trainer.evaluation.compare import compare_runs
from trainer.evaluation.compare_table import format_comparison, verdict

COLORS = {"red": (220, 30, 30), "green": (30, 220, 30), "blue": (30, 30, 220)}


def write_run(folder, names, rows, colors, size=16, config="seed: 0\n"):
    """A run that takes ``colors[i]`` for class ``names[i]``."""
    from edge_runtime.backends.full_model import import_keras

    keras = import_keras()
    image = keras.Input((size, size, 3))
    mean = keras.layers.GlobalAveragePooling2D()(image)
    model = keras.Model(image, keras.layers.Dense(len(names), activation="softmax")(mean))
    kernel = np.stack([np.array(COLORS[color]) / 5000 for color in colors], 1)
    model.layers[-1].set_weights([kernel, np.zeros(len(names))])
    folder.mkdir()
    model.save(folder / rundir.MODEL)
    rundir.write_info(folder, ModelInfo(tuple(names), PreprocessSpec(size, size)))
    rundir.write_split(folder, rows)
    rundir.write_json(folder / rundir.METRICS, {"val": None, "test": None})
    rundir.write_json(folder / rundir.ENVIRONMENT, {"seconds": 12.5})
    (folder / rundir.CONFIG).write_text(config)
    (folder / rundir.HISTORY).write_text("epoch,loss\n1,2\n2,1\n")
    return RunDir.open(folder)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Six photos of each colour, each of its own shade."""
    root = tmp_path_factory.mktemp("photos")
    for name, color in COLORS.items():
        (root / name).mkdir()
        for number in range(6):
            shade = tuple(min(255, value + number) for value in color)
            Image.new("RGB", (30, 20), shade).save(root / name / f"{number}.png")
    return root


def rows(photos, part="test", names=tuple(COLORS), numbers=range(6)):
    return [
        SplitRow(str(path), sha256_file(path), name, part)
        for name in names
        for path in (photos / name / f"{number}.png" for number in numbers)
    ]


@pytest.fixture(scope="module")
def good(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("good") / "run"
    config = "seed: 1\nhead:\n  epochs: 3\n  rate: 1\n"
    return write_run(folder, list(COLORS), rows(photos), list(COLORS), 20, config)


@pytest.fixture(scope="module")
def bad(photos, tmp_path_factory):
    """Takes green for blue and blue for green."""
    folder = tmp_path_factory.mktemp("bad") / "run"
    config = "seed: 0\nhead:\n  epochs: 3\n"
    return write_run(folder, list(COLORS), rows(photos), ["red", "blue", "green"], 16, config)


def test_figures_counted_by_hand(good, bad):
    found = compare_runs(bad, good)
    assert json.loads(json.dumps(found)) == found
    assert (found["n"], found["left_out"]) == (18, {})
    assert (found["a"]["accuracy"], found["b"]["accuracy"]) == (6 / 18, 1.0)
    assert found["mcnemar"] == {"better": 12, "worse": 0, "p_value": pytest.approx(2 / 2**12)}
    assert found["difference"]["value"] == pytest.approx(12 / 18)
    assert 0 < found["difference"]["low"] < 12 / 18 < found["difference"]["high"] <= 1
    assert found["per_class"]["green"] == {
        "support": 6, "recall_a": 0.0, "recall_b": 1.0, "better": 6, "worse": 0,
    }  # fmt: skip
    assert found["per_class"]["red"]["better"] == 0
    assert {row["change"] for row in found["changed"]} == {"better"}
    assert (found["a"]["epochs"], found["a"]["seconds"], found["a"]["size"]) == (2, 12.5, 16)
    assert found["a"]["bytes"] == bad.model_path.stat().st_size
    assert found["config"] == {"seed": [0, 1], "head.rate": [None, 1]}
    assert verdict(found) == "B is better"
    back = compare_runs(good, bad)
    assert verdict(back) == "A is better"
    assert {row["change"] for row in back["changed"]} == {"worse"}
    assert verdict(compare_runs(good, good)) == "no difference that these photos can show"


def test_photos_that_are_not_fair_to_both_are_left_out_with_the_reason(photos, tmp_path):
    own = tmp_path / "photos"
    shutil.copytree(photos, own)
    reds, greens, blues = (rows(own, names=(name,)) for name in COLORS)
    learned = [SplitRow(r.path, r.sha256, r.label, "train") for r in reds[:2]]
    relabelled = [SplitRow(r.path, r.sha256, "blue", "test") for r in greens[:1]]
    first = write_run(tmp_path / "a", list(COLORS), reds + greens + blues[:5], list(COLORS))
    second = write_run(
        tmp_path / "b",
        list(COLORS),
        learned + reds[2:] + relabelled + greens[1:] + blues,
        list(COLORS),
    )
    (own / "blue" / "0.png").unlink()
    Image.new("RGB", (9, 9)).save(own / "blue" / "1.png")
    found = compare_runs(first, second)
    assert found["left_out"] == {
        "in the training or validation part of a run": 2,
        "another label in each run": 1,
        "in the test part of one run only": 1,
        "file gone": 1,
        "changed since the training": 1,
    }
    assert found["n"] == 18 - 6
    text = format_comparison(found)
    assert "left out: 2 in the training or validation part of a run" in text


def test_the_same_photos_elsewhere_are_found_by_content(photos, good, tmp_path):
    """Run B was made on a copy that is gone; the photos of A are the same."""
    moved = [SplitRow(f"/gone/{r.path}", r.sha256, r.label, r.part) for r in rows(photos)]
    second = write_run(tmp_path / "b", list(COLORS), moved, list(COLORS))
    assert compare_runs(second, good)["n"] == 18


def test_other_classes_are_compared_on_the_shared_ones(photos, good, tmp_path):
    """B knows two of the classes, in another order."""
    second = write_run(
        tmp_path / "b", ["green", "red"], rows(photos, names=("red", "green")), ["green", "red"]
    )
    found = compare_runs(good, second, photos)
    assert found["n"] == 12
    assert found["left_out"] == {"of a class that not both runs know": 6}
    assert found["classes"] == {"shared": ["red", "green"], "only_a": ["blue"], "only_b": []}
    assert found["b"]["accuracy"] == 1.0
    assert "knows 'blue'" in format_comparison(found)
    third = write_run(tmp_path / "c", ["cat", "dog"], [], ["red", "blue"])
    with pytest.raises(UsageError, match="share no class"):
        compare_runs(good, third)


def test_nothing_to_compare_on(photos, good, tmp_path):
    second = write_run(tmp_path / "b", list(COLORS), rows(photos, "val"), list(COLORS))
    with pytest.raises(DatasetError, match="18 in the training or validation part"):
        compare_runs(good, second)
    empty = write_run(tmp_path / "c", list(COLORS), [], list(COLORS))
    with pytest.raises(DatasetError, match="there are none"):
        compare_runs(empty, empty)


def test_named_photos_that_a_run_has_learned_are_counted(photos, good, tmp_path):
    second = write_run(tmp_path / "b", list(COLORS), rows(photos, "train"), list(COLORS))
    found = compare_runs(good, second, photos)
    assert (found["a"]["learned"], found["b"]["learned"]) == (0, 18)


def test_an_old_run_without_history_and_environment(photos, bad, good, tmp_path):
    shutil.copytree(bad.path, tmp_path / "old")
    (tmp_path / "old" / rundir.HISTORY).unlink()
    (tmp_path / "old" / rundir.ENVIRONMENT).unlink()
    found = compare_runs(RunDir.open(tmp_path / "old"), good)
    assert (found["a"]["epochs"], found["a"]["seconds"]) == (None, None)
    assert "epochs" not in format_comparison(found).splitlines()[1]
    (tmp_path / "old" / rundir.ENVIRONMENT).write_text("[cut off")
    assert RunDir.open(tmp_path / "old").environment() == {}
    assert good.environment() == {"seconds": 12.5}


def test_command(good, bad):
    def run(*more):
        return CliRunner().invoke(
            cli, ["compare", str(bad.path), str(good.path), *more], standalone_mode=False
        )

    text = run()
    assert text.exit_code == 0, text.output
    assert "B - A: +66.7%" in text.stdout and "McNemar p = 0.000488: B is better" in text.stdout
    assert "head.rate: None -> 1" in text.stdout
    assert json.loads(run("--json").stdout)["mcnemar"]["p_value"] == pytest.approx(mcnemar(12, 0))
