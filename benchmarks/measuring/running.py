"""Which interpreter, and which part of it, really runs a model."""

from __future__ import annotations

from typing import Any

from edge_runtime.backends.base import Backend
from edge_runtime.backends.interpreters import version_of

#: What runs the full models, by the backend's name.
_FULL = {"saved_model": "tensorflow"}


def describe_running(backend: Backend) -> dict[str, Any]:
    """What runs a model.

    Returns:
        ``interpreter``, ``version`` (null where it does not tell), ``effective`` (delegate or
        providers, for people; null of full models), ``placement`` (of a .tflite file, see
        :func:`edge_runtime.backends.delegates.placement`) and ``providers`` (of a .onnx file).
    """
    told = backend.running()
    providers = told.get("providers")
    version = told.get("version") or _version(backend.name)
    return {
        "interpreter": _FULL.get(backend.name, backend.name),
        "version": version or None,
        "effective": told.get("delegate") or (", ".join(providers) if providers else None),
        "placement": told.get("placement"),
        "providers": providers,
    }


def _version(name: str) -> str:
    if name == "saved_model":
        return version_of("tensorflow")
    if name == "keras":
        import keras

        return str(keras.__version__)
    return ""
