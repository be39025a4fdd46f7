"""The converting process: what becomes of its errors, its death, and its disk."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.child.asking import Session
from edge_runtime.errors import DataError, ModelError, SystemFailure, UsageError
from edge_runtime.rundir import RunDir, write_split
from exporter import conversion
from exporter.options import ExportOptions, parse_batch
from exporter.package import export_bundle
from exporter.target import only_writer

#: A converting process without TensorFlow: opens at once, and does what its argument says.
STAND_IN = """
import os, signal, sys
from edge_runtime.child.answering import serve_session
from edge_runtime import errors

def work(request):
    if request["do"] == "open":
        return {"heatmap": True}
    if request["do"] == "score":
        import numpy as np
        np.save(request["out"], np.full((request["count"], 3), 1 / 3, np.float32))
        return {}
    if request["do"] == "explain":
        import numpy as np
        np.save(request["out"], np.ones((len(request["photos"]), 7, 7), np.float32))
        return {}
    exec(sys.argv[1])

serve_session(work)
"""


def stand_in(monkeypatch: pytest.MonkeyPatch, action: str) -> None:
    monkeypatch.setattr(conversion, "COMMAND", (sys.executable, "-c", STAND_IN, action))


@pytest.mark.parametrize(
    ("action", "error", "code", "message"),
    [
        (
            "os.kill(os.getpid(), signal.SIGKILL)",
            SystemFailure,
            6,
            "tflite-fp32: the converter was killed, most likely because memory ran out",
        ),
        (
            "os.kill(os.getpid(), signal.SIGSEGV)",
            ModelError,
            3,
            "tflite-fp32: the converter crashed: the process died of SIGSEGV",
        ),
        ("raise RuntimeError('odd')", ModelError, 3, "tflite-fp32: unexpected RuntimeError: odd"),
        ("raise errors.ModelError('own words')", ModelError, 3, "^own words"),
        ("raise OSError(28, 'No space left on device')", SystemFailure, 6, "No space left"),
        ("raise MemoryError", SystemFailure, 6, "memory"),
    ],
)
def test_what_becomes_of_a_converter(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    action: str,
    error: type[Exception],
    code: int,
    message: str,
) -> None:
    """The old bundle stays, and nothing lies beside it."""
    stand_in(monkeypatch, action)
    out = tmp_path / "out"
    out.mkdir()
    for name in ("manifest.json", "old.tflite"):
        (out / name).write_text("old")
    with pytest.raises(error, match=message) as caught:
        export_bundle(run, out, ["tflite-fp32"], overwrite=True)
    assert caught.value.exit_code == code  # type: ignore[attr-defined]
    assert sorted(path.name for path in out.iterdir()) == ["manifest.json", "old.tflite"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_model_that_does_not_open_leaves_no_process(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would keep TensorFlow in memory for as long as the caller lives."""
    code = (
        "from edge_runtime.child.answering import serve_session\n"
        "from edge_runtime.errors import ModelError\n"
        "def work(request): raise ModelError('damaged')\n"
        "serve_session(work)\n"
    )
    monkeypatch.setattr(conversion, "COMMAND", (sys.executable, "-c", code))
    sessions: list[Session] = []

    def kept(*arguments: Any, **options: Any) -> Session:
        sessions.append(Session(*arguments, **options))
        return sessions[-1]

    monkeypatch.setattr(conversion, "Session", kept)
    with pytest.raises(ModelError, match="damaged"):
        conversion.Converter(RunDir.open(run), ExportOptions(), tmp_path)
    assert [session.pid for session in sessions] == [None]


def test_the_real_process(run: Path, tmp_path: Path) -> None:
    """Opens the model, answers, explains, converts; and this process never loads TensorFlow."""
    code = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from edge_runtime.rundir import RunDir\n"
        "from exporter.conversion import Converter\n"
        "from exporter.options import ExportOptions\n"
        "work = Path(sys.argv[2])\n"
        "np.save(work / 'pixels.npy', np.zeros((2, 32, 32, 3), np.uint8))\n"
        "with Converter(RunDir.open(sys.argv[1]), ExportOptions(), work) as converter:\n"
        "    assert converter.heatmap\n"
        "    scores = converter.scores(work / 'pixels.npy', 2)\n"
        "    maps = converter.heatmaps(work / 'pixels.npy', [1, 0], [0, 2])\n"
        "    file = converter.convert('tflite-fp32').file\n"
        "print(scores.shape, maps.shape, file.stat().st_size > 0)\n"
        "print({'tensorflow', 'keras', 'onnx'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, run, tmp_path], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["(2, 3) (2, 16, 16) True", "set()"]


def test_two_exports_to_one_folder(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one is refused; the first one notices nothing."""
    out = tmp_path / "out"
    with only_writer(out):
        with pytest.raises(UsageError, match="another export is writing there"):
            export_bundle(run, out, ["tflite-fp32"])
        assert [path.name for path in tmp_path.iterdir()] == [".out.lock"]
    assert list(tmp_path.iterdir()) == []


def test_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    """Killed, it leaves a file that hinders nobody."""
    out = tmp_path / "out"
    code = (
        "import sys, time; from pathlib import Path; from exporter.target import only_writer\n"
        "with only_writer(Path(sys.argv[1])): print('in', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, out], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"in\n"
        with pytest.raises(UsageError, match="another export"), only_writer(out):
            pass
        other.send_signal(signal.SIGKILL)
        other.wait()
    with only_writer(out):
        pass
    assert list(tmp_path.iterdir()) == []


def test_disk_full(run: Path, tmp_path: Path) -> None:
    """A tmpfs of 400 kB, in a mount namespace of its own: 55 kB of photos fit, the model not."""
    disk = tmp_path / "disk"
    disk.mkdir()
    code = "from exporter.cli import cli; cli()"
    command = [sys.executable, "-c", code, "bundle", run, "--out", disk / "out"]
    script = 'mount -t tmpfs -o size=400k none "$0" && "$@"; code=$?; ls -A "$0"; exit $code'
    own = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    probe = subprocess.run([*own, 'mount -t tmpfs none "$0"', disk], capture_output=True)
    if probe.returncode:
        pytest.skip("no user namespaces here")
    done = subprocess.run([*own, script, disk, *command], capture_output=True, text=True)
    assert done.returncode == 6, done.stderr
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""  # nothing printed, and nothing left on the disk


def test_photos_that_were_moved(own_run: Path, tmp_path: Path) -> None:
    """Found by their contents, whatever their names and folders are now."""
    from exporter.photos import find_moved

    rows = RunDir.open(own_run).split("val")
    moved = tmp_path / "moved"
    for number, row in enumerate(rows):
        target = moved / f"{number % 2}" / f"{number}{Path(row.path).suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(row.path, target)
    found = find_moved(rows, moved)
    assert [(row.sha256, row.label) for row in found] == [(row.sha256, row.label) for row in rows]
    assert all(row.path.startswith(str(moved)) for row in found)
    (moved / "1" / "1.png").unlink()
    with pytest.raises(DataError, match=r"1 of the 18 photos .*photo_001\.png"):
        find_moved(rows, moved)


@pytest.mark.usefixtures("instant")
def test_export_of_moved_photos(own_run: Path, tmp_path: Path) -> None:
    rows = RunDir.open(own_run).split()
    home = Path(os.path.commonpath([row.path for row in rows]))
    gone = [type(row)(row.path + ".gone", row.sha256, row.label, row.part) for row in rows]
    (own_run / "split.csv").unlink()
    write_split(own_run, gone)
    with pytest.raises(DataError, match="name the folder that they were moved to with --data"):
        export_bundle(own_run, tmp_path / "out", ["tflite-fp32"])
    report = export_bundle(own_run, tmp_path / "out", ["tflite-fp32", "tflite-int8"], data=home)
    assert report.reference["n"] == 18


@pytest.mark.parametrize(("text", "batch"), [("1", 1), ("32", 32), ("dynamic", None)])
def test_batch(text: str, batch: int | None) -> None:
    assert ExportOptions(batch=parse_batch(text)).batch == batch


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", "9999", "", "²"])
def test_bad_batch(text: str) -> None:
    with pytest.raises(UsageError, match="--batch"):
        ExportOptions(batch=parse_batch(text))
