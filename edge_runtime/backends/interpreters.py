"""The interpreters of TFLite files: which are installed, which is able, and what they say.

All offer the class ``Interpreter`` of https://ai.google.dev/edge/api/tflite/python/tf/lite, so
that is the contract behind which they stand; :mod:`.litert` makes a
:class:`~edge_runtime.backends.base.Backend` of it.
"""

from __future__ import annotations

import importlib
import logging
import re
import sys
import warnings
from types import ModuleType
from typing import Any, NamedTuple

from ..engine import TFLITE_INTERPRETERS, Engine
from ..errors import (
    EdgeError,
    MissingComponent,
    ModelError,
    UnsupportedOperator,
    first_line,
    missing_package,
)
from ..quiet import quiet_stderr
from .base import default_threads
from .delegates import EDGETPU_OPERATOR, Delegate, load_delegate, parse_delegate

_log = logging.getLogger("edge_runtime")

#: Module of each interpreter, and the package that installs it.
_MODULES = {
    "litert": ("ai_edge_litert.interpreter", "ai-edge-litert"),
    "tflite-runtime": ("tflite_runtime.interpreter", "tflite-runtime"),
    "tensorflow": ("tensorflow.lite.python.interpreter", "tensorflow"),
}

#: How TFLite refuses: a version that is too new, an operator of somebody's own, one of TensorFlow.
#: (Compiled where they are used: an error pays for it, not every start.)
_TOO_NEW = r"Didn't find op for builtin opcode '(\w+)' version '(\d+)'"
_CUSTOM = r"unresolved custom op: ([^\s.]+)"
_FLEX = "Select TensorFlow op(s)"


class Loaded(NamedTuple):
    """An interpreter with a model in it, ready to run.

    Attributes:
        interpreter: An object of the class ``Interpreter``, or one that does the same.
        name: Name of the interpreter, see :data:`~edge_runtime.engine.TFLITE_INTERPRETERS`.
        version: Of its package; empty where it does not tell.
        delegate: What was asked for.
    """

    interpreter: Any
    name: str
    version: str
    delegate: Delegate


class _Refused(Exception):
    """An interpreter lacks an operator: another one may have it."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.remedy = remedy


class _Broken(Exception):
    """An interpreter is installed and cannot start."""


def open_interpreter(model: str | bytes, engine: Engine, where: str, alone: bool = False) -> Loaded:
    """Load a model with the interpreter asked for, or the first that is installed and able.

    Args:
        model: Path or contents of the file.
        engine: Interpreter, threads and delegate.
        where: Name of the file, for messages.
        alone: Whether the interpreter's own kernels run what the delegate of a library leaves over,
            and not XNNPACK.

    Raises:
        UsageError: The delegate does not exist or does not go with the interpreter.
        UnsupportedOperator: No interpreter here knows all of its operators.
        ModelError: It is no whole TFLite file.
        MissingComponent: No interpreter is installed, or none can start.
    """
    delegate = parse_delegate(engine.delegate)
    refused: dict[str, _Refused] = {}
    broken: list[_Broken] = []
    for name in TFLITE_INTERPRETERS:
        if engine.interpreter not in (None, name):
            continue
        if delegate.kind == "gpu" and engine.interpreter is None and name != "litert":
            continue
        try:
            module = _import(name)
            if module is None:
                continue
            loaded = _load(module, name, model, delegate, engine, where, alone)
        except _Refused as error:
            refused[label(name)] = error
        except _Broken as error:
            broken.append(error)
        else:
            for reason in (*(f"{who} {error}" for who, error in refused.items()), *broken):
                _log.warning("%s: %s; %s runs it.", where, str(reason).rstrip("."), label(name))
            return loaded
    raise _none_able(refused, broken, engine, where)


def load_interpreter(name: str | None = None) -> tuple[Any, str]:
    """The class ``Interpreter`` of the first installed interpreter, and its name.

    Args:
        name: Which one; None for the first that is installed.

    Raises:
        MissingComponent: It is not installed, or cannot start.
    """
    broken: list[_Broken] = []
    for candidate in TFLITE_INTERPRETERS if name is None else (name,):
        try:
            module = _import(candidate)
        except _Broken as error:
            broken.append(error)
            continue
        if module is not None:
            return module.Interpreter, candidate
    raise _none_able({}, broken, Engine(interpreter=name), "")


def version_of(name: str) -> str:
    """Version of an interpreter that was imported or not; empty where nobody tells."""
    module, package = {**_MODULES, "onnxruntime": ("onnxruntime", "onnxruntime")}[name]
    version = getattr(sys.modules.get(module.partition(".")[0]), "__version__", None)
    if isinstance(version, str):
        return version
    import importlib.metadata  # 10 ms, on the way to a message or a report only

    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def label(name: str) -> str:
    """An interpreter with its version, for messages."""
    return f"{name} {version_of(name)}".rstrip()


def _import(name: str) -> ModuleType | None:
    """The module with the class; None where it is not installed."""
    module = _MODULES[name][0]
    top = module.partition(".")[0]
    try:
        if name == "tensorflow":
            return _import_tensorflow(module)
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name in (module, top):
            return None
        raise _Broken(f"{name} is installed but cannot start: {error}. Reinstall it.") from error
    except ImportError as error:
        raise _Broken(
            f"{name} is installed but cannot start: {error}. Reinstall it, "
            "or see which versions go together in the README."
        ) from error


def _import_tensorflow(module: str) -> ModuleType | None:
    from importlib.util import find_spec

    from .full_model import import_tensorflow

    try:
        if "tensorflow" not in sys.modules and find_spec("tensorflow") is None:
            return None
        import_tensorflow()
    except (ValueError, MissingComponent) as error:
        raise _Broken(f"tensorflow is installed but cannot start: {error}") from error
    return importlib.import_module(module)


def _load(
    module: ModuleType,
    name: str,
    model: str | bytes,
    delegate: Delegate,
    engine: Engine,
    where: str,
    alone: bool,
) -> Loaded:
    threads = engine.threads or default_threads()
    if delegate.kind == "gpu":
        from .compiled_model import open_on_gpu

        return Loaded(open_on_gpu(name, model, where), name, version_of(name), delegate)
    options = load_delegate(delegate, module, label(name), model, where, alone)
    source = {"model_path" if isinstance(model, str) else "model_content": model}
    try:
        with quiet_stderr(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it announces its delegate, and its end
            interpreter = module.Interpreter(**source, num_threads=threads, **options)
            interpreter.allocate_tensors()
    except SystemError as error:  # how tflite-runtime meets a numpy it was not built for
        raise _Broken(
            f"{name} is installed but cannot start ({first_line(error)}). tflite-runtime "
            "needs an older numpy: pip install 'numpy<2'"
        ) from error
    except (ValueError, RuntimeError) as error:
        lacks = _lacking(str(error))
        if lacks is not None:
            raise lacks from error
        raise ModelError(
            f"{where}: {name} cannot load it ({first_line(error)}). "
            "Export it again, or upgrade the interpreter."
        ) from error
    return Loaded(interpreter, name, version_of(name), delegate)


def _lacking(message: str) -> _Refused | None:
    """What an interpreter lacks, from its message; None where something else is wrong."""
    if found := re.search(_TOO_NEW, message):
        return _Refused(f"does not know the operator {found[1]} version {found[2]}")
    if found := re.search(_CUSTOM, message):
        remedy = "Add the library that brings it with --delegate, or use another file."
        if found[1] == EDGETPU_OPERATOR:
            remedy = "The file was compiled for the Edge TPU: add --delegate edgetpu."
        return _Refused(f"does not know the custom operator {found[1]}", remedy)
    if _FLEX in message:
        return _Refused(
            "does not know TensorFlow's own operators",
            "Export it without them, or: pip install tensorflow",
        )
    return None


def _none_able(
    refused: dict[str, _Refused], broken: list[_Broken], engine: Engine, where: str
) -> EdgeError:
    """The error that says why no interpreter was able, and what to do."""
    if refused:
        reasons = "; ".join(f"{who} {error}" for who, error in refused.items())
        remedy = next((e.remedy for e in refused.values() if e.remedy), "") or way_out(refused)
        return UnsupportedOperator(f"{where}: {reasons}. {remedy}")
    if broken:
        error = MissingComponent(str(broken[0]))
        error.__cause__ = broken[0].__cause__
        return error
    if engine.interpreter is not None:
        package = _MODULES[engine.interpreter][1]
        extra = {"tensorflow": "export"}.get(engine.interpreter, "tflite-runtime")
        if package == "ai-edge-litert":
            return MissingComponent(
                "ai-edge-litert is not installed. Install it with: pip install ai-edge-litert"
            )
        return missing_package(package, extra, "run a .tflite file with it")
    return missing_package(
        "ai-edge-litert", "tflite-runtime", "run a .tflite file (or: pip install ai-edge-litert)"
    )


def way_out(tried: dict[str, _Refused]) -> str:
    """What helps against an operator that is too new for the interpreters that were tried."""
    older = (
        "Or use another file: --format tflite-fp32 or tflite-int8 of its bundle, "
        "made with edge-export bundle RUN --formats tflite-fp32,tflite-int8."
    )
    if any(who.startswith("litert") for who in tried):
        return f"Upgrade it with: pip install --upgrade ai-edge-litert. {older}"
    if sys.maxsize < 2**32:  # a 32-bit process, whatever the kernel
        return f"There is no newer interpreter for a 32-bit system. {older.replace('Or use', 'Use', 1)}"
    return f"Install a newer interpreter with: pip install ai-edge-litert. {older}"
