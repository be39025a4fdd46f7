"""The backbones: which there are, how each is built, and what pixels it wants.

Every backbone here takes raw RGB pixels, float32 0..255, under the input name ``image``;
whatever preprocessing its weights were trained with is part of the graph.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

from edge_runtime.backends.full_model import import_keras
from edge_runtime.errors import UsageError

INPUT_NAME = "image"

#: Mean of the ImageNet photos in blue, green, red, 0..255, as the Caffe models subtract it.
_CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)


@dataclass(frozen=True)
class Backbone:
    """A network of ``keras.applications`` without its classifier."""

    name: str  #: as in options and configuration
    application: str  #: name of the function in ``keras.applications``
    #: Index in :func:`trainer.model.backbone_layers` of the first layer that phase 2 trains.
    fine_tune_at: int
    #: What has to stand in front of it: ``none`` (it brings its own), ``tf`` (to -1..1,
    #: MobileNetV2) or ``caffe`` (BGR, mean subtracted, ResNet).
    preprocessing: str = "none"


#: Where phase 2 begins is measured for EfficientNetB0 only (all of it beats "from layer 100" by
#: about one point on 433 photos at 160 pixels, one seed); the others follow it.
BACKBONES: dict[str, Backbone] = {
    backbone.name: backbone
    for backbone in (
        Backbone("efficientnetb0", "EfficientNetB0", fine_tune_at=0),
        Backbone("efficientnetv2b0", "EfficientNetV2B0", fine_tune_at=0),
        Backbone("resnet50", "ResNet50", fine_tune_at=0, preprocessing="caffe"),
        Backbone("mobilenetv2", "MobileNetV2", fine_tune_at=0, preprocessing="tf"),
        Backbone("mobilenetv3small", "MobileNetV3Small", fine_tune_at=0),
        Backbone("mobilenetv3large", "MobileNetV3Large", fine_tune_at=0),
    )
}


def get_backbone(name: str) -> Backbone:
    """Look a backbone up.

    Raises:
        UsageError: It is unknown; the message lists the known ones.
    """
    if name not in BACKBONES:
        near = difflib.get_close_matches(name.lower().replace("-", ""), BACKBONES, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(f"Unknown backbone {name!r}.{hint} Known: {', '.join(BACKBONES)}.")
    return BACKBONES[name]


def build_base(backbone: Backbone, size: int) -> Any:
    """Build a backbone with random weights.

    Args:
        backbone: Which.
        size: Width and height of the input, pixels, at least 32.

    Returns:
        A flat ``keras.Model`` from float32 (n, size, size, 3), RGB 0..255, to the last feature
        map, (n, h, w, k).
    """
    keras = import_keras()
    image = keras.Input((size, size, 3), name=INPUT_NAME, dtype="float32")
    builder = getattr(keras.applications, backbone.application)
    built = builder(include_top=False, weights=None, input_tensor=_preprocess(image, backbone))
    return keras.Model(image, built.output, name=backbone.name)  # Keras's own takes a list


def _preprocess(image: Any, backbone: Backbone) -> Any:
    keras = import_keras()
    if backbone.preprocessing == "tf":
        return keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="scale_pixels")(image)
    if backbone.preprocessing == "caffe":
        # take() becomes one GATHER in TFLite and ONNX, in int8 too, and has no weights, which
        # would be in the way of loading a weights file by the order of its layers.
        bgr = keras.ops.take(image, [2, 1, 0], axis=-1)
        offset = [-mean for mean in _CAFFE_MEAN_BGR]
        return keras.layers.Rescaling(1.0, offset=offset, name="subtract_mean")(bgr)
    return image
