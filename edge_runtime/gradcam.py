"""Explain photos with the full model, see :mod:`.heat.cam_functions`. Needs TensorFlow."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .backends.base import check_image_input
from .backends.full_model import (
    GRADCAM_SIGNATURE,
    import_tensorflow,
    load_keras_model,
    load_saved_model,
    read_embedded,
    signature,
)
from .bundle import Bundle, is_bundle
from .description import InputSpec
from .errors import ModelError, UsageError
from .foreign.labels import fit_labels
from .heat.cam_functions import METHODS, choose_layer, gradcam_function
from .heatmap import Explanation
from .manifest import ModelInfo, OutputSpec, PreprocessSpec
from .postprocess import probabilities
from .preprocess import Photo, Roi, preprocess
from .rundir import MODEL, RunDir, looks_like_run
from .settings import ModelSettings

_log = logging.getLogger("edge_runtime")

__all__ = ["METHODS", "GradCam", "choose_layer", "describe_keras", "gradcam_function"]


class GradCam:
    """Grad-CAM for a run directory, a ``.keras`` file or a SavedModel.

    Attributes:
        info: Class names and preprocessing of the model.
    """

    def __init__(self, explain: Callable[..., Any], info: ModelInfo) -> None:
        """Join a function as :func:`gradcam_function` gives with a model description."""
        self._explain, self.info = explain, info

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        layer: str | None = None,
        method: str = "gradcam",
        settings: ModelSettings | None = None,
    ) -> GradCam:
        """Open a run directory, a ``.keras`` file, a SavedModel, or a bundle that has one.

        Args:
            path: The model.
            layer: Feature-map layer; a SavedModel keeps the one that it was exported with.
            method: One of :data:`METHODS`; a SavedModel was exported with Grad-CAM.
            settings: Of a ``.keras`` file outside a run: its labels and how a photo goes in.

        Raises:
            UsageError: No such path, layer or method.
            ModelError: The model is damaged, or of a kind without gradients.
        """
        if method not in METHODS:
            raise UsageError(f"No method {method!r}. There are: {', '.join(METHODS)}.")
        root = Path(path)
        if not root.exists():
            raise UsageError(f"{root}: no such model.")
        if root.name == MODEL and root.is_file() and looks_like_run(root.parent):
            root = root.parent
        if is_bundle(root):
            root = Bundle.open(root).file("saved_model")[1]
        if looks_like_run(root):
            run = RunDir.open(root)
            return cls(gradcam_function(load_keras_model(run.model_path), layer, method), run.info)
        if root.suffix == ".keras":
            model = load_keras_model(root)
            info = describe_keras(model, os.fspath(root), settings or ModelSettings())
            return cls(gradcam_function(model, layer, method), info)
        if (root / "saved_model.pb").is_file():
            return cls._of_saved_model(root, layer, method)
        raise ModelError(
            f"{root}: Grad-CAM needs gradients, so the full model: a run directory, a .keras file "
            "or a SavedModel of edge-export."
        )

    @classmethod
    def _of_saved_model(cls, root: Path, layer: str | None, method: str) -> GradCam:
        wanted = f"--layer {layer}" if layer is not None else f"--method {method}"
        if layer is not None or method != "gradcam":
            raise UsageError(
                f"{wanted}: a SavedModel keeps the layer that it was exported with, and Grad-CAM. "
                "Other layers and methods need the run directory, or its model.keras."
            )
        loaded = load_saved_model(root)
        info = read_embedded(root)
        if info is None:
            raise ModelError(f"{root}: carries no labels. Export it with edge-export.")
        found = cls(signature(loaded, GRADCAM_SIGNATURE, str(root)), info)
        found._keep = loaded
        return found

    _keep: Any = None  # a signature holds its SavedModel only weakly

    def pixels(self, photo: Photo, roi: Roi | None = None) -> np.ndarray:
        """The network's input for a photo: uint8 (height, width, 3) RGB."""
        return preprocess(photo, self.info.preprocess, roi)

    def explain(self, photo: Photo, class_name: str | None = None) -> Explanation:
        """Compute the map of one photo.

        Args:
            photo: As for :func:`edge_runtime.preprocess.preprocess`.
            class_name: Class to explain; None for the most probable one.

        Raises:
            ImageError: The photo cannot be read.
            UsageError: There is no such class.
        """
        index = None if class_name is None else self.info.class_index(class_name)
        return self.explain_pixels(self.pixels(photo), index)

    def explain_pixels(self, pixels: np.ndarray, index: int | None = None) -> Explanation:
        """:meth:`explain` what :meth:`pixels` gave.

        Args:
            pixels: uint8 (height, width, 3).
            index: Class to explain; None for the most probable one.
        """
        tf = import_tensorflow()
        spec = self.info.input
        values: np.ndarray = pixels[None].astype(np.float32)
        if not spec.is_plain:
            values = values[..., ::-1] if spec.color == "BGR" else values
            values = (values - np.array(spec.mean, np.float32)) / np.array(spec.std, np.float32)
        result = self._explain(
            image=tf.constant(values),
            class_index=tf.constant(-1 if index is None else index),
        )
        scores = probabilities(np.asarray(result["probabilities"]), self.info.output)
        index = int(scores.argmax()) if index is None else index
        return Explanation(
            heatmap=np.asarray(result["heatmap"]),
            index=index,
            label=self.info.class_names[index],
            score=float(scores[index]),
        )


def describe_keras(model: Any, where: str, settings: ModelSettings) -> ModelInfo:
    """What is known of a Keras model that no run describes.

    Args:
        model: The ``keras.Model``.
        where: Its file, for messages.
        settings: What the user says of it; class indices stand for missing labels.

    Raises:
        ModelError: It takes no photo of a known size, or the labels are of another number.
    """
    shape = tuple(model.input_shape)
    if settings.size is not None:
        shape = (shape[0], settings.size[1], settings.size[0], *shape[3:])
    width, height = check_image_input(shape, where)
    if settings.layout not in (None, "NHWC"):
        raise ModelError(f"{where}: Grad-CAM takes Keras models with the channels last (NHWC).")
    classes = int(model.output_shape[-1])
    color = settings.color or "RGB"
    normalized = settings.normalized(color)
    labels = settings.labels
    if labels is None:
        labels = tuple(str(index) for index in range(classes))
        _log.warning("%s: carries no labels, so class indices stand for them.", where)
    if normalized is None:
        normalized = ((0.0,), (1.0,))
        _log.warning(
            "%s: its input is taken to be pixels, 0..255; --normalization or --mean and --std "
            "say otherwise.",
            where,
        )
    labels, _ = fit_labels(labels, classes, where)
    activation = getattr(getattr(model.layers[-1], "activation", None), "__name__", "softmax")
    kind = settings.output or ("logits" if activation == "linear" else "probabilities")
    return ModelInfo(
        labels,
        PreprocessSpec(width, height, settings.fit or "crop", settings.kernel or "bilinear"),
        OutputSpec(kind=kind),
        input=InputSpec(*normalized, color=color),
    )
