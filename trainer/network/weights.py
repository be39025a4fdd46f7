"""Pretrained weights: where they come from, and the graph that they were trained with.

The trap (github.com/tensorflow/tensorflow/issues/49930): EfficientNet's training divided the
pixels by the deviations (x - mean) / std. Keras's official files hold these deviations as the
*variance* of the Normalization layer, whose square root it takes, and
``keras.applications.EfficientNetB0`` mends that with a second Rescaling by 1/sqrt(std), but only
if it is called with ``weights="imagenet"``. A file that was made for the graph without the second
Rescaling holds the squares instead. Here the graph is always the one without. Weights that come
with their graph (downloaded, or in a ``.keras`` file) say by its layers which of the two they were
trained in; the second Rescaling is then folded into the variance, which gives the same function:
((x - mean) / sqrt(variance)) * scale = (x - mean) / sqrt(variance / scale ** 2). Weights without a
graph (``.weights.h5``, ``.h5``) are told by their numbers: plain deviations are squared.
B0 to B7 share all this. EfficientNetV2 does not: its Normalization holds constants, no weights.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.backends.full_model import import_keras, load_keras_model
from edge_runtime.errors import DataError, MissingComponent, UsageError, first_line
from edge_runtime.files import sha256_file

from .backbones import Backbone

IMAGENET = "imagenet"
NONE = "none"

#: Deviations of the ImageNet photos in red, green, blue, of pixels 0..1.
IMAGENET_STD = (0.229, 0.224, 0.225)

#: Seconds without an answer after which a download is given up.
DOWNLOAD_TIMEOUT = 30

_SUFFIXES = (".weights.h5", ".h5", ".hdf5", ".keras")


@dataclass(frozen=True)
class WeightsSource:
    """Where a backbone's weights came from.

    Attributes:
        kind: ``imagenet``, ``none``, ``file``, or ``run`` (see :mod:`trainer.network.warm_start`).
        path: The file; None for the others.
        sha256: Of the file.
    """

    kind: str
    path: str | None = None
    sha256: str | None = None

    def describe(self) -> str:
        """For people."""
        if self.kind == IMAGENET:
            return "ImageNet weights of Keras"
        return f"pretrained weights from {self.path}" if self.path else "no pretrained weights"


def check_weights(weights: str) -> None:
    """Raise UsageError if ``weights`` is neither a source nor an existing weights file."""
    if weights in (IMAGENET, NONE):
        return
    path = Path(weights)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise UsageError(
            f"{weights}: {what}. Weights are 'imagenet', 'none' or a file ({', '.join(_SUFFIXES)})."
        )
    if not weights.endswith(_SUFFIXES):
        raise UsageError(
            f"{weights}: expected a weights file whose name ends in {', '.join(_SUFFIXES)}."
        )


def load_weights(base: Any, backbone: Backbone, weights: str) -> WeightsSource:
    """Fill a backbone with weights, and fit its graph to them.

    Args:
        base: Of :func:`trainer.network.backbones.build_base`; changed in place.
        backbone: Which one it is.
        weights: ``imagenet``, ``none`` or the path of a ``.weights.h5``, a legacy ``.h5`` or a
            ``.keras`` file.

    Raises:
        UsageError: No such file.
        DataError: The file does not fit the backbone; the message names the first mismatch.
        MissingComponent: The ImageNet weights could not be downloaded.
    """
    check_weights(weights)
    if weights == NONE:
        return WeightsSource(NONE)
    if weights == IMAGENET:
        copy_layers(_download(backbone), base, f"ImageNet weights of {backbone.name}")
        return WeightsSource(IMAGENET)
    if weights.endswith(".keras"):
        what = f"{weights}: does not fit {backbone.name}"
        copy_layers(load_keras_model(weights), base, what)
    else:
        _load_h5(base, backbone, weights)
        _square_deviations(base)
    return WeightsSource("file", str(Path(weights).resolve()), sha256_file(weights))


def copy_weights(source: Any, target: Any) -> None:
    """Copy the weights of a model into one of the same layers, float16 or float32."""
    for old, new in zip(source.layers, target.layers, strict=True):
        _set_weights(new, old.get_weights())


def _set_weights(layer: Any, values: list[np.ndarray]) -> None:
    layer.set_weights(values)
    if values and hasattr(layer, "finalize_state"):  # Normalization computes from a copy
        layer.finalize_state()


@contextlib.contextmanager
def _download_timeout() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _keras_own(backbone: Backbone, weights: str | None) -> Any:
    """The backbone as ``keras.applications`` builds it; its weights fit any input size."""
    builder = getattr(import_keras().applications, backbone.application)
    return builder(include_top=False, weights=weights, input_shape=(224, 224, 3))


def _download(backbone: Backbone) -> Any:
    """The backbone as Keras builds it for its own ImageNet weights."""
    try:
        # Keras reports the download on stdout, which is for results.
        with _download_timeout(), contextlib.redirect_stdout(sys.stderr):
            return _keras_own(backbone, IMAGENET)
    except Exception as error:  # Keras raises a bare Exception for a failed download
        raise MissingComponent(
            f"The ImageNet weights of {backbone.name} could not be downloaded ({first_line(error)}). "
            "Without a network, train from scratch with --weights none, or name a weights file "
            "with --weights PATH."
        ) from error


def _load_h5(base: Any, backbone: Backbone, path: str) -> None:
    # Keras maps such a file to layers by their place in the graph, so it needs its own.
    target = base if backbone.features is None else _keras_own(backbone, None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a mismatch is an error below
            target.load_weights(path)
    except OSError as error:
        raise DataError(
            f"{path}: not an HDF5 weights file, or cut off ({_telling_line(error)}). Fetch it again."
        ) from error
    except Exception as error:  # ValueError, KeyError: whatever Keras met first
        raise DataError(
            f"{path}: does not fit {backbone.name}; first mismatch: {_telling_line(error)} "
            f"Expected the weights of {backbone.application}(include_top=False)."
        ) from error
    if target is not base:
        copy_layers(target, base, f"{path}: does not fit {backbone.name}")


def _telling_line(error: Exception) -> str:
    """The telling part of Keras's message, on one line."""
    text = str(error) or type(error).__name__
    text = text.partition("Example error message for object ")[2] or text
    text = text.partition("List of objects that could not be loaded")[0]
    return " ".join(text.split())


def copy_layers(source: Any, base: Any, what: str) -> None:
    """Copy weights layer by layer, in order; what follows the backbone in ``source`` is left out.

    Shapes may differ in axes of length 1: a Dense layer and a convolution of one pixel are the
    same, see :mod:`trainer.network.convnext`.
    """
    givers = [layer for layer in _flat_layers(source) if layer.get_weights()]
    takers = [layer for layer in base.layers if layer.get_weights()]
    for number, taker in enumerate(takers):
        expected = [tuple(weight.shape) for weight in taker.get_weights()]
        found = "nothing"
        if number < len(givers):
            giver = givers[number]
            values = giver.get_weights()
            if [_squeezed(v.shape) for v in values] == [_squeezed(e) for e in expected]:
                shaped = [v.reshape(e) for v, e in zip(values, expected, strict=True)]
                _set_weights(taker, shaped)
                continue
            found = f"layer {giver.name!r} with {[tuple(value.shape) for value in values]}"
        raise DataError(
            f"{what}; first mismatch: layer {taker.name!r} expects {expected}, found {found}."
        )
    scale = _second_rescaling(_flat_layers(source))
    if scale is not None:
        _scale_variance(base, lambda variance: variance / scale**2)


def _squeezed(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(length for length in shape if length != 1)


def _second_rescaling(layers: list[Any]) -> np.ndarray | None:
    """Scale of a Rescaling that follows a Normalization; None if there is none."""
    kinds = [type(layer).__name__ for layer in layers]
    if "Normalization" not in kinds:
        return None
    for layer in layers[kinds.index("Normalization") :]:
        if type(layer).__name__ == "Rescaling":
            return np.asarray(layer.scale, np.float64)
    return None


def _flat_layers(model: Any) -> list[Any]:
    """Layers of a model, those of nested models in their place."""
    flat = []
    for layer in model.layers:
        flat += _flat_layers(layer) if hasattr(layer, "layers") else [layer]
    return flat


def _square_deviations(base: Any) -> None:
    """Square the variance of the Normalization layer if it holds plain deviations."""
    _scale_variance(
        base, lambda held: held**2 if np.allclose(held, IMAGENET_STD, atol=1e-4) else held
    )


def _scale_variance(base: Any, change: Callable[[np.ndarray], np.ndarray]) -> None:
    for layer in base.layers:
        if type(layer).__name__ == "Normalization" and layer.get_weights():
            mean, variance, count = layer.get_weights()
            _set_weights(layer, [mean, change(variance), count])
