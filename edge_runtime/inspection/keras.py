"""What a ``.keras`` file says of its input and output, read without Keras."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ModelError


def keras_ends(path: Path) -> tuple[tuple[str, str, Any], str]:
    """Name, dtype and shape of a Keras model's input, and the name of its output.

    Raises:
        ModelError: It is damaged, or none of Keras 3.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))["config"]
        first = next(e for e in config["layers"] if e["class_name"] == "InputLayer")["config"]
        last = np.array(config["output_layers"], object).ravel()[0]
        shape = first.get("batch_shape") or first["batch_input_shape"]
        return (str(first["name"]), str(first["dtype"]), shape), str(last)
    except (
        OSError, ValueError, KeyError, IndexError, TypeError, StopIteration, zipfile.BadZipFile,
    ) as error:  # fmt: skip
        raise ModelError(
            f"{path}: damaged, or no Keras 3 model ({error!r}). Train again."
        ) from error
