"""Several devices, several backends: the same training."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.errors import UsageError
from trainer.devices import is_out_of_memory
from trainer.training.distribution import choose_distribution

#: Trains a network of two convolutions; the arguments are the folders and the strategy.
_TRAIN = """
import sys
data, out, strategy, devices, backend = sys.argv[1:]
import os
os.environ["KERAS_BACKEND"] = backend
if backend == "jax":
    class NoTensorFlow:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in ("tensorflow", "tf2onnx"):
                raise ImportError(name)
    sys.meta_path.insert(0, NoTensorFlow())
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
elif int(devices) > 1:
    from edge_runtime.backends.full_model import import_tensorflow
    tf = import_tensorflow()
    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * int(devices)
    tf.config.set_logical_device_configuration(cpu, parts)
from edge_runtime.backends.full_model import import_keras
keras = import_keras()
from trainer.config.io import load_config
from trainer.training.fit import fit
sys.path.insert(0, "tests/trainer")
import tiny

tiny.install()
weights = out + ".weights.h5"
keras.utils.set_random_seed(0)
tiny.build(False, None, keras.Input((32, 32, 3), name="image")).save_weights(weights)
options = {"model.backbone": "tiny", "model.weights": weights, "image.size": 32, "batch_size": 8}
options["model.fine_tune_at"] = 0
assignments = ["head.epochs=2", "finetune.epochs=2", "model.dropout=0", "finetune.learning_rate=0.01"]
assignments += [f"strategy={strategy}", "callbacks.early_stopping_patience=0"]
fit(data, out, load_config(None, options, assignments))
assert backend == "tensorflow" or "tensorflow" not in sys.modules
"""


def train(data: Path, out: Path, strategy: str, devices: int, backend: str) -> Path:
    """Train in a process of its own."""
    arguments = [data, out, strategy, devices, backend]
    done = subprocess.run(
        [sys.executable, "-c", _TRAIN, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return out


def history(run: Path) -> list[list[float]]:
    with open(run / "history.csv", newline="") as stream:
        return [
            [float(row[key]) for key in ("loss", "accuracy", "val_loss", "val_accuracy")]
            for row in csv.DictReader(stream)
        ]


def probabilities(run: Path) -> np.ndarray:
    from edge_runtime.backends.full_model import load_keras_model
    from trainer.evaluation.answers import predict

    random = np.random.RandomState(0)
    return predict(
        load_keras_model(run / "model.keras"),
        random.randint(0, 256, (4, 32, 32, 3)).astype(np.uint8),
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory, make_photos) -> Path:
    """24 photos to train, 10 to validate, of two classes."""
    root = tmp_path_factory.mktemp("data")
    for seed, (part, count) in enumerate((("train", 12), ("val", 5))):
        make_photos(root / part, ("green", "red stripes"), count, seed)
    return root


@pytest.fixture(scope="module")
def alone(data: Path, tmp_path_factory) -> Path:
    """Trained on one device with TensorFlow."""
    return train(data, tmp_path_factory.mktemp("runs") / "alone", "none", 1, "tensorflow")


def test_two_devices_train_as_one(data: Path, alone: Path, tmp_path: Path) -> None:
    both = train(data, tmp_path / "both", "mirrored", 2, "tensorflow")
    assert json.loads((both / "environment.json").read_text())["strategy"] == "mirrored"
    # The gradients of two halves are added in another order.
    np.testing.assert_allclose(history(both), history(alone), atol=2e-5)
    np.testing.assert_allclose(probabilities(both), probabilities(alone), atol=2e-5)


@pytest.mark.skipif(not find_spec("jax"), reason="jax is not installed")
@pytest.mark.parametrize(("strategy", "devices"), [("none", 1), ("mirrored", 2)])
def test_jax_trains_without_tensorflow(
    data: Path, alone: Path, tmp_path: Path, strategy: str, devices: int
) -> None:
    run = train(data, tmp_path / "jax", strategy, devices, "jax")
    found = json.loads((run / "environment.json").read_text())
    assert (found["backend"], found["strategy"]) == ("jax", strategy)
    # Another backend's initial head: not the same figures, but the same course.
    assert len(history(run)) == len(history(alone)) == 4
    assert history(run)[-1][0] < history(run)[0][0], "the loss falls"
    assert probabilities(run).shape == (4, 2)


def test_unknown_ways_are_refused() -> None:
    assert choose_distribution("none").replicas == 1
    with pytest.raises(UsageError, match="KERAS_BACKEND=jax"):
        choose_distribution("multi-worker")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes."), True),
        (ValueError("CUDA_ERROR_OUT_OF_MEMORY: out of memory"), True),
        (ValueError("shapes do not fit"), False),
    ],
)
def test_how_backends_say_that_memory_is_short(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected
