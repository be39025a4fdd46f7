"""What is told of a model: its description and its manifest, without paths of this machine."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..backends.litert import LiteRtBackend
from ..bundle import Bundle, is_bundle
from ..errors import EdgeError, ModelError
from .problems import without_paths

if TYPE_CHECKING:
    from ..backends.base import Backend
    from ..classifier import Classifier

Card = dict[str, Any]

#: Numbers of a photo that a manifest keeps for the exporter alone.
_LEFT_OUT = ("training_features",)


def make_card(name: str, path: str, classifier: Classifier) -> Card:
    """The object of ``/v1/models/NAME``.

    Args:
        name: Of the model.
        path: Where it lies.
        classifier: It, loaded.

    Returns:
        ``name``, ``format``, ``class_names``, ``input``, ``preprocess``, ``output``, ``about``,
        ``tensor`` (``name``, ``dtype``, ``shape``: null is any), ``interpreter``, ``heatmap``
        (whether it gives one), ``no_heatmap`` (why not, or null), and ``bundle``: null, or the
        rest of its manifest (``default``, ``artifacts``, ``versions``, ``source``...), of which
        ``artifact`` is the one in use.

    Raises:
        ModelError: The bundle is not the one any more that was loaded.
    """
    backend, info = classifier.backend, classifier.info
    known = info.to_dict()
    why = no_heatmap(backend)
    known["output"].pop("heatmap", None)
    card = {
        "name": name,
        "format": classifier.format,
        **known,
        "tensor": {
            "name": input_name(backend),
            "dtype": str(backend.input.dtype),
            "shape": list(input_shape(classifier)),
        },
        "interpreter": backend.name,
        "heatmap": why is None,
        "no_heatmap": why,
        "bundle": _manifest(path, classifier, set(known)),
    }
    cleaned: Card = _cleaned(card)
    return cleaned


def input_name(backend: Backend) -> str:
    """Name of the input tensor in the Open Inference Protocol; ``image`` where the file is TFLite."""
    return getattr(backend, "input_name", "image")


def input_shape(classifier: Classifier) -> tuple[int | None, ...]:
    """Shape of the input tensor, None for any."""
    backend, spec = classifier.backend, classifier.info.preprocess
    shape = list(backend.input.shape)
    places = (1, 2) if classifier.info.input.layout == "NHWC" else (2, 3)
    for place, size in zip(places, (spec.height, spec.width), strict=True):
        shape[place] = size
    channel = 3 if classifier.info.input.layout == "NHWC" else 1
    shape[channel] = backend.input.channels(classifier.info.input.layout)
    return (backend.batch, *shape[1:])


def no_heatmap(backend: Backend) -> str | None:
    """Why a model gives no heat map; None where it does. Reads the file, and opens nothing twice."""
    if backend.heatmap is not None:
        return None
    try:
        if isinstance(backend, LiteRtBackend) or hasattr(backend, "feature_map"):
            backend.feature_map()
        else:
            return "A full model gives none here: serve its .tflite or .onnx file."
    except EdgeError as error:
        return without_paths(str(error))
    return None


def _manifest(path: str, classifier: Classifier, known: set[str]) -> dict[str, Any] | None:
    """The rest of a bundle's manifest."""
    if not is_bundle(Path(path)):
        return None
    bundle = Bundle.open(path)
    said, used = bundle.manifest.info_of(bundle.artifact(classifier.format)), classifier.info
    # Not the output: whoever opens a model in a program may have set its threshold.
    if (said.class_names, said.input, said.preprocess) != (
        used.class_names, used.input, used.preprocess,
    ):  # fmt: skip
        raise ModelError(f"{path}: the bundle was replaced while it was loaded. Load it again.")
    data: dict[str, Any] = json.loads(bundle.manifest.to_json())
    for key in (*known, *_LEFT_OUT):
        data.pop(key, None)
    return {"artifact": classifier.format, **data}


def _cleaned(value: Any) -> Any:
    """The same without absolute paths, and with text that is UTF-8."""
    if isinstance(value, dict):
        return {_cleaned(key): _cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(item) for item in value]
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, str):
        return without_paths(value.encode("utf-8", "backslashreplace").decode())
    return value
