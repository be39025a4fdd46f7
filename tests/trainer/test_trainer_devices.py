"""Several devices, several processes, several backends: the same training."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import trainer.workers
from edge_runtime.errors import DataError, DatasetError, SystemFailure, UsageError
from trainer.config.schema import Config
from trainer.crossval.crossval import cross_validate
from trainer.data.batches import Division, FeatureBatches, PlainBatches
from trainer.devices import is_out_of_memory
from trainer.distribution import choose_distribution
from trainer.workers import Cluster, broadcast_files, is_worker, read_cluster, together

#: Trains a network of two convolutions, or goes on, or dies after the third epoch; the arguments
#: are what to do, the folders, the strategy and the file of the weights.
_TRAIN = """
import sys
task, data, out, strategy, devices, backend, weights = sys.argv[1:]
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
from trainer.training.callbacks import SaveProgress
from trainer.training.fit import fit, resume
sys.path.insert(0, "tests/trainer")
import tiny

tiny.install()
if not os.path.exists(weights):
    keras.utils.set_random_seed(0)
    tiny.build(False, None, keras.Input((32, 32, 3), name="image")).save_weights(weights)
options = {"model.backbone": "tiny", "model.weights": weights, "image.size": 32, "batch_size": 8}
options["model.fine_tune_at"] = 0.0  # several processes look it up late
assignments = ["head.epochs=2", "finetune.epochs=2", "model.dropout=0", "finetune.learning_rate=0.01"]
assignments += [f"strategy={strategy}", "callbacks.early_stopping_patience=0"]
save = SaveProgress.on_epoch_end
def die(self, epoch, logs=None):
    save(self, epoch, logs)
    if len(self._progress.rows) == 3:
        os.kill(os.getpid(), 9)
if task == "die":
    SaveProgress.on_epoch_end = die
if task == "resume":
    resume(out)
else:
    fit(data, out, load_config(None, options, assignments))
assert backend == "tensorflow" or "tensorflow" not in sys.modules
"""


#: Prints which batches of the third and fourth epoch reach a network, and the mean of those of the
#: validation.
_FEED = """
import os
os.environ["KERAS_BACKEND"] = "jax"
import json
import numpy as np
from edge_runtime.backends.full_model import import_keras
from trainer.data.feeds import following, training_feed, validation_feed
keras = import_keras()

class Numbered:
    steps = 20
    def batch(self, epoch, step):
        return np.array([[100.0 * epoch + step]], "f4"), np.zeros((1, 1), "f4")

same = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
model = keras.Sequential([keras.Input((1,)), same])
model.compile(keras.optimizers.SGD(0.0), "mae")
sums = []
note = lambda step, logs: sums.append(logs["loss"] * (step + 1))
feed = training_feed(Numbered(), 1, 2)
done = model.fit(
    feed, validation_data=validation_feed(Numbered(), 1), initial_epoch=2, epochs=4, shuffle=False,
    verbose=0, callbacks=[*following(feed), keras.callbacks.LambdaCallback(on_train_batch_end=note)])
values = [np.diff([0, *epoch]).round().astype(int).tolist() for epoch in (sums[:20], sums[20:])]
print(json.dumps([values, done.history["val_loss"]]))
"""


def weights_of(run: Path) -> Path:
    return run.with_name(f"{run.name}.weights.h5")


def command(task: str, data: Path, out: Path, *more: object) -> list[str]:
    return [sys.executable, "-c", _TRAIN, *map(str, (task, data, out, *more))]


def train(data: Path, out: Path, strategy: str, devices: int, backend: str) -> Path:
    """Train in a process of its own."""
    done = subprocess.run(
        command("fit", data, out, strategy, devices, backend, weights_of(out)),
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return out


def variables(count: object, number: object, addresses: str = "127.0.0.1:1") -> dict[str, str]:
    """What tells a process of the others."""
    return {
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": addresses,
        "KERAS_DISTRIBUTION_NUM_PROCESSES": str(count),
        "KERAS_DISTRIBUTION_PROCESS_ID": str(number),
    }


@contextlib.contextmanager
def workers(*commands: list[str], **environment: str) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that train together; none outlives the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    running = [
        subprocess.Popen(
            arguments,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | variables(len(commands), number, address) | environment,
            cwd=Path(__file__).parents[2],
        )
        for number, arguments in enumerate(commands)
    ]
    try:
        yield running
    finally:
        for process in running:
            process.kill()
            process.wait()


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
    """24 photos to train, 15 to validate, which two devices cannot halve, of three classes."""
    root = tmp_path_factory.mktemp("data")
    for seed, (part, count) in enumerate((("train", 8), ("val", 5))):
        make_photos(root / part, count=count, seed=seed)
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


needs_jax = pytest.mark.skipif(not find_spec("jax"), reason="jax is not installed")


@pytest.fixture(scope="module")
def alone_on_jax(data: Path, tmp_path_factory) -> Path:
    """Trained on one device with JAX."""
    return train(data, tmp_path_factory.mktemp("runs") / "jax", "none", 1, "jax")


@needs_jax
def test_jax_trains_without_tensorflow(alone: Path, alone_on_jax: Path) -> None:
    found = json.loads((alone_on_jax / "environment.json").read_text())
    assert (found["backend"], found["strategy"]) == ("jax", "none")
    # Another backend's initial head: not the same figures, but the same course.
    assert len(history(alone_on_jax)) == len(history(alone)) == 4
    assert history(alone_on_jax)[-1][0] < history(alone_on_jax)[0][0], "the loss falls"
    assert probabilities(alone_on_jax).shape == (4, 3)


@needs_jax
def test_batches_reach_jax_in_order() -> None:
    """Keras's own threads would hand on batches of the epoch before."""
    done = subprocess.run(
        [sys.executable, "-c", _FEED],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr[-3000:]
    epochs, validated = json.loads(done.stdout)
    assert epochs == [list(range(200, 220)), list(range(300, 320))]
    assert validated == pytest.approx([9.5, 9.5])


def check_same(run: Path, strategy: str, alone: Path) -> None:
    """The parts of a sum are added in another order: 1e-6 of the history, 1e-7 of a probability."""
    found = json.loads((run / "environment.json").read_text())
    assert (found["backend"], found["strategy"]) == ("jax", strategy)
    np.testing.assert_allclose(history(run), history(alone), atol=1e-5)
    np.testing.assert_allclose(probabilities(run), probabilities(alone), atol=1e-5)


@needs_jax
def test_two_devices_on_jax_train_as_one(data: Path, alone_on_jax: Path, tmp_path: Path) -> None:
    check_same(train(data, tmp_path / "both", "mirrored", 2, "jax"), "mirrored", alone_on_jax)


@needs_jax
def test_two_processes_train_as_one(data: Path, alone_on_jax: Path, tmp_path: Path) -> None:
    """The second process reads the photos and writes nothing, wherever its run would be."""
    own = ("multi-worker", 1, "jax", weights_of(alone_on_jax))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with workers(
        command("fit", data, tmp_path / "run", *own),
        command("fit", data, tmp_path / "elsewhere" / "run", *own),
        TMPDIR=str(temporary),
    ) as running:
        for process in running:
            output, errors = process.communicate(timeout=300)
            assert (process.returncode, output) == (0, ""), errors[-3000:]
    check_same(tmp_path / "run", "multi-worker", alone_on_jax)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "temporary"]
    assert not list(temporary.iterdir())


@needs_jax
def test_after_a_process_died_all_go_on(data: Path, alone_on_jax: Path, tmp_path: Path) -> None:
    """Process 0 notices at once, keeps what it has, and hands it to the others in the end."""
    out, own = tmp_path / "run", ("multi-worker", 1, "jax", weights_of(alone_on_jax))
    with workers(command("fit", data, out, *own), command("die", data, out, *own)) as running:
        errors = running[0].communicate(timeout=300)[1]
        assert (running[0].returncode, running[1].wait(timeout=120)) == (6, -9), errors[-3000:]
    assert "Another process of this training has ended" in errors
    assert not out.exists()
    again = [command("resume", data, out, *own)] * 2
    with workers(*again) as running:
        for process in running:
            errors = process.communicate(timeout=300)[1]
            assert process.returncode == 0, errors[-3000:]
    check_same(out, "multi-worker", alone_on_jax)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"KERAS_DISTRIBUTION_PROCESS_ID": ""}, "KERAS_DISTRIBUTION_PROCESS_ID not set"),
        (variables("", "", ""), "JOB_ADDRESSES, KERAS_DISTRIBUTION_NUM_PROCESSES, KERAS_DIST"),
        (variables(2, 2), "KERAS_DISTRIBUTION_PROCESS_ID is 2, of 2 processes"),
        (variables(2, -1), "KERAS_DISTRIBUTION_PROCESS_ID is -1"),
        (variables("two", 0), "KERAS_DISTRIBUTION_NUM_PROCESSES is two"),
        (variables(3, 0, "a:1,b:1"), "KERAS_DISTRIBUTION_NUM_PROCESSES is 3, with 2 addresses"),
        (variables(2, 0, "192.0.2.1"), "KERAS_DISTRIBUTION_JOB_ADDRESSES is 192.0.2.1"),
        (variables(2, 0, "a:1, b"), "KERAS_DISTRIBUTION_JOB_ADDRESSES is a:1, b"),
    ],
)
def test_variables_that_name_no_processes(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], expected: str
) -> None:
    for name, value in (variables(2, 1) | changes).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=expected) as found:
        read_cluster()
    assert "KERAS_DISTRIBUTION_JOB_ADDRESSES=192.0.2.1:12345" in str(found.value), "an example"


def test_variables_that_name_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_worker()
    for name, value in variables(2, 1, "192.0.2.1:12345,[2001:db8::1]:6789").items():
        monkeypatch.setenv(name, value)
    found = read_cluster()
    assert found == Cluster("192.0.2.1:12345", 2, 1)
    assert is_worker()


def test_unknown_ways_are_refused(tmp_path: Path) -> None:
    assert choose_distribution("none").division.groups == 1
    with pytest.raises(UsageError, match="KERAS_BACKEND=jax"):
        choose_distribution("multi-worker")
    with pytest.raises(UsageError, match="--backend ray or dask"):
        cross_validate(tmp_path, tmp_path / "out", Config(strategy="multi-worker"))


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (ValueError("UNKNOWN: Gloo AllGather failed: closed by peer"), SystemFailure, "--resume"),
        (RuntimeError("INTERNAL: NCCL operation failed"), SystemFailure, "--resume"),
        (AssertionError("<array> is not the same on each process."), DataError, "same weights"),
        (ValueError("shapes do not fit"), ValueError, "shapes do not fit"),
        (DatasetError("no photo"), DatasetError, "no photo"),
        (KeyboardInterrupt(), KeyboardInterrupt, "^$"),
    ],
)
def test_one_of_several_processes_ends_at_once(
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    expected: type[BaseException],
    message: str,
) -> None:
    ended: list[BaseException] = []
    monkeypatch.setattr(trainer.workers, "processes", lambda: 2)
    monkeypatch.setattr(trainer.workers, "_end_at_once", ended.append)
    with pytest.raises(expected, match=message), together():
        raise error
    assert [type(one) for one in ended] == [expected]


def test_one_process_sends_to_itself() -> None:
    files = {"a": b"", "b": bytes(range(256))}
    assert broadcast_files(files) == files


def test_processes_share_a_batch() -> None:
    """Together they feed what one process would."""
    features, labels = np.arange(10, dtype=np.float32).reshape(1, 10, 1), np.arange(10) % 2
    whole = FeatureBatches(features, labels, 2, 4, 0, division=Division(2))
    shares = [FeatureBatches(features, labels, 2, 4, 0, None, Division(2, 1, 2, n)) for n in (0, 1)]
    for step in range(whole.steps):
        for array, *parts in zip(
            whole.batch(0, step), *(share.batch(0, step) for share in shares), strict=True
        ):
            np.testing.assert_array_equal(array, np.concatenate(parts))


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_photos_that_cannot_be_divided_count_once(processes: int) -> None:
    """11 photos on 4 devices: one row fills up, and the mean over 12 rows is that of 11 photos."""
    values, labels = np.arange(11, dtype=np.float32), np.arange(11) % 3
    shares = [
        PlainBatches(values, labels, 3, 6, division=Division(4, 1, processes, number))
        for number in range(processes)
    ]
    assert shares[0].steps == 2
    batches = [share.batch(0, step) for step in range(2) for share in shares]
    inputs, targets, weights = map(np.concatenate, zip(*batches, strict=True))
    assert [len(inputs), len(inputs) - len(shares) * len(batches[-1][0])] == [12, 8]
    np.testing.assert_array_equal(inputs[:11], values)
    np.testing.assert_array_equal(targets[:11].argmax(1), labels)
    assert not targets[11:].any() and not weights[11:].any()
    assert (inputs * weights).mean() == pytest.approx(values.mean())


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
