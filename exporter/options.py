"""How a run is exported: what the command's options say, as one validated object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edge_runtime.errors import UsageError

#: ONNX operator sets: 13 brought per-channel quantisation; 18 is the last that tf2onnx knows.
OPSETS = (13, 18)
DEFAULT_OPSET = 17

#: What the input and the output of ``tflite-int8`` may be.
INT8_IO = ("uint8", "int8", "float32")

DEFAULT_PHOTOS = 200

#: What ``tflite-int8`` may lose, in percentage points, and the share of answers that stay.
DEFAULT_MAX_DROP = 0.5
DEFAULT_AGREEMENT = 0.99

#: A fixed batch above this is a mistake: the input alone would take 150 MB at 224 pixels.
LARGEST_BATCH = 256


@dataclass(frozen=True)
class ExportOptions:
    """What holds for all formats of one export."""

    batch: int | None = 1  #: photos that a file takes at once; None: as many as it is given
    logits: bool = False  #: files end in front of the softmax
    opset: int = DEFAULT_OPSET  #: ONNX operator set, see :data:`OPSETS`
    int8_io: str = "uint8"  #: dtype of input and output of ``tflite-int8``, see :data:`INT8_IO`
    #: Percentage points of accuracy that ``tflite-int8`` may lose; None: plain int8, whatever it
    #: loses.
    max_drop: float | None = DEFAULT_MAX_DROP
    min_agreement: float = DEFAULT_AGREEMENT  #: share of its answers that must be the same
    calibration_photos: int = DEFAULT_PHOTOS  #: training photos that ranges are measured on
    seed: int = 0  #: of their drawing
    license: str | None = None  #: of the model, for its description

    def __post_init__(self) -> None:
        if self.batch is not None and not 1 <= self.batch <= LARGEST_BATCH:
            raise UsageError(
                f"--batch {self.batch}: expected 1 to {LARGEST_BATCH}, or `dynamic` for any number."
            )
        if not OPSETS[0] <= self.opset <= OPSETS[1]:
            raise UsageError(f"--opset {self.opset}: expected {OPSETS[0]} to {OPSETS[1]}.")
        if self.int8_io not in INT8_IO:
            raise UsageError(f"--int8-io {self.int8_io}: expected one of {', '.join(INT8_IO)}.")
        if self.max_drop is not None and not 0 <= self.max_drop <= 100:
            raise UsageError(
                f"--max-drop {self.max_drop:g}: expected 0 to 100 percentage points, or `none`."
            )
        if not 0 <= self.min_agreement <= 1:
            raise UsageError(f"--min-agreement {self.min_agreement:g}: expected 0 to 1.")
        if self.calibration_photos < 1:
            raise UsageError("--calibration-photos: expected at least 1.")

    @property
    def scores(self) -> str:
        """Name of the output that holds the class scores, and of their kind."""
        return "logits" if self.logits else "probabilities"

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that the converting process gets."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ExportOptions:
        """Read :meth:`to_dict` back."""
        return cls(**data)


def parse_drop(text: str) -> float | None:
    """What ``--max-drop`` says: percentage points, None for ``none``.

    Raises:
        UsageError: It is neither.
    """
    if text == "none":
        return None
    try:
        return float(text)
    except ValueError as error:
        raise UsageError(
            f"--max-drop {text}: expected percentage points, e.g. 0.5, or `none`."
        ) from error


def parse_batch(text: str) -> int | None:
    """What ``--batch`` says: a number of photos, None for ``dynamic``.

    Raises:
        UsageError: It is neither.
    """
    if text == "dynamic":
        return None
    if not text.isascii() or not text.isdigit():
        raise UsageError(f"--batch {text}: expected a number of photos, or `dynamic`.")
    return int(text)
