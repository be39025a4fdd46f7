"""Classify photos on a small board: the part of the toolkit that runs on the device.

Loads numpy, Pillow, click and one interpreter, and only when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bundle import Bundle as Bundle
    from .classifier import Classifier as Classifier
    from .engine import Engine as Engine
    from .errors import EdgeError as EdgeError
    from .heatmap import Explanation as Explanation
    from .manifest import ModelInfo as ModelInfo
    from .manifest import PreprocessSpec as PreprocessSpec
    from .prediction import Prediction as Prediction
    from .preprocess import Photo as Photo
    from .preprocess import Roi as Roi
    from .settings import ModelSettings as ModelSettings

__version__ = "0.1.0"

_HOMES = {
    "Bundle": "bundle",
    "Classifier": "classifier",
    "EdgeError": "errors",
    "Engine": "engine",
    "Explanation": "heatmap",
    "ModelInfo": "manifest",
    "ModelSettings": "settings",
    "Photo": "preprocess",
    "Prediction": "prediction",
    "PreprocessSpec": "manifest",
    "Roi": "preprocess",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
