"""From a folder of photos to a run directory: split, train, evaluate.

TensorFlow, Keras and the other heavy packages are imported where they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config.io import load_config as load_config
    from .config.schema import Config as Config
    from .data.split import create_train_val_test_split as create_train_val_test_split
    from .training.fit import fit as fit

_HOMES = {
    "Config": "config.schema",
    "create_train_val_test_split": "data.split",
    "fit": "training.fit",
    "load_config": "config.io",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
