"""Whatever can say where a network looked: the device's own heat map, or Grad-CAM."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from .bundle import Bundle, is_bundle
from .engine import Engine
from .errors import UsageError
from .manifest import ModelInfo
from .preprocess import Photo
from .rundir import MODEL, looks_like_run

if TYPE_CHECKING:
    from .heatmap import Explanation


class Explainer(Protocol):
    """A model that explains its answers: a Classifier or a GradCam."""

    @property
    def info(self) -> ModelInfo:
        """Class names and preprocessing."""

    def explain(self, photo: Photo, class_name: str | None = None) -> Explanation:
        """The map of one photo and one class; None for the most probable one."""


def open_explainer(
    path: str | os.PathLike[str],
    fmt: str | None = None,
    layer: str | None = None,
    threads: int | None = None,
    *,
    engine: Engine | None = None,
    probe: bool = False,
) -> Explainer:
    """Open what explains a model best without asking for more than it needs.

    Args:
        path: A run directory or a SavedModel, for Grad-CAM with gradients (needs TensorFlow); a
            bundle, a ``.tflite`` or ``.onnx`` file, for the heat map that it holds.
        fmt: Which artifact of a bundle; None for its default.
        layer: Feature-map layer, of a run directory only.
        threads: Interpreter threads; None for the engine's.
        engine: Interpreter, threads, delegate; None for the defaults.
        probe: Whether a file that is new here is tried in a child process first.

    Raises:
        UsageError: No such path, format or layer.
        ModelError: The model is damaged.
        MissingComponent: Its interpreter is not installed.
    """
    root = Path(path)
    if _is_full(root, fmt):
        from .gradcam import GradCam

        (engine or Engine()).check_for(root)
        return GradCam.open(root, layer)
    if layer is not None and root.exists():
        raise UsageError(
            f"--layer {layer}: chooses a layer of a run directory; {root} holds its own heat map."
        )
    from .classifier import Classifier

    return Classifier.open(path, fmt, threads, engine=engine, probe=probe)


def _is_full(root: Path, fmt: str | None) -> bool:
    if is_bundle(root):
        return Bundle.open(root).manifest.artifact(fmt).format == "saved_model"
    if fmt is not None:
        return False  # opening it says that a format chooses from a bundle
    return looks_like_run(root) or root.name == MODEL or (root / "saved_model.pb").is_file()
