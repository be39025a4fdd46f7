"""How far a training has come: what goes into the file comes out of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.backends.full_model import import_keras
from edge_runtime.errors import ModelError
from trainer.training.progress import Progress


def network(units: int = 2, mixed: bool = False):
    keras = import_keras()
    keras.utils.set_random_seed(0)
    policy = "mixed_float16" if mixed else "float32"
    layers = [
        keras.Input((3,)),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(units, dtype=policy),
        keras.layers.BatchNormalization(),
    ]
    model = keras.Sequential(layers)
    optimizer = keras.optimizers.AdamW(1e-2, weight_decay=0.1, use_ema=True)
    if mixed:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=8.0)
    model.compile(optimizer, "mse", jit_compile=False)
    return model


X, Y = np.random.RandomState(0).rand(2, 8, 3).astype("f4")


@pytest.mark.parametrize("mixed", [False, True])
def test_a_network_goes_on_as_if_it_had_not_stopped(mixed: bool, tmp_path: Path) -> None:
    """Optimizer, loss scale, moving averages and the seed of the dropout are all in the file."""
    first = network(mixed=mixed)
    for _ in range(3):
        first.train_on_batch(X, Y[:, :2])
    Progress(tmp_path / "state.npz").save("head", 1, first, [])
    for _ in range(3):
        first.train_on_batch(X, Y[:, :2])
    again = network(mixed=mixed)
    again.train_on_batch(X, Y[:, :2])  # something else
    Progress(tmp_path / "state.npz").restore(again, [])
    for _ in range(3):
        again.train_on_batch(X, Y[:, :2])
    for one, other in zip(
        first.variables + first.optimizer.variables,
        again.variables + again.optimizer.variables,
        strict=True,
    ):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_what_callbacks_remember(tmp_path: Path) -> None:
    keras, model = import_keras(), network()
    early = keras.callbacks.EarlyStopping(monitor="val_loss", patience=5)
    early.on_train_begin()
    early.wait, early.best, early.best_epoch = 2, np.float32(0.25), 7
    Progress(tmp_path / "state.npz").save("head", 9, model, [early, keras.callbacks.History()])
    other = keras.callbacks.EarlyStopping(monitor="val_loss", patience=5)
    other.on_train_begin()
    progress = Progress(tmp_path / "state.npz")
    progress.restore(model, [other])
    assert (other.wait, other.best, other.best_epoch) == (2, 0.25, 7)
    assert (progress.epoch("head"), progress.epoch("finetune")) == (9, 0)


def test_rows_phases_and_the_batch(tmp_path: Path) -> None:
    file, model = tmp_path / "state.npz", network()
    progress = Progress(file)
    assert (progress.rows, progress.result("head"), progress.batch_size(32)) == ([], None, 32)
    progress.rows.append({"epoch": 1, "loss": float("nan")})
    progress.halve_batch(16)
    model.stop_training = True
    progress.save("head", 1, model, [])
    found = Progress(file)
    assert found.stopped("head") and not found.stopped("finetune")
    assert (len(found.rows), found.batch_size(32)) == (1, 16)
    found.finish("head", {"better": True})
    last = Progress(file)
    assert last.result("head") == {"better": True}
    assert (last.epoch("head"), last.stopped("head")) == (0, False)
    assert len(last.rows) == 1
    assert last.seconds > progress.seconds / 2 > 0


def test_another_network_is_refused(tmp_path: Path) -> None:
    Progress(tmp_path / "state.npz").save("head", 1, network(2), [])
    with pytest.raises(ModelError, match="another version"):
        Progress(tmp_path / "state.npz").restore(network(3), [])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"no zip at all"])
def test_a_damaged_file_is_told(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "state.npz").write_bytes(content)
    with pytest.raises(ModelError, match=r"damaged.*--overwrite"):
        Progress(tmp_path / "state.npz")


def test_a_killed_process_leaves_the_earlier_state_or_the_next(tmp_path: Path) -> None:
    """One process writes as fast as it can; killed, it leaves a file that can be read."""
    code = (
        "import sys; from pathlib import Path; import numpy as np\n"
        "from trainer.training.progress import Progress\n"
        "class Model:\n"
        "    stop_training, metrics_variables, trainable_weights = False, [], []\n"
        "    variables = [np.full((300, 1000), 0.0)]\n"
        "    class optimizer: built, variables = True, []\n"
        "progress = Progress(Path(sys.argv[1]))\n"
        "import trainer.training.progress; trainer.training.progress.to_numpy = np.asarray\n"
        "for epoch in range(1, 10**6):\n"
        "    Model.variables[0][:] = epoch\n"
        "    progress.save('head', epoch, Model, [])\n"
    )
    file = tmp_path / "state.npz"
    for wait in (0.05, 0.11, 0.17):
        writer = subprocess.Popen([sys.executable, "-c", code, file], cwd=Path(__file__).parents[2])
        deadline = time.monotonic() + 60
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(wait)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        with np.load(file) as found:
            assert (found["0"] == Progress(file).epoch("head")).all()
        file.unlink()
