"""Two small classifiers that are known to be whole, with which an interpreter is tried.

``scripts/make_probe_models.py`` makes them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent.parent / "data"

#: Their answer to a picture in which every value is 100: softmax([1.5, 3, 6, 9]).
SCORES = (0.000525, 0.002354, 0.047289, 0.949831)

#: Float kernels sum and exponentiate in different orders.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class KnownModel:
    """A model file.

    Attributes:
        name: Its file name.
        data: Its contents.
    """

    name: str
    data: bytes


def model_for(file: str | os.PathLike[str]) -> KnownModel:
    """The small model of the same kind as a file, by its name's ending."""
    name = "probe.onnx" if os.fspath(file).endswith(".onnx") else "probe.tflite"
    return KnownModel(name, (_FOLDER / name).read_bytes())
