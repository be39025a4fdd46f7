"""Open ``model.keras`` for conversion: refuse what cannot travel, undo what only training needs."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_runtime.backends.full_model import load_keras_model
from edge_runtime.errors import ModelError

#: Keras's policies that compute in 16 bits.
_HALF = frozenset({"float16", "bfloat16", "mixed_float16", "mixed_bfloat16"})

_CONFIG = "config.json"


def open_model(path: Path) -> Any:
    """Load the model of a run as a float32 graph.

    What training needed is undone: mixed precision becomes float32, in which the weights are kept
    anyway. Augmentation layers stay: at inference they pass photos on.

    Args:
        path: ``model.keras``.

    Returns:
        A ``keras.Model``.

    Raises:
        ModelError: The file is damaged, or holds Python code that no other program can run.
    """
    refuse_lambda(path)
    model = load_keras_model(path)
    if {layer.compute_dtype for layer in model.layers} & _HALF:
        return in_float32(model)
    return model


def refuse_lambda(path: Path) -> None:
    """Raise ModelError if a ``.keras`` file holds a Lambda layer; say which.

    A damaged file passes; opening it says what is wrong.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read(_CONFIG))
    except (OSError, zipfile.BadZipFile, KeyError, ValueError):
        return
    names = [
        str(entry.get("name") or entry.get("config", {}).get("name"))
        for entry in _objects(config)
        if entry.get("class_name") == "Lambda"
    ]
    if names:
        raise ModelError(
            f"{path}: layer {', '.join(names)} is a Lambda: Python code, which only the program "
            "that wrote it can run. Replace it by layers or keras.ops, and train again."
        )


def in_float32(model: Any) -> Any:
    """The same network and weights, computing in float32.

    Args:
        model: A ``keras.Model`` under a policy such as ``mixed_float16``.

    Raises:
        ModelError: Keras cannot build it anew.
    """
    config = model.get_config()
    for entry in _objects(config):
        if "dtype" in entry:
            entry["dtype"] = _full(entry["dtype"])
    try:
        plain = type(model).from_config(config)
        plain.set_weights(model.get_weights())
    except Exception as error:  # Keras raises anything
        raise ModelError(
            f"The model computes in 16 bits and cannot be rebuilt in float32 ({error}). Train again "
            "with precision float32."
        ) from error
    return plain


def _full(dtype: Any) -> Any:
    """A dtype or serialised policy of a layer, in float32 if it was in 16 bits."""
    name = dtype.get("config", {}).get("name") if isinstance(dtype, dict) else dtype
    return "float32" if name in _HALF else dtype


def _objects(data: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object inside another, itself included."""
    if isinstance(data, dict):
        yield data
        for value in list(data.values()):
            yield from _objects(value)
    elif isinstance(data, (list, tuple)):
        for value in data:
            yield from _objects(value)
