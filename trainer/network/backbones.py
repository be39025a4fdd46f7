"""The backbones: which there are, how each is built, and what pixels it wants.

Every backbone here takes raw RGB pixels, float32 0..255, under the input name ``image``;
whatever preprocessing its weights were trained with is part of the graph. The figures of the
table are written down, so that ``edge-train backbones`` answers at once; a test counts them again.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_runtime.backends.full_model import import_keras
from edge_runtime.errors import UsageError

from .convnext import convnext_features

INPUT_NAME = "image"

#: Mean of the ImageNet photos in blue, green, red, 0..255, as the Caffe models subtract it.
_CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)


@dataclass(frozen=True)
class Backbone:
    """A network of ``keras.applications`` without its classifier."""

    name: str  #: as in options and configuration
    application: str  #: name of the function in ``keras.applications``
    size: int = 224  #: width and height that its weights were made for, pixels
    parameters: int = 0  #: values in its weights
    #: Multiply-accumulates of its convolutions and dense layers, one photo of ``size``.
    macs: int = 0
    #: ImageNet accuracy, 0..1, of Keras's weights, as keras.io/api/applications states it (for
    #: MobileNetV3, which is not there, the docstring of Keras's module).
    top1: float = 0.0
    file: str = ""  #: the ImageNet weights in Keras's cache, ``~/.keras/models``
    note: str = ""  #: what to choose it for
    #: Index in :func:`trainer.network.model.backbone_layers` of the first layer that phase 2 trains.
    fine_tune_at: int = 0
    #: What has to stand in front of it: ``none`` (it brings its own), ``tf`` (to -1..1,
    #: MobileNetV2) or ``caffe`` (BGR, mean subtracted, ResNet).
    preprocessing: str = "none"
    #: Builds the feature map from the pixels, where Keras's own graph is not flat.
    features: Callable[[Any], Any] | None = None


#: Where phase 2 begins is measured for EfficientNetB0 only (all of it beats "from layer 100" by
#: about one point on 433 photos at 160 pixels, one seed); the others follow it.
BACKBONES: dict[str, Backbone] = {
    backbone.name: backbone
    for backbone in (
        Backbone(
            "efficientnetb0",
            "EfficientNetB0",
            parameters=4_049_571,
            macs=384_534_752,
            top1=0.771,
            file="efficientnetb0_notop.h5",
            note="the default",
        ),
        Backbone(
            "efficientnetb1",
            "EfficientNetB1",
            size=240,
            parameters=6_575_239,
            macs=685_522_832,
            top1=0.791,
            file="efficientnetb1_notop.h5",
            note="a step up from B0",
        ),
        Backbone(
            "efficientnetb2",
            "EfficientNetB2",
            size=260,
            parameters=7_768_569,
            macs=992_153_872,
            top1=0.801,
            file="efficientnetb2_notop.h5",
            note="between B1 and B3",
        ),
        Backbone(
            "efficientnetb3",
            "EfficientNetB3",
            size=300,
            parameters=10_783_535,
            macs=1_825_605_392,
            top1=0.816,
            file="efficientnetb3_notop.h5",
            note="fine detail, slow",
        ),
        Backbone(
            "efficientnetv2b0",
            "EfficientNetV2B0",
            parameters=5_919_312,
            macs=716_806_176,
            top1=0.787,
            file="efficientnetv2-b0_notop.h5",
            note="shallower and wider than B0",
        ),
        Backbone(
            "efficientnetv2s",
            "EfficientNetV2S",
            size=384,
            parameters=20_331_360,
            macs=8_364_337_152,
            top1=0.839,
            file="efficientnetv2-s_notop.h5",
            note="most accurate; use a GPU",
        ),
        Backbone(
            "resnet50",
            "ResNet50",
            parameters=23_587_712,
            macs=3_855_925_248,
            top1=0.749,
            file="resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
            note="plain convolutions",
            preprocessing="caffe",
        ),
        Backbone(
            "mobilenetv2",
            "MobileNetV2",
            parameters=2_257_984,
            macs=299_494_272,
            top1=0.713,
            file="mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
            note="small, plain operators",
            preprocessing="tf",
        ),
        Backbone(
            "mobilenetv3small",
            "MobileNetV3Small",
            parameters=939_120,
            macs=54_896_576,
            top1=0.681,
            file="weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5",
            note="the cheapest here",
        ),
        Backbone(
            "mobilenetv3large",
            "MobileNetV3Large",
            parameters=2_996_352,
            macs=214_080_960,
            top1=0.756,
            file="weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5",
            note="accurate for its cost",
        ),
        Backbone(
            "convnexttiny",
            "ConvNeXtTiny",
            parameters=27_820_128,
            macs=4_456_908_288,
            top1=0.813,
            file="convnext_tiny_notop.h5",
            note="no BatchNorm; use a GPU",
            features=convnext_features,
        ),
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


def build_base(backbone: Backbone, size: int | None = None) -> Any:
    """Build a backbone with random weights.

    Args:
        backbone: Which.
        size: Width and height of the input, pixels, at least 32; None for the backbone's own.

    Returns:
        A flat ``keras.Model`` from float32 (n, size, size, 3), RGB 0..255, to the last feature
        map, (n, h, w, k).
    """
    keras = import_keras()
    side = size or backbone.size
    image = keras.Input((side, side, 3), name=INPUT_NAME, dtype="float32")
    if backbone.features is not None:
        return keras.Model(image, backbone.features(image), name=backbone.name)
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
