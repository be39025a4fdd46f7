"""Whatever can say where a network looked: the device's own heat map, or Grad-CAM."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..bundle import Bundle, is_bundle
from ..engine import Engine
from ..errors import UsageError
from ..manifest import AUTO, ModelInfo
from ..opening import stated_by
from ..preprocess import Photo, Roi
from ..rundir import MODEL, looks_like_run
from ..settings import ModelSettings, merged, refuse_contradictions

if TYPE_CHECKING:
    import numpy as np

    from ..heatmap import Explanation


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
    *,
    method: str = "gradcam",
    engine: Engine | None = None,
    settings: ModelSettings | None = None,
    probe: bool = False,
) -> Explainer:
    """Open what explains a model best without asking for more than it needs.

    Args:
        path: A run directory, a ``.keras`` file or a SavedModel, for Grad-CAM with gradients (needs
            TensorFlow); a bundle, a ``.tflite`` or ``.onnx`` file, for the heat map that it holds.
        fmt: Which artifact of a bundle; None for its default.
        layer: Feature-map layer, of a run directory only.
        threads: Interpreter threads; None for the engine's.
        method: ``gradcam``, ``gradcam++`` or ``layercam``; the latter two of a full model only.
        engine: Interpreter, threads, delegate; None for the defaults.
        settings: What the caller knows of the model and the file does not say.
        probe: Whether a file that is new here is tried in a child process first.

    Raises:
        UsageError: No such path, format, layer or method.
        ModelError: The model is damaged.
        MissingComponent: Its interpreter is not installed.
    """
    root = Path(path)
    if _is_full(root, fmt):
        from ..gradcam import GradCam

        (engine or Engine()).check_for(root)
        if root.suffix == ".keras" and not (root.name == MODEL and looks_like_run(root.parent)):
            return GradCam.open(root, layer, method, merged(stated_by(settings, root)))
        found = GradCam.open(root, layer, method)
        refuse_contradictions(stated_by(settings), found.info, os.fspath(path))
        return found
    if layer is not None and root.exists():
        raise UsageError(
            f"--layer {layer}: chooses a layer of a run directory; {root} holds its own heat map."
        )
    if method != "gradcam" and root.exists():
        raise UsageError(
            f"--method {method}: needs the gradient at each place of a feature map, so a run "
            f"directory or a .keras file; {root} holds Grad-CAM of its last feature map only."
        )
    from ..classifier import Classifier

    return Classifier.open(path, fmt, threads, engine=engine, settings=settings, probe=probe)


def _is_full(root: Path, fmt: str | None) -> bool:
    if is_bundle(root):
        return Bundle.open(root).artifact(fmt).format == "saved_model"
    if fmt not in (None, AUTO):
        return False  # opening it says that a format chooses from a bundle
    return looks_like_run(root) or root.suffix == ".keras" or (root / "saved_model.pb").is_file()
