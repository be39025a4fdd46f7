"""Delegates of TFLite and execution providers of onnxruntime."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from color_model import ColorModels

from edge_runtime.backends import placing
from edge_runtime.backends.delegates import Delegate, parse_delegate
from edge_runtime.engine import Engine
from edge_runtime.errors import MissingComponent, ModelError, UsageError
from edge_runtime.opening import open_backend
from edge_runtime.trial.known_models import model_for

RED = np.full((32, 32, 3), (220, 20, 30), np.uint8)

#: A delegate that takes no operator, and refuses to start with ``fail=...``: the two functions of
#: external_delegate_interface.h; TfLiteDelegate begins with data, then the function Prepare.
_SOURCE = """
#include <stdlib.h>
#include <string.h>
static int prepare(void *context, void *delegate) { return 0; }
void *tflite_plugin_create_delegate(char **keys, char **values, size_t n, void (*say)(const char *)) {
  for (size_t i = 0; i < n; i++)
    if (!strcmp(keys[i], "fail")) { say(values[i]); return 0; }
  void **delegate = calloc(32, sizeof(void *));
  delegate[1] = (void *)prepare;
  return delegate;
}
void tflite_plugin_destroy_delegate(void *delegate) { free(delegate); }
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A delegate's shared library."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("delegate")
    (folder / "d.c").write_text(_SOURCE)
    out = folder / "libown.so"
    command = [compiler, "-shared", "-fPIC", "-o", str(out), str(folder / "d.c")]
    subprocess.run(command, check=True)
    return out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, Delegate()),
        ("none", Delegate("none")),
        ("gpu", Delegate("gpu")),
        ("xnnpack,latest_features=true", Delegate("xnnpack", None, {"latest_features": "true"})),
        ("edgetpu,device=usb:0", Delegate("edgetpu", "libedgetpu.so.1", {"device": "usb:0"})),
        ("/opt/d.so,a=1,b=x=y", Delegate("library", "/opt/d.so", {"a": "1", "b": "x=y"})),
        ("libd.so.2", Delegate("library", "libd.so.2")),
    ],
)
def test_parsing(text: str | None, expected: Delegate) -> None:
    assert parse_delegate(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nope", "expected edgetpu, gpu, xnnpack, none or the path"),
        ("edgetpu,speed=max", "unknown option 'speed'; its options are: device"),
        ("none,x=1", "it has no options"),
        ("edgetpu,device", "expected key=value, found 'device'"),
        ("xnnpack,latest_features=maybe", "true or false, not 'maybe'"),
    ],
)
def test_parsing_of_nonsense(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        parse_delegate(text)


def test_xnnpack_on_and_off(color_models: ColorModels) -> None:
    """Other kernels, the same answer; what ran is reported."""
    usual, off, asked = (
        open_backend(color_models.tflite, engine=Engine(threads=1, delegate=delegate))
        for delegate in (None, "none", "xnnpack,latest_features=true")
    )
    np.testing.assert_allclose(off.scores(RED), usual.scores(RED), atol=1e-6)  # float32 rounding
    assert off.running()["delegate"] == "the interpreter's own kernels"
    assert off.running()["placement"]["delegated"] == 0
    for backend in (usual, asked):
        placed = backend.running()["placement"]
        assert 0 < placed["delegated"] <= placed["operators"] and placed["parts"] >= 1
        assert "XNNPACK" in backend.running()["delegate"]


def test_a_heat_map_uses_the_same_delegate(color_models: ColorModels) -> None:
    backend = open_backend(color_models.tflite, engine=Engine(threads=1, delegate="none"))
    scores, maps = backend.explain(RED)
    np.testing.assert_allclose(scores, backend.scores(RED), atol=1e-6)  # float32 rounding
    assert maps.ndim == 3 and maps.shape[2] == 3


def test_a_library(color_models: ColorModels, library: Path) -> None:
    """Loaded for real, its options passed on; its refusal is a message."""
    backend = open_backend(color_models.tflite, engine=Engine(1, delegate=f"{library},level=3"))
    assert backend.scores(RED).argmax() == 0
    with pytest.raises(MissingComponent, match="did not start"):
        open_backend(color_models.tflite, engine=Engine(1, delegate=f"{library},fail=no power"))


def test_what_xnnpack_runs_is_not_credited_to_a_library(
    color_models: ColorModels, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It took nothing, and the interpreter gave all of it to XNNPACK."""
    usual = open_backend(color_models.tflite, engine=Engine(threads=1)).running()
    backend = open_backend(color_models.tflite, engine=Engine(1, delegate=str(library)))
    told = backend.running()
    assert told["placement"] == {**usual["placement"], "delegated": 0, "parts": 0}
    assert told["delegate"] == usual["delegate"] and "XNNPACK" in told["delegate"]
    monkeypatch.setattr(
        placing, "placement", lambda _: {"operators": 9, "delegated": 4, "parts": 1}
    )
    assert backend.running()["delegate"] == f"{library} (4 of 9 operators)"


def test_device_that_only_one_may_use_leaves_the_placement_open(
    color_models: ColorModels, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise MissingComponent("in use")

    backend = open_backend(color_models.tflite, engine=Engine(1, delegate=str(library)))
    monkeypatch.setattr(placing, "open_interpreter", refuse)
    told = backend.running()
    assert told["placement"] is None and told["delegate"] == str(library)


def test_libraries_that_are_none(color_models: ColorModels, tmp_path: Path) -> None:
    with pytest.raises(MissingComponent, match=r"none\.so: cannot be loaded"):
        open_backend(color_models.tflite, engine=Engine(delegate=str(tmp_path / "none.so")))
    with pytest.raises(UsageError, match="is no TFLite delegate"):
        open_backend(color_models.tflite, engine=Engine(delegate="libc.so.6"))


def test_edge_tpu_without_a_compiled_file(color_models: ColorModels) -> None:
    with pytest.raises(ModelError, match="was not compiled for the Edge TPU"):
        open_backend(color_models.tflite_int8, engine=Engine(delegate="edgetpu"))


def edgetpu_file(path: Path) -> Path:
    """A file as edgetpu_compiler writes it: one custom operator."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(model_for(path).data)
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode, code.version = b"edgetpu-custom-op", 1
    model.operatorCodes = [code]
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0], [7]
    model.subgraphs[0].operators = [operator]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def test_edge_tpu_that_is_missing(
    tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the library, and with a library that finds no device."""
    file = edgetpu_file(tmp_path / "m.tflite")
    with pytest.raises(MissingComponent, match="sudo apt install libedgetpu1-std"):
        open_backend(file, engine=Engine(delegate="edgetpu"))
    with pytest.raises(ModelError, match="add --delegate edgetpu"):
        open_backend(file, engine=Engine(interpreter="litert"))
    from edge_runtime.backends import interpreters

    failing = Delegate("edgetpu", str(library), {"fail": "", "device": "usb"})
    monkeypatch.setattr(interpreters, "parse_delegate", lambda _: failing)
    with pytest.raises(MissingComponent, match=r"no Edge TPU as device usb.*plugdev"):
        open_backend(file, engine=Engine(delegate="edgetpu"))


def test_gpu(color_models: ColorModels) -> None:
    """Where LiteRT finds no GPU this is a message; where it does, the answer is the CPU's."""
    try:
        backend = open_backend(color_models.tflite, engine=Engine(delegate="gpu"))
    except MissingComponent as error:
        assert "Vulkan" in str(error)
    else:
        np.testing.assert_allclose(
            backend.scores(RED), open_backend(color_models.tflite).scores(RED), atol=1e-2
        )  # a GPU computes in float16
    with pytest.raises(UsageError, match="tensorflow has no GPU of its own"):
        engine = Engine(interpreter="tensorflow", delegate="gpu")
        open_backend(color_models.tflite, engine=engine)


@pytest.mark.parametrize("form", ["tflite", "tflite_int8"])
def test_a_compiled_model_has_the_face_of_an_interpreter(
    color_models: ColorModels, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The class that LiteRT gives its GPU to, on the CPU: the same scores."""
    from ai_edge_litert.hardware_accelerator import HardwareAccelerator

    from edge_runtime.backends import compiled_model

    def on_the_cpu(_: str, model: str | bytes, where: str) -> compiled_model.CompiledInterpreter:
        return compiled_model.CompiledInterpreter(model, HardwareAccelerator.CPU, where)

    monkeypatch.setattr(compiled_model, "open_on_gpu", on_the_cpu)
    file = getattr(color_models, form)
    compiled = open_backend(file, engine=Engine(delegate="gpu"))
    plain = open_backend(file)
    # XNNPACK runs both; the quantised one may round one step apart.
    np.testing.assert_allclose(compiled.scores(RED), plain.scores(RED), atol=plain.step or 1e-6)
    _, maps = compiled.explain(RED)
    np.testing.assert_allclose(maps, plain.explain(RED)[1], atol=1e-6)
    assert compiled.running()["delegate"] == "GPU"


def test_providers(color_models: ColorModels) -> None:
    """The CPU by any of its names, with options; it is reported."""
    for text in ("cpu", "CPUExecutionProvider", "CPUExecutionProvider:arena_extend_strategy=x"):
        backend = open_backend(color_models.onnx, engine=Engine(1, providers=(text,)))
        assert backend.running()["providers"] == ["CPUExecutionProvider"]
        assert backend.scores(RED).argmax() == 0


@pytest.mark.parametrize(
    ("text", "kind", "reason"),
    [
        ("nope", UsageError, "no such provider. Available here: .*CPUExecutionProvider"),
        ("cpu:x", UsageError, "expected key=value, found 'x'"),
        ("rocm5", UsageError, "no such provider"),
    ],
)
def test_providers_that_are_none(
    color_models: ColorModels, text: str, kind: type[Exception], reason: str
) -> None:
    with pytest.raises(kind, match=reason):
        open_backend(color_models.onnx, engine=Engine(providers=(text,)))


def test_a_provider_that_is_not_built_in(
    color_models: ColorModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(MissingComponent, match=r"built without it.*pip install onnxruntime-gpu"):
        open_backend(color_models.onnx, engine=Engine(providers=("cuda:device_id=0",)))


def test_a_provider_that_is_dropped_in_silence(
    color_models: ColorModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """onnxruntime goes on with the CPU where the libraries of a provider are missing."""
    import onnxruntime

    available = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)
    with pytest.raises(MissingComponent, match="CUDAExecutionProvider did not start"):
        open_backend(color_models.onnx, engine=Engine(providers=("cuda",)))
