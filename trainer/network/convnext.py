"""ConvNeXt (Liu et al. 2022, arXiv:2201.03545) as one flat graph of plain layers.

``keras.applications.ConvNeXtTiny`` is neither flat (its stem and its downsampling blocks are
nested models) nor plain: ``LayerScale`` is a class of that module alone, so that a saved model
depends on it, and its depthwise convolution is a grouped one, which TensorFlow runs on a CPU only
by way of XLA. The graph here has the same layers in the same order with the same weights, up to
axes of length 1: a depthwise layer where Keras groups, a depthwise layer of one pixel where Keras
scales the channels, and a convolution of one pixel where Keras has a Dense layer (tflite-runtime
2.14 refuses int8 Dense layers of today's converter). :func:`trainer.network.weights.load_weights` reshapes
what it loads.

Keras's classifier has a LayerNormalization between the pooling and its last layer, where it would
spoil the heat map (see :mod:`trainer.network.model`). It is left out. With ``include_top=False`` Keras
itself normalises each pixel of the feature map instead, and so does this graph: the pooling
averages what is normalised already, and the head is trained on that, so nothing is lost.
"""

from __future__ import annotations

from typing import Any

from edge_runtime.backends.full_model import import_keras

#: Blocks and channels of each stage of ConvNeXt-T.
TINY = ((3, 96), (3, 192), (9, 384), (3, 768))

_EPSILON = 1e-6

#: What LayerScale starts from when nothing is loaded (Touvron et al. 2021, arXiv:2103.17239).
_LAYER_SCALE = 1e-6

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


def convnext_features(image: Any, stages: tuple[tuple[int, int], ...] = TINY) -> Any:
    """The feature map of a ConvNeXt.

    Args:
        image: ``keras.Input`` of float32 (n, h, w, 3), RGB 0..255.
        stages: Blocks and channels of each stage.

    Returns:
        Symbolic tensor (n, h / 32, w / 32, channels of the last stage), each pixel normalised.
    """
    layers = import_keras().layers
    x = layers.Rescaling(
        [1 / (255 * std) for std in _STD],
        offset=[-mean / std for mean, std in zip(_MEAN, _STD, strict=True)],
        name="normalize_pixels",
    )(image)
    for stage, (blocks, channels) in enumerate(stages):
        if stage == 0:
            x = layers.Conv2D(channels, 4, strides=4, name="stem_conv")(x)
            x = layers.LayerNormalization(epsilon=_EPSILON, name="stem_layernorm")(x)
        else:
            name = f"stage_{stage}_downsampling"
            x = layers.LayerNormalization(epsilon=_EPSILON, name=f"{name}_layernorm")(x)
            x = layers.Conv2D(channels, 2, strides=2, name=f"{name}_conv")(x)
        for block in range(blocks):
            x = _block(x, channels, f"stage_{stage}_block_{block}")
    return layers.LayerNormalization(epsilon=_EPSILON, name="top_layernorm")(x)


def _block(x: Any, channels: int, name: str) -> Any:
    keras = import_keras()
    layers, scale = keras.layers, keras.initializers.Constant(_LAYER_SCALE)
    y = layers.DepthwiseConv2D(7, padding="same", name=f"{name}_depthwise_conv")(x)
    y = layers.LayerNormalization(epsilon=_EPSILON, name=f"{name}_layernorm")(y)
    y = layers.Conv2D(4 * channels, 1, name=f"{name}_pointwise_conv_1")(y)
    y = layers.Activation("gelu", name=f"{name}_gelu")(y)
    y = layers.Conv2D(channels, 1, name=f"{name}_pointwise_conv_2")(y)
    y = layers.DepthwiseConv2D(
        1, use_bias=False, depthwise_initializer=scale, name=f"{name}_layer_scale"
    )(y)
    return layers.Add(name=f"{name}_add")([x, y])
