"""When an exported file counts as faithful, format by format, with the reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Threshold:
    """When a format counts as faithful.

    A float format is held to its probabilities and heat maps; a quantised one, which changes them
    by design, to its answers.

    Attributes:
        reason: Why it is these numbers.
        max_abs_diff: Largest allowed difference of any probability; None: not limited.
        answers: Largest allowed share of photos with another top-1, and of photos lost from
            the accuracy; one photo is always allowed. None: not limited.
        heatmap: Smallest mean correlation of the heat maps. A float format fails below it, a
            quantised one is warned of.
        device: Largest difference of any probability, on the same pixels, that another
            processor or interpreter may make with the same file.
        device_reason: Why.
    """

    reason: str
    max_abs_diff: float | None = None
    answers: float | None = None
    heatmap: float = 0.999
    device: float = 1e-4
    device_reason: str = ""

    @property
    def tie(self) -> float | None:
        """Distance of the two best reference scores up to which their order proves nothing.

        Each of the two may move by ``max_abs_diff``. None for a format that is held to answers.
        """
        return None if self.max_abs_diff is None else 2 * self.max_abs_diff

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of the report."""
        limits: dict[str, Any] = {}
        if self.max_abs_diff is not None:
            limits["max_abs_diff"] = self.max_abs_diff
        if self.answers is not None:
            limits["min_agreement"] = 1 - self.answers
            limits["max_accuracy_drop"] = self.answers
        return {**limits, "min_heatmap_correlation": self.heatmap, "reason": self.reason}


_FLOAT_DEVICE = (
    "float32 sums in another order on another processor: 1e-7 between x86 and emulated arm64, and "
    "1e-4 leaves room for other kernels"
)
_INT8_DEVICE = (
    "8-bit kernels round differently: up to 7 steps of 1/256 between interpreters, and a step more"
)
_QDQ_DEVICE = (
    "how many of the roundings remain is the runtime's choice, which fuses differently on each "
    "processor: onnxruntime with and without its optimisations is 15 steps of 1/256 apart, and a "
    "step more"
)

_FLOAT32 = Threshold(
    max_abs_diff=2e-5,
    reason="the same float32 arithmetic in another order: at most 4e-6 on trained networks and "
    "1e-5 with random kernels (EfficientNetB3), over all backbones of the trainer, and twice that; "
    "a wrong operator shows at 1e-3 and above. The heat map is the same sum in another order",
    device_reason=_FLOAT_DEVICE,
)
_FLOAT16 = Threshold(
    max_abs_diff=5e-3,
    reason="weights rounded to 11 significant bits (IEEE 754 binary16), arithmetic in float32: an "
    "answer can then change only where two classes are within 1e-2 of each other, which is a tie",
    device_reason=_FLOAT_DEVICE,
)
_HALF = Threshold(
    max_abs_diff=5e-3,
    reason="weights rounded to 11 significant bits (IEEE 754 binary16), and activations where the "
    "runtime computes in it: an answer can then change only where two classes are within 1e-2 of "
    "each other, which is a tie",
    device=5e-3,
    device_reason="some processors compute in float16, others widen it to float32",
)


def _quantised(reason: str, device: float, device_reason: str, heatmap: float = 0.95) -> Threshold:
    return Threshold(
        answers=0.02,
        reason=f"{reason} change the probabilities by design, so the answers count: no more than "
        "2 % may change, and no more be lost from the accuracy. One photo is always allowed, since "
        "it may be a tie and few photos prove little. A heat map is for people, who see no "
        f"difference from a correlation of {heatmap:g} up; one that falls below it is a warning",
        heatmap=heatmap,
        device=device,
        device_reason=device_reason,
    )


_DYNAMIC = _quantised(
    "8-bit weights, and activations that are rounded to 8 bits for each product,",
    0.02,
    "the activations are rounded to 8 bits where the processor's kernels do so, and not elsewhere",
)

THRESHOLDS: dict[str, Threshold] = {
    "saved_model": _FLOAT32,
    "tflite-fp32": _FLOAT32,
    "tflite-fp16": _FLOAT16,
    "tflite-dynamic": _DYNAMIC,
    "tflite-int8w": _quantised("8-bit weights", 1e-4, _FLOAT_DEVICE),
    "tflite-int8": _quantised("8-bit weights and activations", 8 / 256, _INT8_DEVICE),
    "tflite-int16x8": _quantised(
        "8-bit weights with 16-bit activations",
        2e-3,
        "16-bit kernels round differently: the output's step is 1/32768, and some sixty steps "
        "leave room for what rounding adds up over the layers",
    ),
    "onnx-fp32": _FLOAT32,
    "onnx-fp16": _HALF,
    "onnx-int8": _quantised("8-bit weights and activations", 16 / 256, _QDQ_DEVICE),
}


def is_float(fmt: str) -> bool:
    """Whether a format must give the Keras model's probabilities, not only its answers."""
    return THRESHOLDS[fmt].max_abs_diff is not None


def device_tolerance(fmt: str) -> dict[str, Any]:
    """``max_abs_diff`` of a probability between two devices with the same file, and ``reason``."""
    threshold = THRESHOLDS[fmt]
    return {"max_abs_diff": threshold.device, "reason": threshold.device_reason}
