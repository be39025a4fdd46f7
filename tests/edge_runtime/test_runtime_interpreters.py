"""Which interpreter runs a file, and what is said when none can."""

from __future__ import annotations

import logging
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from color_model import ColorModels

from edge_runtime.backends import interpreters
from edge_runtime.engine import Engine
from edge_runtime.errors import MissingComponent, ModelError, UnsupportedOperator, UsageError
from edge_runtime.opening import open_backend

#: What tflite-runtime 2.14.0 says to a dynamic-range file of TensorFlow 2.21.
TOO_NEW = (
    "Didn't find op for builtin opcode 'FULLY_CONNECTED' version '12'. An older version of this "
    "builtin might be supported. Are you using an old TFLite binary with a newer model?\n"
    "Registration failed.\n"
)


@pytest.fixture
def no_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a device, where the search for an interpreter ends with tflite-runtime."""
    monkeypatch.setattr(interpreters, "_import_tensorflow", lambda _: None)


def stand_in(monkeypatch: pytest.MonkeyPatch, package: str, interpreter: object) -> None:
    """Take the place of an interpreter's package."""
    module = types.ModuleType(f"{package}.interpreter")
    module.Interpreter = interpreter  # type: ignore[attr-defined]
    top = types.ModuleType(package)
    top.__version__ = "2.14.0"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, package, top)
    monkeypatch.setitem(sys.modules, f"{package}.interpreter", module)


def refusing(message: str, kind: type[Exception] = ValueError) -> object:
    """A class Interpreter that cannot load anything."""

    def fail(**_: object) -> None:
        raise kind(message)

    return fail


def test_they_are_tried_in_order(
    color_models: ColorModels, monkeypatch: pytest.MonkeyPatch, no_tensorflow: None
) -> None:
    """tflite-runtime is taken where LiteRT is missing; with neither the extra is named."""
    from ai_edge_litert.interpreter import Interpreter

    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(MissingComponent, match=r"edge-classify\[tflite-runtime\]"):
        open_backend(color_models.tflite)
    stand_in(monkeypatch, "tflite_runtime", Interpreter)
    backend = open_backend(color_models.tflite)
    assert backend.name == "tflite-runtime" and backend.classes == 3
    assert backend.running()["version"] == "2.14.0"


def test_tensorflow_runs_what_it_is_asked_for(color_models: ColorModels) -> None:
    """The same scores to a float32 rounding, from the same kernels."""
    photo = np.full((32, 32, 3), (200, 30, 40), np.uint8)
    theirs = open_backend(color_models.tflite, engine=Engine(1, "tensorflow"))
    assert theirs.name == "tensorflow"
    ours = open_backend(color_models.tflite, engine=Engine(1, "litert"))
    np.testing.assert_allclose(theirs.scores(photo), ours.scores(photo), atol=1e-6)


def test_one_that_is_broken(
    color_models: ColorModels,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_tensorflow: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Installed but unable to start (the wrong numpy, say) is not taken for missing."""
    from ai_edge_litert.interpreter import Interpreter

    package = tmp_path / "broken" / "ai_edge_litert"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "interpreter.py").write_text("raise ImportError('numpy.core.multiarray')")
    for name in [name for name in sys.modules if name.startswith("ai_edge_litert")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path / "broken"))
    with pytest.raises(MissingComponent, match=r"litert is installed but cannot start.*multiarray"):
        open_backend(color_models.tflite)
    stand_in(monkeypatch, "tflite_runtime", Interpreter)
    with caplog.at_level(logging.WARNING, "edge_runtime"):
        assert open_backend(color_models.tflite).name == "tflite-runtime"
    assert "litert is installed but cannot start" in caplog.text
    for name in [name for name in sys.modules if name.startswith("ai_edge_litert")]:
        del sys.modules[name]


def test_one_that_was_built_for_another_numpy(
    color_models: ColorModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tflite-runtime imports with numpy 2 and fails at its first call."""
    message = "CreateWrapperFromFile returned a result with an exception set"
    stand_in(monkeypatch, "tflite_runtime", refusing(message, SystemError))
    with pytest.raises(MissingComponent, match="numpy<2"):
        open_backend(color_models.tflite, engine=Engine(interpreter="tflite-runtime"))


def test_operators_that_are_too_new_go_to_the_next(
    color_models: ColorModels,
    monkeypatch: pytest.MonkeyPatch,
    no_tensorflow: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from ai_edge_litert.interpreter import Interpreter

    stand_in(monkeypatch, "ai_edge_litert", refusing(TOO_NEW))
    stand_in(monkeypatch, "tflite_runtime", Interpreter)
    with caplog.at_level(logging.WARNING, "edge_runtime"):
        assert open_backend(color_models.tflite).name == "tflite-runtime"
    assert "litert 2.14.0 does not know the operator FULLY_CONNECTED version 12" in caplog.text


@pytest.mark.parametrize(
    ("bits", "missing", "way_out"),
    [
        (64, True, "pip install ai-edge-litert"),
        (32, True, "no newer interpreter for a 32-bit system. Use another file"),
        (64, False, "pip install --upgrade ai-edge-litert"),
    ],
)
def test_operators_that_none_knows(
    color_models: ColorModels,
    monkeypatch: pytest.MonkeyPatch,
    no_tensorflow: None,
    bits: int,
    missing: bool,
    way_out: str,
) -> None:
    """The message has the operator, its version, the interpreter's, and the way out."""
    stand_in(monkeypatch, "tflite_runtime", refusing(TOO_NEW))
    if missing:
        monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    else:
        stand_in(monkeypatch, "ai_edge_litert", refusing(TOO_NEW))
    monkeypatch.setattr(sys, "maxsize", 2 ** (bits - 1) - 1)
    with pytest.raises(UnsupportedOperator) as caught:
        open_backend(color_models.tflite)
    text = str(caught.value)
    assert "tflite-runtime 2.14.0 does not know the operator FULLY_CONNECTED version 12" in text
    assert way_out in text and "tflite-fp32" in text


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("Encountered unresolved custom op: edgetpu-custom-op.\nSee", "--delegate edgetpu"),
        ("Encountered unresolved custom op: TFLite_Detection.", "operator TFLite_Detection"),
        ("Select TensorFlow op(s), included in the given model, is(are) not", "tensorflow"),
    ],
)
def test_operators_of_others(
    color_models: ColorModels,
    monkeypatch: pytest.MonkeyPatch,
    no_tensorflow: None,
    message: str,
    reason: str,
) -> None:
    stand_in(monkeypatch, "ai_edge_litert", refusing(message, RuntimeError))
    with pytest.raises(UnsupportedOperator, match=reason):
        open_backend(color_models.tflite)


def test_a_damaged_file_is_not_handed_on(
    color_models: ColorModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another interpreter cannot read it either, and TensorFlow would take seconds to say so."""
    monkeypatch.setattr(interpreters, "_import_tensorflow", lambda _: pytest.fail("was tried"))
    file = tmp_path / "cut.tflite"
    file.write_bytes(color_models.tflite.read_bytes()[:400])
    with pytest.raises(ModelError, match="litert cannot load it"):
        open_backend(file)


def test_what_does_not_fit(color_models: ColorModels) -> None:
    with pytest.raises(UsageError, match="litert, tflite-runtime, tensorflow, onnxruntime"):
        Engine(interpreter="nope")
    with pytest.raises(UsageError, match="--interpreter onnxruntime does not run it"):
        open_backend(color_models.tflite, engine=Engine(interpreter="onnxruntime"))
    with pytest.raises(UsageError, match=r"a \.onnx file has --provider"):
        open_backend(color_models.onnx, engine=Engine(delegate="none"))
    with pytest.raises(UsageError, match=r"a \.tflite file has --delegate"):
        open_backend(color_models.tflite, engine=Engine(providers=("cpu",)))
    with pytest.raises(UsageError, match="--interpreter litert"):
        open_backend(color_models.run / "model.keras", engine=Engine(interpreter="litert"))


def onnx_file(path: Path, opset: int = 17, ir: int = 8, op: str = "Softmax") -> Path:
    """An ONNX file of one operator."""
    from onnx import TensorProto, helper

    sides = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 3]) for n in "xy"]
    graph = helper.make_graph([helper.make_node(op, ["x"], ["y"])], "g", sides[:1], sides[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = ir
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"opset": 99}, r"needs opset 99; onnxruntime [\d.]+ knows opsets up to \d+"),
        ({"ir": 99}, r"has IR version 99; onnxruntime [\d.]+ knows versions up to \d+"),
        ({"op": "NoSuchThing"}, "does not know the operator NoSuchThing of opset 17"),
    ],
)
def test_onnx_that_is_too_new(tmp_path: Path, given: dict[str, int], reason: str) -> None:
    file = onnx_file(tmp_path / "m.onnx", **given)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedOperator, match=reason) as caught:
        open_backend(file)
    assert "pip install --upgrade onnxruntime" in str(caught.value)


def test_onnxruntime_that_is_broken(
    color_models: ColorModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingComponent, match=r"edge-classify\[onnx\]"):
        open_backend(color_models.onnx)
