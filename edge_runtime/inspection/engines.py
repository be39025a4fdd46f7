"""What a model file asks of an interpreter, and which of the installed ones can run it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..backends.interpreters import version_of
from ..backends.onnx_graph import mapped
from ..backends.onnx_operators import read_onnx_operators
from ..backends.tflite_operators import read_operators
from ..engine import Engine
from ..errors import EdgeError, MissingComponent, UnsupportedOperator
from ..trial.running import trial
from ..tried import candidates, installed, switched_on


def inspect_engine(file: str | os.PathLike[str], engine: Engine | None = None) -> dict[str, Any]:
    """Operators of a model file, and a real load and run with each installed interpreter.

    Args:
        file: ``.tflite`` or ``.onnx`` file.
        engine: What is asked of the interpreters; None for the defaults. Where it names one, only
            that one is tried.

    Returns:
        ``operators`` (``name``, ``version`` or for ONNX the version of its ``domain``, ``count``),
        ``opsets`` (domain to version; null of a TFLite file), ``ir_version`` (null of a TFLite
        file), and ``interpreters``: ``name``, ``installed``, ``version``, ``runs`` (null where it
        was not tried: trial runs are switched off, or it is TensorFlow's and another one failed on
        the file), ``why_not``, ``ms`` (one run), ``uses`` (kernels or providers).

    Raises:
        ModelError: The file is damaged.
    """
    path = Path(file)
    return _operators(path) | {"interpreters": _interpreters(path, engine or Engine())}


def _operators(path: Path) -> dict[str, Any]:
    if path.suffix == ".tflite":
        found = [asdict(o) for o in read_operators(path.read_bytes(), str(path))]
        return {"operators": found, "opsets": None, "ir_version": None}
    graph = read_onnx_operators(mapped(path), str(path))
    return {
        "operators": [asdict(o) for o in graph.operators],
        "opsets": dict(graph.opsets),
        "ir_version": graph.ir_version,
    }


def _interpreters(path: Path, engine: Engine) -> list[dict[str, Any]]:
    names = candidates(path) if engine.interpreter is None else (engine.interpreter,)
    present = installed(names)
    entries: list[dict[str, Any]] = []
    failed = ""
    for name in names:
        entry: dict[str, Any] = {"name": name, "installed": name in present}
        entry |= dict.fromkeys(("version", "runs", "why_not", "ms", "uses"))
        if name not in present:
            entry |= {"runs": False, "why_not": "not installed"}
        else:
            entry["version"] = version_of(name) or None
            if name == "tensorflow" and failed:
                entry["why_not"] = f"{failed} failed on it; --interpreter tensorflow tries it"
            elif switched_on():
                try:
                    entry |= _tried(path, engine, name)
                except EdgeError as error:
                    why = str(error).removeprefix(f"{path.absolute()}: ")
                    entry |= {"runs": False, "why_not": why}
                    # One that lacks something says nothing about the file.
                    if not isinstance(error, (UnsupportedOperator, MissingComponent)):
                        failed = name
        entries.append(entry)
    return entries


def _tried(path: Path, engine: Engine, name: str) -> dict[str, Any]:
    asked = Engine(engine.threads, name, engine.delegate, engine.providers)
    answer = trial(path, asked)
    uses = answer.get("delegate") or ", ".join(answer.get("providers", ()))
    return {"runs": True, "ms": answer["ms"], "uses": uses}


def engine_lines(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The same for people: names on the left, facts on the right; none without the facts."""
    if report.get("operators") is None:
        return []
    lines = []
    if report["opsets"] is not None:
        opsets = ", ".join(f"{domain or 'ai.onnx'} {n}" for domain, n in report["opsets"].items())
        lines.append(("opset", f"{opsets}; IR version {report['ir_version']}"))
    parts = (_operator_text(o, report["opsets"] is None) for o in report["operators"])
    lines.append(("operators", ", ".join(parts) or "none"))
    for number, entry in enumerate(report["interpreters"]):
        lines.append(("" if number else "runs with", _interpreter_text(entry)))
    return lines


def _operator_text(operator: dict[str, Any], versioned: bool) -> str:
    version = f" v{operator['version']}" if versioned else ""
    return f"{operator['count']} {operator['name']}{version}"


def _interpreter_text(entry: dict[str, Any]) -> str:
    who = f"{entry['name']} {entry['version'] or ''}".rstrip()
    if entry["runs"]:
        return f"{who}: yes, {entry['ms']:.1f} ms a run, {entry['uses']}"
    if entry["runs"] is None:
        return f"{who}: installed, not tried" + (
            f": {entry['why_not']}" if entry["why_not"] else ""
        )
    return f"{who}: no, {entry['why_not']}"
