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
from importlib.machinery import PathFinder
from typing import Any

from .engine import TFLITE_INTERPRETERS, Engine
from .records import replace
from .seen import PROBE, recall, remember, stamp

_log = logging.getLogger("edge_runtime")

#: Environment variable that switches trial runs off.
SWITCH = "EDGE_CLASSIFY_PROBE"

#: Trial runs that are remembered for one file: other interpreters, delegates, boards.
_KEPT = 8

#: Package that is imported for each interpreter.
_PACKAGES = {
    "litert": "ai_edge_litert",
    "tflite-runtime": "tflite_runtime",
    "tensorflow": "tensorflow",
    "onnxruntime": "onnxruntime",
}


def probed(file: str | os.PathLike[str], engine: Engine) -> Engine:
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
    key, now = PROBE + os.path.realpath(file), stamp(file)
    signature = _signature(file, engine)
    known = recall().get(key)
    passed: dict[str, str] = {}
    if isinstance(known, list) and len(known) == 3 and known[:2] == now:
        passed = dict(known[2]) if isinstance(known[2], dict) else {}
    if passed.get(signature) in _PACKAGES:
        return replace(engine, interpreter=passed[signature])
    from pathlib import Path

    from .trial.running import first_able  # a start that remembers does not need it

    name = first_able(Path(file), engine)
    if name is None:  # none is installed or able: opening says so, and cannot crash any more
        return engine
    newest = [*passed.items(), (signature, name)][-_KEPT:]
    if not remember(key, [*now, dict(newest)]):
        _log.warning(
            "the cache folder cannot be written, so %s is tried in a child process at each start. "
            "Set EDGE_CLASSIFY_CACHE to a folder that can, or %s=0.", os.path.basename(file), SWITCH,
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


def _signature(file: str | os.PathLike[str], engine: Engine) -> str:
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
    # Of a PC the features; /proc/cpuinfo has them too, and some kernels take 20 ms to write it.
    for file in ("/proc/device-tree/model", "/sys/devices/system/cpu/modalias"):
        try:
            with open(file, errors="replace") as stream:
                return stream.read()
        except OSError:
            continue
    return ""
