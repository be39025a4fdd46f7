"""Trial runs: what would end, hang or fill this process does so in a child, and is a message."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from color_model import ColorModels, paint

from edge_runtime import tried
from edge_runtime.child import asking
from edge_runtime.classifier import Classifier
from edge_runtime.cli import cli
from edge_runtime.engine import Engine
from edge_runtime.errors import MissingComponent, ModelError, UnsupportedOperator, UsageError
from edge_runtime.inspection.engines import inspect_engine
from edge_runtime.trial import running
from edge_runtime.tried import probed

#: An interpreter in Python that knows one model: 3 x 3 pixels, two classes.
_STAND_IN = """
import numpy as np, os, time, signal
class Interpreter:
    def __init__(self, model_path=None, model_content=None, num_threads=1, **_):
        self.size = os.path.getsize(model_path) if model_path else len(model_content)
        {act}
    def allocate_tensors(self): pass
    def get_input_details(self):
        return [dict(index=0, shape=np.array([1, 3, 3, 3]), dtype=np.float32)]
    def get_output_details(self): return [dict(index=1)]
    def set_tensor(self, index, value): pass
    def invoke(self): pass
    def get_tensor(self, index): return np.zeros((1, 2), np.float32)
"""

#: The small model with which an interpreter is tried has 1088 bytes, files of the tests have more.
_ON_THE_FILE_ONLY = "if self.size > 1500: "
_SEGFAULT = "os.kill(os.getpid(), signal.SIGSEGV)"
_ILLEGAL = "os.kill(os.getpid(), signal.SIGILL)"


@pytest.fixture(autouse=True)
def switched_on(monkeypatch: pytest.MonkeyPatch, no_trial_runs: None) -> None:
    monkeypatch.setenv(tried.SWITCH, "1")


class Packages:
    """Stands in for installed interpreters, here and in child processes."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        folder.mkdir()
        old = os.environ.get("PYTHONPATH")
        monkeypatch.setenv("PYTHONPATH", str(folder) + (f":{old}" if old else ""))
        monkeypatch.syspath_prepend(str(folder))

    def install(self, package: str, act: str = "pass") -> None:
        top = self._folder / package
        top.mkdir()
        (top / "__init__.py").write_text("__version__ = '0.9'\n")
        (top / "interpreter.py").write_text(_STAND_IN.replace("{act}", act))


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Packages:
    return Packages(tmp_path / "site", monkeypatch)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """What a stand-in takes for a model."""
    path = tmp_path / "model.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(2000))
    return path


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The interpreters that child processes were asked to try."""
    asked: list[str] = []
    ask = asking.ask

    def counted(command: object, request: dict[str, object], **rest: object) -> object:
        engine = request["engine"]
        assert isinstance(engine, dict)
        asked.append(engine["interpreter"])
        return ask(command, request, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(running, "ask", counted)
    return asked


def test_a_file_is_tried_once(
    color_models: ColorModels, tmp_path: Path, children: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first time, and again when the file, the request, the package or the board changes."""
    file = tmp_path / "model.tflite"
    file.write_bytes(color_models.tflite.read_bytes())
    engine = Engine(threads=1)
    for _ in range(3):
        assert probed(file, engine).interpreter == "litert"
    assert children == ["litert"]
    probed(file, Engine(threads=2))  # as many threads as one likes
    assert len(children) == 1
    probed(file, Engine(delegate="none"))
    assert len(children) == 2
    probed(file, engine)
    assert len(children) == 2
    os.utime(file, ns=(1, 1))
    probed(file, engine)
    assert len(children) == 3
    monkeypatch.setattr(tried, "_board", lambda: "Raspberry Pi 3 Model B Plus Rev 1.3")
    probed(file, engine)
    assert len(children) == 4
    monkeypatch.setattr(tried, "_package_state", lambda package: [package, "newer"])
    probed(file, engine)
    assert len(children) == 5


def test_only_the_command_line_tries(color_models: ColorModels, children: list[str]) -> None:
    Classifier.open(color_models.tflite)
    assert children == []
    assert Classifier.open(color_models.onnx, probe=True).backend.name == "onnxruntime"
    assert children == ["onnxruntime"]
    Classifier.open(color_models.bundle, probe=True)
    assert len(children) == 2


def test_it_can_be_switched_off(
    color_models: ColorModels, children: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(tried.SWITCH, "0")
    engine = Engine()
    assert probed(color_models.tflite, engine) is engine and children == []


def test_an_interpreter_for_another_processor(file: Path, packages: Packages) -> None:
    """It crashes on the small model, too, so it is not the file's fault."""
    packages.install("ai_edge_litert", _ILLEGAL)
    with pytest.raises(MissingComponent) as caught:
        probed(file, Engine(interpreter="litert"))
    text = str(caught.value)
    assert "does not run on this machine" in text and "SIGILL" in text
    assert "built for another CPU" in text and "edge-classify doctor" in text


def test_another_interpreter_takes_over(
    file: Path, packages: Packages, children: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """And is remembered, so that the next start does not crash a child again."""
    packages.install("ai_edge_litert", _ILLEGAL)
    packages.install("tflite_runtime")
    with caplog.at_level(logging.WARNING, "edge_runtime"):
        assert probed(file, Engine()).interpreter == "tflite-runtime"
    assert "litert failed in a trial run" in caplog.text and "SIGILL" in caplog.text
    assert probed(file, Engine()).interpreter == "tflite-runtime"
    assert children == ["litert", "tflite-runtime"]


def test_a_file_that_crashes_the_interpreter(file: Path, packages: Packages) -> None:
    """The small model runs, so it is the file's fault. Nothing is remembered."""
    crash = _ON_THE_FILE_ONLY + "os.kill(os.getpid(), signal.SIGSEGV)"
    packages.install("ai_edge_litert", crash)
    for _ in range(2):
        with pytest.raises(ModelError, match=r"litert .*failed on it.*SIGSEGV.*the file"):
            probed(file, Engine(interpreter="litert"))


@pytest.mark.parametrize(
    ("act", "error"),
    [(_ILLEGAL, MissingComponent), (_ON_THE_FILE_ONLY + _SEGFAULT, ModelError)],
)
def test_tensorflow_is_not_tried_after_a_crash(
    file: Path, packages: Packages, children: list[str], act: str, error: type[Exception]
) -> None:
    """It takes seconds to start, and most likely crashes, too; whoever wants it asks for it."""
    packages.install("ai_edge_litert", act)
    with pytest.raises(error, match="--interpreter tensorflow"):
        probed(file, Engine())
    assert "tensorflow" not in children


def test_info_does_not_try_tensorflow_after_a_crash(
    color_models: ColorModels, packages: Packages, children: list[str]
) -> None:
    packages.install("ai_edge_litert", _ILLEGAL)
    found = inspect_engine(color_models.tflite)["interpreters"]
    by_name = {entry["name"]: entry for entry in found}
    assert by_name["litert"]["runs"] is False and "SIGILL" in by_name["litert"]["why_not"]
    assert by_name["tensorflow"]["runs"] is None
    assert "--interpreter tensorflow tries it" in by_name["tensorflow"]["why_not"]
    assert "tensorflow" not in children


def test_a_file_that_keeps_it_busy(
    file: Path, packages: Packages, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages.install("ai_edge_litert", _ON_THE_FILE_ONLY + "time.sleep(60)")
    # Long enough for the small model, on a busy machine too.
    monkeypatch.setenv("EDGE_CLASSIFY_PROBE_TIMEOUT", "3")
    with pytest.raises(ModelError, match=r"no answer within 3 s.*EDGE_CLASSIFY_PROBE_TIMEOUT"):
        probed(file, Engine(interpreter="litert"))


@pytest.mark.skipif(sys.platform != "linux", reason="memory is watched through /proc")
def test_a_file_that_fills_the_memory(
    file: Path, packages: Packages, monkeypatch: pytest.MonkeyPatch
) -> None:
    act = _ON_THE_FILE_ONLY + "self.kept = b'x' * 400_000_000; time.sleep(60)"
    packages.install("ai_edge_litert", act)
    monkeypatch.setenv("EDGE_CLASSIFY_PROBE_MEMORY", "300")  # Python and numpy take 40
    with pytest.raises(ModelError, match=r"more than 300 MB of memory.*EDGE_CLASSIFY_PROBE_MEMORY"):
        probed(file, Engine(interpreter="litert"))


def test_operators_that_are_too_new(file: Path, packages: Packages) -> None:
    """A refusal is no crash: the next one is tried, and opening says why none is able."""
    message = "Didn't find op for builtin opcode 'GELU' version '2'"
    packages.install("ai_edge_litert", f'raise ValueError("{message}")')
    with pytest.raises(UnsupportedOperator, match="GELU version 2"):
        running.trial(file, Engine(interpreter="litert"))
    assert probed(file, Engine(interpreter="litert")) == Engine(interpreter="litert")
    packages.install("tflite_runtime")
    assert probed(file, Engine()).interpreter == "tflite-runtime"


def test_what_was_asked_for_is_missing(color_models: ColorModels, children: list[str]) -> None:
    """A delegate that is not there is not there for the next interpreter either."""
    with pytest.raises(MissingComponent, match=r"/none\.so"):
        probed(color_models.tflite, Engine(delegate="/none.so"))
    assert children == ["litert"]


def test_a_cache_that_cannot_be_written(
    color_models: ColorModels,
    tmp_path: Path,
    children: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each start tries again, and says how to avoid it."""
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setenv("EDGE_CLASSIFY_CACHE", str(blocked / "cache"))
    for _ in range(2):
        with caplog.at_level(logging.WARNING, "edge_runtime"):
            assert probed(color_models.tflite, Engine()).interpreter == "litert"
    assert len(children) == 2
    assert "EDGE_CLASSIFY_CACHE" in caplog.text and "EDGE_CLASSIFY_PROBE=0" in caplog.text


@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan", "inf"])
def test_settings_that_are_no_numbers(
    color_models: ColorModels, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("EDGE_CLASSIFY_PROBE_TIMEOUT", value)
    with pytest.raises(UsageError, match="a number above 0"):
        probed(color_models.tflite, Engine())


@pytest.mark.parametrize("noted", ["[]", '{"probe:%s": 3}', "not JSON", '{"probe:%s": [1, 2, []]}'])
def test_a_spoilt_memory(color_models: ColorModels, children: list[str], noted: str) -> None:
    """It only means that the file is tried once more."""
    memory = Path(os.environ["XDG_CACHE_HOME"]) / "edge-classify" / "verified.json"
    memory.parent.mkdir(parents=True, exist_ok=True)
    memory.write_text(noted.replace("%s", str(color_models.tflite)))
    assert probed(color_models.tflite, Engine()).interpreter == "litert"
    assert probed(color_models.tflite, Engine()).interpreter == "litert"
    assert children == ["litert"]


def test_the_command_ends_with_a_message(
    color_models: ColorModels, tmp_path: Path, packages: Packages
) -> None:
    """A whole command, with an interpreter that would end its process."""
    packages.install("ai_edge_litert", _ILLEGAL)
    photo = paint(tmp_path / "p.jpg", (255, 0, 0))
    command = [sys.executable, "-m", "edge_runtime.cli", "image", "--interpreter", "litert"]
    done = subprocess.run(
        [*command, "--model", str(color_models.tflite), str(photo)], capture_output=True, text=True
    )
    assert done.returncode == 5 and done.stdout == ""
    assert done.stderr.startswith("error: litert") and "does not run on this" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_normal_start_loads_nothing_for_it(color_models: ColorModels, tmp_path: Path) -> None:
    """A child process and versions of packages cost more than the rest of the look-up."""
    photo = paint(tmp_path / "p.jpg", (255, 0, 0))
    arguments = ["image", "--model", str(color_models.tflite), str(photo)]
    code = (
        "import sys\nfrom edge_runtime.cli import cli\n"
        f"cli({arguments!r}, standalone_mode=False)\n"
        "print([m for m in ('importlib.metadata', 'edge_runtime.child.asking')"
        " if m in sys.modules], file=sys.stderr)"
    )
    first, second = (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(2)
    )
    assert "edge_runtime.child.asking" in first.stderr  # else this test would prove nothing
    assert second.stderr.splitlines()[-1] == "[]"
    assert first.stdout == second.stdout


def test_info_says_who_runs_a_file(color_models: ColorModels, packages: Packages) -> None:
    from click.testing import CliRunner

    packages.install("tflite_runtime", _ILLEGAL)
    arguments = ["info", str(color_models.tflite), "--interpreter", "tflite-runtime", "--json"]
    result = CliRunner().invoke(cli, arguments, standalone_mode=False)
    report = json.loads(result.stdout)
    names = {entry["name"]: entry for entry in report["interpreters"]}
    assert list(names) == ["tflite-runtime"]
    assert names["tflite-runtime"]["runs"] is False
    assert "SIGILL" in names["tflite-runtime"]["why_not"]
    assert {o["name"] for o in report["operators"]} >= {"CONV_2D", "SOFTMAX"}
