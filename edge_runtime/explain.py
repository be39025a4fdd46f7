"""Whatever can say where a network looked: the device's own heat map, or Grad-CAM."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from .bundle import Bundle, is_bundle
from .errors import UsageError
from .manifest import ModelInfo
from .preprocess import Photo, Roi
from .rundir import looks_like_run

if TYPE_CHECKING:
    import numpy as np

    from .heatmap import Explanation


class Explainer(Protocol):
    """A model that explains its answers: a Classifier or a GradCam."""

    @property
    def info(self) -> ModelInfo:
        """Class names and preprocessing."""

    def pixels(self, photo: Photo, roi: Roi | None = None) -> np.ndarray:
        """The network's input for a photo: uint8 (height, width, 3) RGB."""

    def explain(self, photo: Photo, class_name: str | None = None) -> Explanation:
        """The map of one photo and one class; None for the most probable one."""

    def explain_pixels(self, pixels: np.ndarray, index: int | None = None) -> Explanation:
        """:meth:`explain` what :meth:`pixels` gave, a class by its index."""


def open_explainer(
    path: str | os.PathLike[str],
    fmt: str | None = None,
    layer: str | None = None,
    threads: int | None = None,
    method: str = "gradcam",
) -> Explainer:
    """Open what explains a model best without asking for more than it needs.

    Args:
        path: A run directory, a ``.keras`` file or a SavedModel, for Grad-CAM with gradients (needs
            TensorFlow); a bundle, a ``.tflite`` or ``.onnx`` file, for the heat map that it holds.
        fmt: Which artifact of a bundle; None for its default.
        layer: Feature-map layer, of a run directory only.
        threads: Interpreter threads; None for the usable cores, at most 4.
        method: ``gradcam``, ``gradcam++`` or ``layercam``; the latter two of a full model only.

    Raises:
        UsageError: No such path, format, layer or method.
        ModelError: The model is damaged.
        MissingComponent: Its interpreter is not installed.
    """
    root = Path(path)
    if _is_full(root, fmt):
        from .gradcam import GradCam

        return GradCam.open(root, layer, method)
    if layer is not None and root.exists():
        raise UsageError(
            f"--layer {layer}: chooses a layer of a run directory; {root} holds its own heat map."
        )
    if method != "gradcam" and root.exists():
        raise UsageError(
            f"--method {method}: needs the gradient at each place of a feature map, so a run "
            f"directory or a .keras file; {root} holds Grad-CAM of its last feature map only."
        )
    from .classifier import Classifier

    return Classifier.open(path, fmt, threads)


def _is_full(root: Path, fmt: str | None) -> bool:
    if is_bundle(root):
        return Bundle.open(root).manifest.artifact(fmt).format == "saved_model"
    if fmt is not None:
        return False  # opening it says that a format chooses from a bundle
    return looks_like_run(root) or root.suffix == ".keras" or (root / "saved_model.pb").is_file()


def find_class(info: ModelInfo, wanted: str) -> int:
    """Index of a class that a user names.

    Args:
        info: The model's description.
        wanted: A class's name, or else its index.

    Raises:
        UsageError: There is no such class.
    """
    if wanted not in info.class_names and wanted.isdecimal():
        if int(wanted) < len(info.class_names):
            return int(wanted)
        raise UsageError(
            f"No class {wanted}: the model knows {len(info.class_names)}, counted from 0."
        )
    return info.class_index(wanted)
