"""What cannot become a bundle: the right error, the old bundle untouched, nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_exporter_conversion import STAND_IN

from edge_runtime.errors import EdgeError, ModelError
from edge_runtime.manifest import ModelInfo
from edge_runtime.rundir import RunDir, write_info
from exporter.package import export_bundle

#: Formats of an export that is refused: one of each converter.
FORMATS = ("tflite-fp32", "onnx-fp32")


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def out(exported: SimpleNamespace, tmp_path: Path) -> Path:
    """A bundle from an earlier export, alone in its folder."""
    return Path(shutil.copytree(exported.bundle, tmp_path / "place" / "out"))


def refused(run: Path, out: Path, error: type[EdgeError], message: str) -> None:
    """Export over a bundle, see it refused, and the bundle as it was with nothing beside it."""
    before = contents(out)
    with pytest.raises(error, match=message):
        export_bundle(run, out, FORMATS, overwrite=True)
    assert contents(out) == before
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def halve(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.keras", r"model\.keras: damaged or cut off"),
        ("metrics.json", r"metrics\.json: not valid JSON"),
        ("preprocess.json", r"preprocess\.json: not valid JSON"),
        ("class_names.json", r"class_names\.json: not valid JSON"),
        ("split.csv", r"split\.csv: damaged or cut off: photo \d+ of \d+ has the part"),
    ],
)
def test_a_file_of_the_run_cut_in_half(own_run: Path, out: Path, name: str, message: str) -> None:
    halve(own_run / name)
    refused(own_run, out, ModelError, message)


def test_photos_cut_off_at_the_end_of_a_line(own_run: Path, out: Path) -> None:
    """No row is damaged: only the count of the run's own figures tells."""
    file = own_run / "split.csv"
    lines = file.read_bytes().splitlines(keepends=True)
    last = max(number for number, line in enumerate(lines) if line.strip().endswith(b",val"))
    file.write_bytes(b"".join(lines[:last]))
    message = r"split\.csv: lists 17 validation photos, metrics\.json counts 18: cut off"
    refused(own_run, out, ModelError, message)


@pytest.mark.parametrize(
    "name", ["model.keras", "split.csv", "metrics.json", "config.yaml", "preprocess.json"]
)
def test_a_file_of_the_run_missing(own_run: Path, out: Path, name: str) -> None:
    (own_run / name).unlink()
    refused(own_run, out, ModelError, rf"not a finished run directory, {name} missing")


def test_class_names_that_do_not_match_the_head(own_run: Path, out: Path) -> None:
    info = RunDir.open(own_run).info
    write_info(own_run, ModelInfo((*info.class_names, "zebra"), info.preprocess))
    refused(own_run, out, ModelError, r"gives scores of shape \(3,\) for 4 class names")


def test_class_names_in_another_order(own_run: Path, out: Path) -> None:
    names = RunDir.open(own_run).class_names
    (own_run / "class_names.json").write_text(json.dumps(names[::-1]))
    refused(own_run, out, ModelError, "name different classes")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda keras, x: keras.layers.Lambda(lambda x: x * 2, name="double")(x),
            "layer double is a Lambda",
        ),
        # Known to TensorFlow alone: neither TFLite nor ONNX has the inverse of erf.
        (
            lambda keras, x: keras.ops.erfinv(keras.ops.tanh(x)) * 2.0,
            "erfinv needs the operator Erfinv, which a plain",
        ),
    ],
    ids=["Lambda", "Flex"],
)
def test_a_layer_that_cannot_travel(
    own_run: Path, out: Path, make: Callable[[Any, Any], Any], message: str
) -> None:
    """Named, with its layer; told from what is wrong with the run."""
    from edge_runtime.backends.full_model import import_keras

    keras = import_keras()
    image = keras.Input((32, 32, 3), name="image")
    x = make(keras, keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(x))
    x = keras.layers.Dense(3, activation="softmax")(x)
    keras.Model(image, x).save(own_run / "model.keras")
    refused(own_run, out, ModelError, message)


#: ``edge-export`` with another converting process, as from a terminal: a shell's background jobs,
#: and what they start, are deaf to SIGINT.
COMMAND = """
import signal, sys
from exporter import conversion
signal.signal(signal.SIGINT, signal.default_int_handler)
conversion.COMMAND = (sys.executable, "-c", sys.argv.pop(1), sys.argv.pop(1))
from exporter.cli import cli
cli()
"""

#: What that process does instead of converting; the lines go to a file that the test reads.
BUSY = """
import time
with open({file!r}, "w") as stream: print(os.getpid(), file=stream, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("sent", "group", "code", "said"),
    [
        ("SIGINT", True, 130, "error: interrupted."),  # Ctrl-C: the terminal tells both
        ("SIGINT", False, 130, "error: interrupted."),
        ("SIGTERM", False, 143, "error: terminated."),
        ("SIGKILL", False, -9, ""),
    ],
)
def test_a_signal_in_the_middle(
    run: Path, out: Path, tmp_path: Path, sent: str, group: bool, code: int, said: str
) -> None:
    """Ends both processes; what SIGKILL leaves behind hinders nobody."""
    before, file = contents(out), tmp_path / "pid"
    arguments = [STAND_IN, BUSY.format(file=os.fspath(file)), "bundle", run, "--out", out]
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments, "--overwrite", "--formats", "onnx-fp32"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as command:
        child = int(eventually(lambda: file.exists() and file.read_text().strip()))
        assert len(list(out.parent.iterdir())) == 3  # the bundle, the next one, and its lock
        number = getattr(signal, sent)
        os.killpg(command.pid, number) if group else command.send_signal(number)
        stdout, stderr = command.communicate(timeout=120)
    assert (command.returncode, stdout) == (code, "")
    assert (stderr.splitlines() or [""])[-1] == said or sent == "SIGKILL"
    assert eventually(lambda: not alive(child))
    assert contents(out) == before
    left = sorted(path.name for path in out.parent.iterdir())
    assert left == ["out"] or (sent == "SIGKILL" and left[-1] == "out")


def eventually(found: Callable[[], Any], seconds: float = 120.0) -> Any:
    """Wait until something is true, and give it."""
    end = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < end, "it never was"
        time.sleep(0.02)
    return result


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ("Z", "X")
