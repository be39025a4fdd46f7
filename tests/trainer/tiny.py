"""A backbone of two convolutions; the real ones take ten seconds each to trace."""

from __future__ import annotations

from typing import Any

from edge_runtime.backends.full_model import import_keras
from trainer.network.backbones import BACKBONES, Backbone

#: Channels of its feature map.
FEATURES = 8

TINY = Backbone("tiny", "Tiny", fine_tune_at=1)


def build(include_top: bool, weights: None, input_tensor: Any) -> Any:
    """What ``keras.applications.Tiny`` would be."""
    keras = import_keras()
    layers = keras.layers
    found = layers.Rescaling(1 / 255, name="rescaling")(input_tensor)
    for number in (1, 2):
        found = layers.Conv2D(FEATURES, 3, strides=4, name=f"conv_{number}")(found)
        found = layers.BatchNormalization(name=f"norm_{number}")(found)
        found = layers.ReLU(name=f"relu_{number}")(found)
    return keras.Model(input_tensor, found)


def install() -> None:
    """Make it the backbone ``tiny`` of this process."""
    BACKBONES[TINY.name] = TINY
    import_keras().applications.Tiny = build
