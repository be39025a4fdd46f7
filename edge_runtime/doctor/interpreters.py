"""Interpreters with a real inference each, and the hardware that they could use."""

from __future__ import annotations

import ctypes.util
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from ..backends.interpreters import version_of
from ..engine import INTERPRETERS, Engine
from ..errors import EdgeError
from ..procfs import read
from ..trial.known_models import SCORES, TOLERANCE, model_for
from ..trial.running import trial_of
from ..tried import installed

#: Vendor and product of a Coral USB Accelerator, before and after its first use.
_EDGETPU_USB = {("1a6e", "089a"), ("18d1", "9302")}


def try_interpreters() -> list[dict[str, Any]]:
    """Run a small model with each interpreter, in a child process each.

    Returns:
        For each: ``name``, ``installed``, ``version``, ``works``, ``ms`` (one inference),
        ``load_ms`` (import and load), ``uses`` (kernels or providers), ``providers`` (all that
        this onnxruntime has) and ``error``.
    """
    return [_try(name) for name in INTERPRETERS]


def _try(name: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "installed": bool(installed([name])), "works": False}
    entry |= dict.fromkeys(("version", "ms", "load_ms", "uses", "providers", "error"))
    if not entry["installed"]:
        return entry
    entry["version"] = version_of(name) or None
    model = model_for("probe.onnx" if name == "onnxruntime" else "probe.tflite")
    try:
        answer = trial_of(model, Engine(threads=1, interpreter=name))
    except EdgeError as error:
        return entry | {"error": str(error)}
    scores = answer["scores"] or []
    right = len(scores) == len(SCORES) and all(
        abs(found - expected) <= TOLERANCE for found, expected in zip(scores, SCORES, strict=True)
    )
    return entry | {
        "works": right,
        "version": answer["version"] or entry["version"],
        "ms": answer["ms"],
        "load_ms": answer["load_ms"],
        "uses": answer.get("delegate") or ", ".join(answer.get("providers", ())),
        "providers": answer.get("available"),
        "error": None if right else f"computes wrong scores: {scores}, expected {list(SCORES)}.",
    }


def find_accelerators(root: Path) -> dict[str, Any]:
    """Hardware beside the processor, and the libraries for it.

    Args:
        root: Where ``dev`` and ``sys`` lie.

    Returns:
        ``edgetpu`` (``library``, ``devices``) and ``gpu`` (``litert``: the library of LiteRT,
        ``vulkan``: that of the system, ``devices``).
    """
    usb = [
        f"USB {folder.name}"
        for folder in sorted((root / "sys/bus/usb/devices").glob("*"))
        if (read(folder / "idVendor"), read(folder / "idProduct")) in _EDGETPU_USB
    ]
    pcie = [f"/dev/{file.name}" for file in sorted((root / "dev").glob("apex_*"))]
    nodes = sorted((root / "dev/dri").glob("renderD*"))
    return {
        "edgetpu": {"library": ctypes.util.find_library("edgetpu"), "devices": usb + pcie},
        "gpu": {
            "litert": _litert_gpu(),
            "vulkan": ctypes.util.find_library("vulkan"),
            "devices": [f"/dev/dri/{node.name}" for node in nodes],
        },
    }


def _litert_gpu() -> str | None:
    spec = PathFinder.find_spec("ai_edge_litert")
    if spec is None or spec.origin is None:
        return None
    found = sorted(Path(spec.origin).parent.glob("libLiteRt*GpuAccelerator.so"))
    return found[0].name if found else None
