"""Load a model file and run it once, in a child process that may crash, hang or fill the memory."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..backends.interpreters import label
from ..child.asking import ask, module_command
from ..engine import Engine
from ..errors import (
    ChildDied,
    EdgeError,
    MissingComponent,
    ModelError,
    Overdue,
    UnsupportedOperator,
    UsageError,
)
from ..tried import candidates, installed
from .known_models import KnownModel, model_for

_log = logging.getLogger("edge_runtime")

#: Environment variables that a user may set.
_TIMEOUT, _MEMORY = "EDGE_CLASSIFY_PROBE_TIMEOUT", "EDGE_CLASSIFY_PROBE_MEMORY"

#: Seconds: a Raspberry Pi Zero 2 W has to start Python, map the file and run it once, from a slow
#: SD card.
_SECONDS = 60.0

#: Resident memory allowed, in MB, and as a multiple of the file's size: an EfficientNetB0 of
#: 16 MB takes 95 MB in LiteRT and 123 MB in onnxruntime, which keeps a second copy of the
#: weights; importing TensorFlow alone can take 800 MB.
_MEGABYTES, _FILE_SIZES = 700, 5
_OF_TENSORFLOW = 2000


def trial(file: str | os.PathLike[str], engine: Engine) -> dict[str, Any]:
    """Load a file and run it once in a child process.

    Args:
        file: A ``.tflite`` or ``.onnx`` file.
        engine: Interpreter, threads, delegate, providers.

    Returns:
        The answer of :mod:`edge_runtime.trial.worker`.

    Raises:
        ChildDied: It crashed, or took too much memory.
        Overdue: It took too long.
        EdgeError: The interpreter refused it.
    """
    where = os.path.abspath(file)
    seconds = _number(_TIMEOUT, _SECONDS)
    megabytes = _number(_MEMORY, 0.0)
    usual = _OF_TENSORFLOW if engine.interpreter == "tensorflow" else _MEGABYTES
    memory = int(megabytes * 1e6) or int(usual * 1e6) + _FILE_SIZES * os.path.getsize(where)
    if not megabytes and (engine.providers or engine.delegate not in (None, "none")):
        memory = 0  # a driver maps what it likes
    request = {"model": where, "engine": asdict(engine)}
    remedy = f"If it only needs more, set {_TIMEOUT} (seconds) or {_MEMORY} (MB)."
    return ask(
        module_command("edge_runtime.trial.worker"),
        request,
        timeout=seconds,
        remedy=remedy,
        memory=memory or None,
    )


def trial_of(model: KnownModel, engine: Engine) -> dict[str, Any]:
    """:func:`trial` of a small model that is known to be whole."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="edge-classify-") as folder:
        file = Path(folder) / model.name
        file.write_bytes(model.data)
        return trial(file, engine)


def first_able(file: Path, engine: Engine) -> str | None:
    """The first interpreter that passes a trial run; None where those that are there refuse.

    Args:
        file: A ``.tflite`` or ``.onnx`` file.
        engine: What is asked of the interpreter.

    Raises:
        ModelError: It crashes on this file, takes too long or too much memory.
        MissingComponent: It crashes on any file, or what is asked of it is missing.
    """
    names = [engine.interpreter] if engine.interpreter else installed(candidates(file))
    crashed: dict[str, EdgeError] = {}
    for name in names:
        if name == "tensorflow" and crashed:
            break  # seconds of waiting, for an interpreter that is most likely to crash as well
        try:
            trial(file, replace(engine, interpreter=name))
        except (ChildDied, Overdue) as error:
            crashed[name] = error
        except (UnsupportedOperator, MissingComponent) as error:
            if engine.delegate or engine.providers:
                raise  # what was asked for is missing, not the interpreter
            _log.debug("%s: %s", name, error)
        else:
            for other, reason in crashed.items():
                _log.warning("%s: %s failed in a trial run: %s %s does.", file, other, reason, name)
            return name
    if crashed:
        raise _explained(file, engine, crashed)
    return None


def _explained(file: Path, engine: Engine, crashed: dict[str, EdgeError]) -> EdgeError:
    """Whether the file or the interpreter is at fault, and what to do about it."""
    name, error = next(iter(crashed.items()))
    hint = ""
    if name != "tensorflow" and installed(_others(file, engine)):
        hint = " Or see what TensorFlow makes of it with --interpreter tensorflow."
    plain = Engine(threads=engine.threads, interpreter=name)
    try:
        trial_of(model_for(file), plain)
    except (ChildDied, Overdue) as other:
        return MissingComponent(
            f"{label(name)} does not run on this machine: {other} Install another version or "
            f"another interpreter; edge-classify doctor says which work here.{hint}"
        )
    except EdgeError:
        pass
    asked = " with this --delegate or --provider" if engine.delegate or engine.providers else ""
    where = f"{file}: {label(name)} failed on it{asked} in a trial run: {error}"
    if not isinstance(error, Overdue):
        where += (
            " Other models run, so the file is damaged, or needs more than this machine "
            "has: copy or export it again."
        )
    return ModelError(where + hint)


def _others(file: Path, engine: Engine) -> tuple[str, ...]:
    """TensorFlow, where it could be tried and was not."""
    asked = engine.interpreter is not None or "tensorflow" not in candidates(file)
    return () if asked else ("tensorflow",)


def _number(variable: str, otherwise: float) -> float:
    text = os.environ.get(variable)
    if not text:
        return otherwise
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise UsageError(f"{variable}={text}: a number above 0 was expected.")
    return value
