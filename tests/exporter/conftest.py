"""A small run, one export of it that most tests read, and a way to export it again at once.

The network is no zoo model: it has the layers that exports stumble over (Rescaling and
Normalization, whose constants tf2onnx took for inputs; padding, depthwise and residual blocks,
swish, squeeze-and-excite) and converts in a second.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge_runtime.files import find_photos, sha256_file
from edge_runtime.manifest import ModelInfo, PreprocessSpec, artifact_name
from edge_runtime.preprocess import preprocess
from edge_runtime.rundir import SplitRow, write_info, write_json, write_split

SIZE = 32
CLASSES = ("blue dots", "green", "red stripes")
COUNTS = {"train": 12, "val": 6, "test": 1}


def _network(keras: Any) -> Any:
    """Random weights and BatchNorm statistics of working size; the head is still to be fitted."""
    layers = keras.layers
    random = np.random.default_rng(0)

    def block(x: Any, filters: int) -> Any:
        y = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        y = layers.Activation("swish")(layers.BatchNormalization()(y))
        weight = layers.GlobalAveragePooling2D(keepdims=True)(y)
        weight = layers.Conv2D(y.shape[-1], 1, activation="sigmoid")(weight)
        y = layers.Conv2D(filters, 1, use_bias=False)(layers.multiply([y, weight]))
        return layers.BatchNormalization()(y)

    image = keras.Input((SIZE, SIZE, 3), name="image")
    x = layers.Rescaling(1 / 255)(image)
    x = layers.Normalization(mean=[0.485, 0.456, 0.406], variance=[0.052, 0.050, 0.051])(x)
    x = layers.ZeroPadding2D(((0, 1), (0, 1)))(x)
    x = layers.Conv2D(16, 3, 2, use_bias=False)(x)
    x = layers.Activation("swish")(layers.BatchNormalization()(x))
    x = block(x, 24)
    x = layers.add([x, block(x, 24)])
    x = layers.Conv2D(64, 1, use_bias=False)(x)
    x = layers.Activation("swish", name="top_activation")(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(0.2)(x)
    x = layers.Dense(len(CLASSES), name="logits")(x)
    x = layers.Softmax(name="probabilities", dtype="float32")(x)
    model = keras.Model(image, x)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            n = layer.gamma.shape[0]
            gamma, beta = random.uniform(0.8, 1.2, n), random.normal(0, 0.2, n)
            mean, variance = random.normal(0, 0.1, n), random.uniform(0.5, 1.5, n)
            layer.set_weights([gamma, beta, mean, variance])
        elif "conv" in layer.name:
            first, *bias = layer.get_weights()
            fan_in = np.prod(first.shape[:2]) * (1 if "depthwise" in layer.name else first.shape[2])
            layer.set_weights([random.normal(0, (2 / fan_in) ** 0.5, first.shape), *bias])
    return model


def _fit_head(keras: Any, model: Any, pixels: np.ndarray, labels: np.ndarray) -> None:
    """Least squares on the pooled features: at once, and right on most photos."""
    features = keras.Model(model.input, model.get_layer("pool").output)(pixels).numpy()
    targets = 6.0 * np.eye(len(CLASSES))[labels]
    design = np.c_[features, np.ones(len(features))]
    ridge = 0.1 * np.eye(design.shape[1])
    solution = np.linalg.solve(design.T @ design + ridge, design.T @ targets)
    model.get_layer("logits").set_weights([solution[:-1], solution[-1]])


@pytest.fixture(scope="session")
def run(make_photos: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run directory with its photos; read-only."""
    from edge_runtime.backends.full_model import import_keras

    keras = import_keras()
    keras.utils.set_random_seed(0)
    home = tmp_path_factory.mktemp("exporter")
    rows = []
    for seed, (part, count) in enumerate(COUNTS.items()):
        folder = make_photos(home / "photos" / part, CLASSES, count, seed)
        rows += [
            SplitRow(path, sha256_file(path), Path(path).parent.name, part)
            for path in find_photos(folder)
        ]
    info = ModelInfo(CLASSES, PreprocessSpec(SIZE, SIZE))
    train = [row for row in rows if row.part == "train"]
    pixels = np.stack([preprocess(row.path, info.preprocess) for row in train])
    labels = np.array([CLASSES.index(row.label) for row in train])
    model = _network(keras)
    _fit_head(keras, model, pixels.astype(np.float32), labels)
    folder = home / "tiny"
    folder.mkdir()
    model.save(folder / "model.keras")
    write_info(folder, info)
    write_split(folder, rows)
    (folder / "config.yaml").write_text("backbone: tiny\n", encoding="utf-8")
    metrics = {"val": {"n": 18, "accuracy": 1.0, "per_class": {"green": {}}}, "test": None}
    write_json(folder / "metrics.json", metrics)
    return folder


@pytest.fixture
def own_run(run: Path, tmp_path: Path) -> Path:
    """A copy of the run that a test may spoil."""
    return Path(shutil.copytree(run, tmp_path / "own"))


@pytest.fixture(scope="session")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The run exported to every format: ``bundle`` (a path, read-only), ``report`` and ``plain``.

    ``plain`` holds the files without descriptions, and the Keras model's answers.
    """
    from exporter import package
    from exporter.conversion import Converted, Converter

    home = tmp_path_factory.mktemp("exported")
    out, plain = home / "bundle", home.parent / "plain"
    plain.mkdir()

    class Recorder(Converter):
        def convert(self, fmt: str, *photos: Any) -> Converted:
            converted = super().convert(fmt, *photos)
            copy_any(converted.file, plain / converted.file.name)
            write_json(plain / f"{fmt}.json", dict(converted.notes))
            return converted

        def scores(self, pixels: Path, count: int) -> np.ndarray:
            found = super().scores(pixels, count)
            np.save(plain / f"scores-{pixels.stem}.npy", found)
            return found

        def heatmaps(
            self, pixels: Path, photos: Sequence[int], classes: Sequence[int]
        ) -> np.ndarray:
            found = super().heatmaps(pixels, photos, classes)
            if len(photos) > 1:  # those of the comparison, not of a photo that changed its mind
                np.save(plain / "heatmaps.npy", found)
            return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(package, "Converter", Recorder)
        report = package.export_bundle(run, out, ["all"])
    return SimpleNamespace(bundle=out, report=report, plain=plain)


@pytest.fixture(scope="session")
def float32(exported: SimpleNamespace) -> bytes:
    """The float32 TFLite file of the small network, without its description."""
    path: Path = exported.plain / f"plain-{artifact_name('tflite-fp32')}"
    return path.read_bytes()


def copy_any(source: Path, target: Path) -> None:
    """Copy a file or a folder."""
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def copier(plain: Path) -> type:
    """A stand-in for the converting process, which copies the files that ``exported`` kept."""
    from exporter.conversion import Converted

    class Copier:
        heatmap = True

        def __init__(self, _run: Any, _options: Any, work: Path) -> None:
            self._work = work

        def __enter__(self) -> Copier:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def scores(self, pixels: Path, count: int) -> np.ndarray:
            found: np.ndarray = np.load(plain / f"scores-{pixels.stem}.npy")
            assert len(found) == count
            return found

        def heatmaps(
            self, _pixels: Path, photos: Sequence[int], _classes: Sequence[int]
        ) -> np.ndarray:
            found: np.ndarray = np.load(plain / "heatmaps.npy")
            return found[list(photos)]

        def convert(self, fmt: str, *_: Any) -> Converted:
            name = f"plain-{artifact_name(fmt)}"
            copy_any(plain / name, self._work / name)
            notes = json.loads((plain / f"{fmt}.json").read_text(encoding="utf-8"))
            return Converted(self._work / name, notes)

    return Copier


@pytest.fixture
def instant(exported: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports take the files of ``exported`` instead of converting again."""
    from exporter import package

    monkeypatch.setattr(package, "Converter", copier(exported.plain))


@pytest.fixture
def shared() -> Path:
    """The folder of real photos, models and weights."""
    place = os.environ.get("EDGE_CLASSIFY_SHARED")
    folder = Path(place) if place else Path(__file__).parents[3] / "shared"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checksums that one test has seen are unknown to the next."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
