"""The end of a training with a network whose answers are known: figures, files, the page."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import chromium
import numpy as np
import pytest
from PIL import Image

from edge_runtime import rundir
from edge_runtime.classifier import Classifier
from edge_runtime.manifest import ModelInfo, PreprocessSpec
from edge_runtime.preprocess import preprocess
from edge_runtime.rundir import RunDir
from trainer.config.schema import Config
from trainer.data.dataset import Sample
from trainer.evaluation.class_maps import class_maps
from trainer.evaluation.evaluate import evaluate_run
from trainer.evaluation.finish import decide, finish_evaluation
from trainer.evaluation.predictions import Predictions, read_predictions, write_predictions
from trainer.report.html import Report, confusions, history_charts, render

#: Names that a careless page would run, or swallow.
NAMES = ("<script>alert(1)<", "a&b \"q\" 'x'", "猫 Größe")
LEFT_OUT = (
    ("not an image.", "unreadable"),
    ("The same file is used to measure: a.", "leakage"),
    ("The same file is used to measure: b.", "leakage"),
    ("The same file lies in another class: c.", "contradiction"),
)
COLORS = np.array([(230, 60, 60), (60, 200, 60), (60, 60, 230)], float)
SPEC = PreprocessSpec(24, 24)
ROWS = [
    {"phase": phase, "loss": "1.0", "accuracy": 0.5, "val_loss": 0.9, "val_accuracy": value,
     "learning_rate": 1e-3}
    for phase, value in (("head", 0.5), ("head", 0.6), ("finetune", float("nan")))
]  # fmt: skip


def color_model(sharpness: float = 8.0):
    """A network that names the strongest colour; its feature map is the picture, shrunk."""
    from edge_runtime.backends.full_model import import_keras

    keras = import_keras()
    image = keras.Input((SPEC.height, SPEC.width, 3), name="image")
    maps = keras.layers.Conv2D(3, 4, strides=4, use_bias=False, name="map")(image)
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(maps)
    logits = keras.layers.Dense(3, name="logits")(keras.layers.Dropout(0.5)(pooled))
    model = keras.Model(image, keras.layers.Activation("softmax")(logits))
    kernel = np.zeros((4, 4, 3, 3))
    kernel[:, :, range(3), range(3)] = 1 / 16 / 255
    model.get_layer("map").set_weights([kernel])
    model.get_layer("logits").set_weights([np.eye(3) * sharpness, np.zeros(3)])
    return model


def photos(folder: Path, part: str, count: int, random: np.random.Generator) -> Any:
    """``count`` noisy photos a class, some of them nearer to the next colour; decoded."""
    samples = []
    for label, color in enumerate(COLORS):
        for number in range(count):
            path = folder / part / str(label) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            mix = random.uniform(0, 0.62)
            shade = color * (1 - mix) + COLORS[(label + 1) % 3] * mix
            noise = random.normal(0, 20, (30, 40, 3))
            Image.fromarray(np.clip(shade + noise, 0, 255).astype(np.uint8)).save(path)
            samples.append(Sample(str(path), label, "0" * 64))
    images = np.stack([preprocess(sample.path, SPEC) for sample in samples])
    return SimpleNamespace(
        images=images, labels=np.array([s.label for s in samples], np.int32), samples=samples
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole run of the colour network; one test photo of class 0 is labelled as class 2."""
    root, random = tmp_path_factory.mktemp("finish"), np.random.default_rng(0)
    parts = {
        part: photos(root, part, n, random) for part, n in (("train", 6), ("val", 10), ("test", 12))
    }
    clear = parts["test"].samples[0].path
    Image.new("RGB", (40, 30), (230, 60, 60)).save(clear)
    parts["test"].images[0] = preprocess(clear, SPEC)
    parts["test"].labels[0] = 2
    folder, model = root / "run", color_model()
    folder.mkdir()
    left_out = [
        {"part": "train", "path": str(root / f"train/<i>{n}.jpg"), "error": why, "kind": kind}
        for n, (why, kind) in enumerate(LEFT_OUT)
    ]
    info, metrics = finish_evaluation(
        folder, model, parts, ModelInfo(NAMES, SPEC), Config(), ROWS, left_out, {"seed": 0}
    )
    model.save(folder / rundir.MODEL)
    rundir.write_info(folder, info)
    rundir.write_split(folder, [])
    rundir.write_json(folder / rundir.METRICS, metrics)
    (folder / rundir.CONFIG).write_text("seed: 0\n")
    return SimpleNamespace(
        root=root, folder=folder, model=model, parts=parts, info=info, metrics=metrics
    )


def test_metrics_are_plain_json_and_complete(finished):
    metrics = finished.metrics
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    assert list(metrics) == [
        "val", "test", "train", "temperature", "unknown", "class_thresholds",
        "confident_mistakes", "doubtful_hits", "label_errors",
    ]  # fmt: skip
    assert [metrics[part]["n"] for part in ("val", "test", "train")] == [30, 36, 18]
    assert metrics["temperature"]["n"] == 30
    assert set(metrics["unknown"]["parts"]) == {"val", "test"}
    assert metrics["unknown"]["parts"]["val"]["right_lost"] <= 0.05
    for part in ("val", "test"):
        assert set(metrics["class_thresholds"]["parts"][part]) == set(NAMES)
        both = metrics[part]["calibration"]
        assert both["raw"]["ece"] != both["calibrated"]["ece"]
    # A network that is nine times out of ten right should not have an ECE of a coin.
    assert metrics["val"]["calibration"]["calibrated"]["log_loss"] <= metrics["val"]["log_loss"]


def test_predictions_hold_every_photo(finished):
    found = read_predictions(finished.folder / rundir.PREDICTIONS)
    assert {part: found.parts.count(part) for part in set(found.parts)} == {
        "train": 18, "val": 30, "test": 36,
    }  # fmt: skip
    test = found.of("test")
    assert test.paths == [sample.path for sample in finished.parts["test"].samples]
    np.testing.assert_array_equal(test.labels, finished.parts["test"].labels)
    assert test.right.mean() == finished.metrics["test"]["accuracy"]


def test_the_device_gives_the_calibrated_scores_and_the_same_unknowns(finished):
    classifier = Classifier.open(finished.folder)
    with open(finished.folder / rundir.PREDICTIONS, newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["part"] == "val"]
    answers = [classifier.classify(row["path"]) for row in rows]
    for row, answer in zip(rows, answers, strict=True):
        # Six digits in the table, float32 softmax in batches.
        assert answer.calibrated_score == pytest.approx(float(row["calibrated_score"]), rel=1e-5)
    known = finished.metrics["unknown"]["parts"]["val"]
    assert sum(not answer.unknown for answer in answers) == round(known["coverage"] * known["n"])


def test_the_surest_mistakes_and_the_most_doubtful_hits_are_listed(finished):
    """Against the table of all answers, by hand."""
    with open(finished.folder / rundir.PREDICTIONS, newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["part"] != "train"]
    for key, is_right, sign in (("confident_mistakes", False, -1), ("doubtful_hits", True, 1)):
        found = finished.metrics[key]
        chosen = [row for row in rows if (row["label"] == row["answer"]) == is_right]
        scores = sorted((float(row["score"]) for row in chosen), key=lambda score: sign * score)
        # Six digits in the table.
        assert [row["score"] for row in found] == pytest.approx(scores[:12], rel=1e-5)
        by_path = {row["path"]: row for row in chosen}
        for row in found:
            same = {name: by_path[row["path"]][name] for name in ("part", "label", "answer")}
            assert row == {"path": row["path"], **same, "score": row["score"]}
    assert (
        finished.metrics["confident_mistakes"][0]["path"] == finished.parts["test"].samples[0].path
    )


def test_the_planted_label_error_is_the_first_suspect(finished):
    suspects = finished.metrics["label_errors"]["suspects"]
    assert suspects[0]["path"] == finished.parts["test"].samples[0].path
    assert (suspects[0]["label"], suspects[0]["suggestion"]) == (NAMES[2], NAMES[0])
    assert finished.metrics["label_errors"]["count"] == len(suspects)
    flags = [suspect["learned"] for suspect in suspects]
    assert flags == sorted(flags), "training photos come last and are marked"
    assert all(suspect["learned"] == (suspect["part"] == "train") for suspect in suspects)


@pytest.mark.parametrize("there", [True, False])
def test_label_errors_come_from_out_of_fold_answers_where_there_are_some(
    finished, tmp_path, caplog, there
):
    """A file that went away while the network was trained costs its suspects, not the training."""
    every = read_predictions(finished.folder / rundir.PREDICTIONS).of("train", "val")
    probabilities = np.where(np.arange(3) == every.labels[:, None], 0.8, 0.1).astype(np.float32)
    probabilities[4] = 0.05
    probabilities[4, (every.labels[4] + 1) % 3] = 0.9
    file = tmp_path / "oof.csv"
    if there:
        write_predictions(replace(every, probabilities=probabilities), file)
    config = Config.model_validate({"evaluation": {"out_of_fold": str(file)}})
    parts = {part: finished.parts[part] for part in ("train", "val")}
    info = ModelInfo(NAMES, SPEC)
    _, metrics = finish_evaluation(tmp_path, finished.model, parts, info, config, [], [], {})
    paths = [suspect["path"] for suspect in metrics["label_errors"]["suspects"]]
    assert (paths == [every.paths[4]]) == there
    assert ("oof.csv: no such file" in caplog.text) != there


def test_maps_in_closed_form_are_grad_cam(finished):
    from edge_runtime.gradcam import gradcam_function

    pixels = finished.parts["test"].images[5]
    found = class_maps(finished.model)(pixels, [2, 0])
    explain = gradcam_function(finished.model, "map")
    for heat, index in zip(found, (2, 0), strict=True):
        expected = explain(image=pixels[None].astype(np.float32), class_index=np.int32(index))
        # float32 sums in another order.
        np.testing.assert_allclose(heat, expected["heatmap"], rtol=1e-5, atol=1e-7)
    assert found.shape == (2, 6, 6)


def test_another_head_falls_back_to_gradients_and_none_without_a_feature_map():
    from edge_runtime.backends.full_model import import_keras

    layers, keras = import_keras().layers, import_keras()
    image = keras.Input((8, 8, 3))
    maps = layers.Conv2D(4, 3, activation="relu")(image)
    deep = layers.Dense(5, activation="relu")(layers.GlobalAveragePooling2D()(maps))
    model = keras.Model(image, layers.Dense(2, activation="softmax")(deep))
    found = class_maps(model)(np.full((8, 8, 3), 9, np.uint8), [0, 1])
    assert found.shape == (2, 6, 6)
    flat = keras.Model(image, layers.Dense(2, activation="softmax")(layers.Flatten()(image)))
    assert class_maps(flat) is None


def test_a_map_of_a_single_place_is_no_map(finished, tmp_path):
    """The last feature map of a backbone at 32 pixels; it would lie over the photo like a veil."""
    from edge_runtime.backends.full_model import import_keras

    keras = import_keras()
    image = keras.Input((SPEC.height, SPEC.width, 3))
    place = keras.layers.AveragePooling2D(SPEC.height)(image)
    scores = keras.layers.Dense(3, activation="softmax")
    model = keras.Model(image, scores(keras.layers.GlobalAveragePooling2D()(place)))
    scores.set_weights([np.eye(3) / 32, np.zeros(3)])
    assert class_maps(model) is None
    parts = {"train": finished.parts["train"], "val": finished.parts["test"]}
    finish_evaluation(tmp_path, model, parts, ModelInfo(NAMES, SPEC), Config(), [], [], {})
    text = (tmp_path / rundir.REPORT).read_text(encoding="utf-8")
    check_self_contained(text)
    assert '<div class="pictures n1">' in text
    assert "heat maps" not in text


class _Reader(HTMLParser):
    """What a page is made of; unbalanced elements are an error."""

    VOID = {"meta", "img", "br", "hr", "link", "input"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def check_self_contained(text: str) -> _Reader:
    """Nothing that a browser would fetch, run or show as something else."""
    page = _Reader(text)
    assert not re.search(r"https?://|url\(|@import", text)
    assert [tag for tag, _ in page.tags].count("script") == 1
    for tag, attributes in page.tags:
        assert tag not in {"link", "iframe", "object", "embed", "base", "form"}
        assert not any(name.startswith("on") for name in attributes)
        if tag == "img":
            assert str(attributes["src"]).startswith("data:image/jpeg;base64,")
            assert attributes["alt"]
        if tag == "a":
            assert str(attributes["href"]).startswith("#")
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    links = [str(attributes["href"])[1:] for tag, attributes in page.tags if tag == "a"]
    assert len(set(ids)) == len(ids)
    assert set(links) <= set(ids)
    return page


def test_the_page_is_whole_and_everything_is_escaped(finished):
    text = (finished.folder / rundir.REPORT).read_text(encoding="utf-8")
    page = check_self_contained(text)
    shown = " ".join("".join(page.text).split())
    for name in NAMES:
        assert name in shown
    tags = [tag for tag, _ in page.tags]
    assert tags.count("h1") == 1
    assert tags.count("svg") == 5, "three curves, two reliability diagrams"
    assert {"Most confident mistakes", "Suspected label errors", "Thresholds"} <= set(page.text)
    assert "<i>0.jpg" in shown and all(why in shown for why, _ in LEFT_OUT)
    left_out = (
        "4 photos: 1 could not be read, 2 also in a part that measures, 1 also in another class."
    )
    assert left_out in shown
    assert f"{finished.metrics['test']['accuracy']:.1%}" in shown
    wrong = 36 + 30 - round(finished.metrics["test"]["accuracy"] * 36)
    wrong -= round(finished.metrics["val"]["accuracy"] * 30)
    cards = text.count('<li class="card">')
    assert wrong and cards == min(wrong, 12) + 12
    # Each mistake: photo, map of the answer, map of the label; each hit: photo and one map.
    suspects = min(finished.metrics["label_errors"]["count"], 24)
    assert tags.count("img") == 3 * min(wrong, 12) + 2 * 12 + suspects


def test_the_script_is_the_one_that_the_policy_allows(finished):
    import base64
    import hashlib

    text = (finished.folder / rundir.REPORT).read_text(encoding="utf-8")
    script = text.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text
    assert "default-src 'none'" in text


def test_photos_that_are_gone_leave_a_page_without_them(finished, tmp_path):
    part = finished.parts["val"]
    lost = [Sample(str(tmp_path / f"{i}.png"), s.label, "") for i, s in enumerate(part.samples)]
    parts = {
        "train": part,
        "val": SimpleNamespace(images=part.images, labels=part.labels, samples=lost),
    }
    finish_evaluation(tmp_path, finished.model, parts, ModelInfo(NAMES, SPEC), Config(), [], [], {})
    text = (tmp_path / rundir.REPORT).read_text(encoding="utf-8")
    check_self_contained(text)
    assert "The photo cannot be read any more." in text
    assert "Training</h2>" not in text, "no history, no curves"


def test_a_validation_part_without_mistakes(tmp_path):
    """Nothing can be said about the temperature; thresholds and page are there all the same."""
    labels = np.array([0, 1, 2] * 5)
    probabilities = np.full((15, 3), 0.1, np.float32)
    probabilities[np.arange(15), labels] = 0.8
    val = Predictions(NAMES, [f"{i}.png" for i in range(15)], ["val"] * 15, labels, probabilities)
    found = decide({"val": val}, Config().evaluation)
    assert found["temperature"]["value"] == 1.0
    assert found["unknown"]["threshold"] == pytest.approx(0.8, abs=1e-4)
    assert found["unknown"]["parts"]["val"]["coverage"] == 1.0
    rows = found["class_thresholds"]["parts"]["val"]
    assert [rows[name]["threshold"] for name in NAMES] == [0.0] * 3


def test_a_network_that_diverged_is_said_so(finished, tmp_path):
    from edge_runtime.errors import ModelError

    broken = color_model(float("nan"))
    info = ModelInfo(NAMES, SPEC)
    with pytest.raises(ModelError, match="diverged"):
        finish_evaluation(tmp_path, broken, finished.parts, info, Config(), [], [], {})
    assert not any(tmp_path.iterdir()), "nothing was written"


def test_a_network_that_is_never_right_has_no_threshold():
    labels = np.array([0, 1] * 4)
    probabilities = np.tile(np.array([[0.2, 0.2, 0.6]], np.float32), (8, 1))
    val = Predictions(NAMES, [""] * 8, ["val"] * 8, labels, probabilities)
    found = decide({"val": val}, Config().evaluation)
    assert found["unknown"]["threshold"] is None
    assert found["unknown"]["parts"] == {}


def test_evaluate_writes_the_same_figures_and_a_page(finished, tmp_path):
    names = {str(label): name for label, name in enumerate(NAMES)}
    data = tmp_path / "data"
    data.mkdir()
    for label, name in names.items():
        (data / name).symlink_to(finished.root / "val" / label)
    report, oof = tmp_path / "page.html", finished.folder / rundir.PREDICTIONS
    metrics = evaluate_run(RunDir.open(finished.folder), data, report, oof)
    assert {key: metrics[key] for key in finished.metrics["val"]} == finished.metrics["val"]
    known = finished.metrics["unknown"]["parts"]["val"]
    assert metrics["unknown"] == {"threshold": finished.info.output.unknown_threshold} | known
    for key in ("temperature", "class_thresholds"):
        assert metrics[key] is not None
    assert metrics["temperature"] == finished.metrics["temperature"]
    stored = finished.metrics["class_thresholds"]
    # The photos are those on which the thresholds were fitted, so they do the same to them.
    assert metrics["class_thresholds"] == {
        "precision": stored["precision"],
        "parts": dict.fromkeys(("val", "given"), stored["parts"]["val"]),
    }
    mistakes = [row for row in finished.metrics["confident_mistakes"] if row["part"] == "val"]
    scores = [row["score"] for row in metrics["confident_mistakes"]]
    assert scores[: len(mistakes)] == [row["score"] for row in mistakes]
    assert {row["part"] for row in metrics["doubtful_hits"]} == {"given"}
    assert len(metrics["doubtful_hits"]) == 12
    assert metrics["learned"] == 0
    assert metrics["label_errors"]["suspects"][0]["part"] == "test", "from the file"
    page = check_self_contained(report.read_text(encoding="utf-8"))
    assert {tag for tag, _ in page.tags} >= {"svg", "img", "table"}
    words = " ".join("".join(page.text).split())
    assert f"Temperature {metrics['temperature']['value']:.3f}" in words
    assert f"For a precision of {stored['precision']:.1%}" in words
    assert "given: precision" in words


def page_of(classes: int) -> tuple[str, dict[str, Any], tuple[str, ...]]:
    """A page, its figures and its class names: all right but for the first two classes."""
    names = tuple(f"class {i} 胡萝卜 {'long ' * (i % 7)}" for i in range(classes))
    labels = np.arange(classes * 2) % classes
    probabilities = np.eye(classes)[(labels + (labels < 2)) % classes]
    from trainer.evaluation.evaluate import part_metrics

    some = Predictions(names, [""] * len(labels), ["val"] * len(labels), labels, probabilities)
    metrics = part_metrics(some, None)
    page = Report("t", "", names, {"val": metrics}, counts={n: {"val": 2} for n in names})
    return render(page), metrics, names


@pytest.mark.parametrize("classes", [2, 70])
def test_a_page_of_few_and_of_many_classes(classes):
    text, metrics, names = page_of(classes)
    check_self_contained(text)
    assert ('class="confusion"' in text) == (classes == 2), "70 columns are no table"
    assert confusions(metrics, names)[0][:3] == (names[0], names[1], 2)


def test_curves_have_gaps_where_a_value_is_missing():
    charts = history_charts([*ROWS, {"phase": "finetune", "loss": 1.0}])
    assert len(charts) == 3
    # The rates: three points in a row, then nothing.
    assert charts[2].count("<circle") == 3
    assert ">finetune</text>" in charts[0]
    assert history_charts([]) == []


@pytest.mark.skipif(chromium.find() is None, reason="Chromium is not installed")
def test_the_page_in_a_browser(finished, tmp_path):
    """No width, in light or dark, scrolls sideways; nothing is fetched; no error; sorting sorts."""
    browser = chromium.find()
    assert browser
    file = finished.folder / rundir.REPORT
    with chromium.Page(browser, tmp_path / "profile") as page:
        for classes in (2, 40, 70):
            (tmp_path / "many.html").write_text(page_of(classes)[0], encoding="utf-8")
            page.open(tmp_path / "many.html", 390)
            assert page.evaluate("document.documentElement.scrollWidth") == 390
        for width, dark in ((1280, False), (390, False), (390, True), (320, False)):
            page.open(file, width, dark=dark)
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= page.evaluate("innerWidth") == width
            requests = [
                event["params"]["request"]["url"][:5]
                for event in page.events
                if event["method"] == "Network.requestWillBeSent"
            ]
            assert set(requests) <= {"file:", "data:"} and requests.count("file:") == 1
            errors = {"Log.entryAdded", "Runtime.exceptionThrown"}
            assert not [event for event in page.events if event["method"] in errors]
        background = "getComputedStyle(document.body).backgroundColor"
        light = page.evaluate(background)
        page.open(file, 1280, dark=True)
        assert page.evaluate(background) != light
        page.evaluate("[...document.images].forEach(i => i.loading = 'eager')")
        decoded = (
            "Promise.all([...document.images].map(i => i.decode().then(() => i.naturalWidth)))"
        )
        widths = page.evaluate(decoded)
        assert len(widths) == file.read_text(encoding="utf-8").count("<img ")
        assert set(widths) == {40}, "a small photo is not enlarged"
        recall = "[...document.querySelectorAll('#classes tbody tr')].map(r => parseFloat(r.cells[2].textContent))"
        page.evaluate("document.querySelectorAll('#classes th button')[2].click()")
        assert page.evaluate(recall) == sorted(page.evaluate(recall))
        page.evaluate("document.querySelectorAll('#classes th button')[2].click()")
        assert page.evaluate(recall) == sorted(page.evaluate(recall), reverse=True)


@pytest.mark.skipif(
    subprocess.run([sys.executable, "-c", "import jax"], capture_output=True).returncode != 0,
    reason="JAX is not installed",
)
def test_without_tensorflow(tmp_path):
    """The end of a training on Keras's JAX backend, with TensorFlow out of reach."""
    code = f"""
import sys
sys.modules["tensorflow"] = None
sys.path[:0] = [{str(Path(__file__).parent)!r}]
from pathlib import Path
import numpy as np
import test_trainer_finish as t
root = Path({str(tmp_path)!r})
random = np.random.default_rng(0)
parts = {{part: t.photos(root, part, 3, random) for part in ("train", "val")}}
(root / "run").mkdir()
info, metrics = t.finish_evaluation(
    root / "run", t.color_model(), parts, t.ModelInfo(t.NAMES, t.SPEC), t.Config(), t.ROWS, [], {{}})
assert metrics["test"] is None and metrics["val"]["n"] == 9
text = (root / "run" / "report.html").read_text(encoding="utf-8")
assert text.count("<img ") >= 2 * 9, "heat maps need no gradients"
import keras
assert keras.backend.backend() == "jax"
"""
    import os

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True,
        env=os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
