"""Try a model file in a child process the first time that this board meets it.

An interpreter that was built for another CPU ends its process with an illegal instruction, and a
damaged file may crash it, keep it busy for ever or fill the memory. In a child process that is a
message. What has passed is remembered (:mod:`edge_runtime.seen`) by the file's size and time, the
installed interpreters, the board, and what was asked of the interpreter, so that later starts
cost one look-up. What has failed is not remembered: it is tried again next time.

``EDGE_CLASSIFY_PROBE=0`` switches the trial off, ``EDGE_CLASSIFY_PROBE_TIMEOUT`` sets its seconds
and ``EDGE_CLASSIFY_PROBE_MEMORY`` its memory in MB. Where the cache folder cannot be written, each
start tries again, and says how to avoid it.
"""

from __future__ import annotations

import json
import logging
import os
import zlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .engine import TFLITE_INTERPRETERS, Engine
from .errors import (
    ChildDied,
    EdgeError,
    MissingComponent,
    ModelError,
    Overdue,
    UnsupportedOperator,
    UsageError,
)
from .seen import PROBE, recall, remember, stamp

if TYPE_CHECKING:
    from .backends.probe_models import ProbeModel

_log = logging.getLogger("edge_runtime")

#: Environment variables that a user may set.
SWITCH = "EDGE_CLASSIFY_PROBE"
_TIMEOUT, _MEMORY = "EDGE_CLASSIFY_PROBE_TIMEOUT", "EDGE_CLASSIFY_PROBE_MEMORY"

#: Seconds: a Raspberry Pi Zero 2 W has to start Python, map the file and run it once, from a slow
#: SD card.
_SECONDS = 60.0

#: Resident memory allowed, in MB, and as a multiple of the file's size: an EfficientNetB0 of
#: 16 MB takes 95 MB in LiteRT and 123 MB in onnxruntime, which keeps a second copy of the
#: weights; importing TensorFlow alone can take 800 MB.
_MEGABYTES, _FILE_SIZES = 700, 5
_OF_TENSORFLOW = 2000

#: Trial runs that are remembered for one file: other interpreters, delegates, boards.
_KEPT = 8

#: Package that is imported for each interpreter.
_PACKAGES = {
    "litert": "ai_edge_litert",
    "tflite-runtime": "tflite_runtime",
    "tensorflow": "tensorflow",
    "onnxruntime": "onnxruntime",
}


def probed(file: Path, engine: Engine) -> Engine:
    """The engine for a file, with the interpreter that has passed a trial run with it.

    Args:
        file: A ``.tflite`` or ``.onnx`` file.
        engine: What is asked of the interpreter.

    Returns:
        It, with ``interpreter`` set where a trial run has shown which one is able.

    Raises:
        ModelError: The file crashes every interpreter, takes too long or too much memory.
        MissingComponent: An interpreter crashes whatever it is given, on this board.
        UsageError: A setting in the environment is no number.
    """
    if not switched_on():
        return engine
    key, now = PROBE + str(file.resolve()), stamp(file)
    signature = _signature(file, engine)
    known = recall().get(key)
    passed: dict[str, str] = {}
    if isinstance(known, list) and len(known) == 3 and known[:2] == now:
        passed = dict(known[2]) if isinstance(known[2], dict) else {}
    if passed.get(signature) in _PACKAGES:
        return replace(engine, interpreter=passed[signature])
    name = _first_able(file, engine)
    if name is None:  # none is installed or able: opening says so, and cannot crash any more
        return engine
    newest = [*passed.items(), (signature, name)][-_KEPT:]
    if not remember(key, [*now, dict(newest)]):
        _log.warning(
            "the cache folder cannot be written, so %s is tried in a child process at each start. "
            "Set EDGE_CLASSIFY_CACHE to a folder that can, or %s=0.", file.name, SWITCH,
        )  # fmt: skip
    return replace(engine, interpreter=name)


def switched_on() -> bool:
    """Whether trial runs are wanted, see :data:`SWITCH`."""
    return os.environ.get(SWITCH, "1").lower() not in ("0", "off", "no", "false")


def installed(names: Sequence[str]) -> list[str]:
    """Those interpreters that are installed, found without importing them."""
    return [name for name in names if PathFinder.find_spec(_PACKAGES[name]) is not None]


def candidates(file: str | os.PathLike[str]) -> tuple[str, ...]:
    """The interpreters for a kind of file, in the order in which they are tried."""
    return ("onnxruntime",) if os.fspath(file).endswith(".onnx") else TFLITE_INTERPRETERS


def trial(file: str | os.PathLike[str], engine: Engine) -> dict[str, Any]:
    """Load a file and run it once in a child process.

    Args:
        file: A ``.tflite`` or ``.onnx`` file.
        engine: Interpreter, threads, delegate, providers.

    Returns:
        The answer of :mod:`edge_runtime.probe_worker`.

    Raises:
        ChildDied: It crashed, or took too much memory.
        Overdue: It took too long.
        EdgeError: The interpreter refused it.
    """
    from .child import ask, module_command

    where = os.path.abspath(file)
    seconds = _number(_TIMEOUT, _SECONDS)
    megabytes = _number(_MEMORY, 0.0)
    usual = _OF_TENSORFLOW if engine.interpreter == "tensorflow" else _MEGABYTES
    memory = int(megabytes * 1e6) or int(usual * 1e6) + _FILE_SIZES * os.path.getsize(where)
    if not megabytes and (engine.providers or engine.delegate not in (None, "none")):
        memory = 0  # a driver maps what it likes
    request = {"model": where, "engine": asdict(engine)}
    remedy = f"Where the board is only slow, set {_TIMEOUT} to more seconds."
    return ask(
        module_command("edge_runtime.probe_worker"),
        request,
        timeout=seconds,
        remedy=remedy,
        memory=memory or None,
    )


def trial_of(model: ProbeModel, engine: Engine) -> dict[str, Any]:
    """:func:`trial` of a small model that is known to be whole."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="edge-classify-") as folder:
        file = Path(folder) / model.name
        file.write_bytes(model.data)
        return trial(file, engine)


def _first_able(file: Path, engine: Engine) -> str | None:
    names = [engine.interpreter] if engine.interpreter else installed(candidates(file))
    crashed: dict[str, EdgeError] = {}
    for name in names:
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
    from .backends.interpreters import label
    from .backends.probe_models import model_for

    name, error = next(iter(crashed.items()))
    plain = Engine(threads=engine.threads, interpreter=name)
    try:
        trial_of(model_for(file), plain)
    except (ChildDied, Overdue) as other:
        return MissingComponent(
            f"{label(name)} does not run on this machine: {other} Install another version or "
            "another interpreter; edge-classify doctor says which work here."
        )
    except EdgeError:
        pass
    asked = " with this --delegate or --provider" if engine.delegate or engine.providers else ""
    where = f"{file}: {label(name)} failed on it{asked} in a trial run: {error}"
    if isinstance(error, Overdue):
        return ModelError(where)
    return ModelError(
        f"{where} Other models run, so the file is damaged, or needs more than this machine "
        "has: copy or export it again."
    )


def _signature(file: Path, engine: Engine) -> str:
    """What else the outcome of a trial run depends on, as a short text."""
    asked = [engine.interpreter, engine.delegate, engine.providers]
    packages = [_package_state(_PACKAGES[name]) for name in candidates(file)[:2]]
    if engine.interpreter == "tensorflow" or not any(packages):
        packages.append(_package_state("tensorflow"))
    text = json.dumps([asked, packages, _package_state("numpy"), _board()])
    return f"{zlib.crc32(text.encode()):08x}"


def _package_state(package: str) -> list[Any]:
    """Place, size and time of an installed package: they change with its version.

    To ask for the version would mean to import the package, which may crash, or importlib.metadata,
    which takes longer than the rest of this module.
    """
    spec = PathFinder.find_spec(package)
    if spec is None or spec.origin is None:
        return []
    state = os.stat(spec.origin)
    return [spec.origin, state.st_size, state.st_mtime_ns]


def _board() -> str:
    """What tells a machine from another: an SD card may move into an older board."""
    try:
        return Path("/proc/device-tree/model").read_text(errors="replace")
    except OSError:
        pass
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as stream:
            lines = stream.read(8192).splitlines()
    except OSError:
        return ""
    wanted = ("model name", "flags", "Features", "CPU part")
    return "".join(next((x for x in lines if x.startswith(name)), "") for name in wanted)


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
