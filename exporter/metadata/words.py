"""Sentences that model files of all formats carry for people."""

from __future__ import annotations

from edge_runtime import __version__
from edge_runtime.manifest import ModelInfo

INPUT_DESCRIPTION = "RGB photo, pixel values 0 to 255; normalisation is part of the network."

_OUTPUTS = {
    "probabilities": "Probability of each class, in the order of the labels.",
    "logits": "Logit of each class, in the order of the labels; softmax gives probabilities.",
}


def description(info: ModelInfo) -> str:
    """What the file is, in one or two sentences."""
    count = len(info.class_names)
    scheme = info.about.get("quantization")
    quantised = f" Quantisation: {scheme}." if scheme else ""
    return f"Image classifier for {count} classes, exported by edge-classify.{quantised}"


def output_description(info: ModelInfo) -> str:
    """What the class scores are."""
    return _OUTPUTS[info.output.kind]


def author() -> str:
    """Which program wrote the file; who trained the model is not known to it."""
    return f"edge-classify {__version__}"
