"""What ``edge-classify info`` says of a model that others made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..backends.base import Backend
from ..engine import Engine
from ..errors import MissingComponent, ModelError
from ..foreign.describing import describe
from ..foreign.traits import known_of, tflite_traits, traits_of
from ..manifest import ModelInfo
from ..opening import open_backend
from ..settings import Stated
from ..tried import probed


def inspect_foreign(
    path: Path, stated: Stated, where: str
) -> tuple[ModelInfo | None, dict[str, Any]]:
    """The description of a model of others; where something is lacking, what is known of it.

    A TFLite file is run only where its graph leaves open what its scores are.

    Args:
        path: A ``.tflite``, ``.onnx`` or ``.keras`` file without a description of edge-export.
        stated: What is said of it.
        where: Its name, for messages.

    Returns:
        The description and an empty dict; or None, and the keys ``about``, ``sources`` and
        ``lacking`` of the report.

    Raises:
        ModelError: What is said does not fit, or is not enough.
        UsageError: A setting does not fit.
    """

    def backend() -> Backend:
        engine = Engine(threads=1)
        if path.suffix in (".tflite", ".onnx"):
            engine = probed(path, engine)  # what crashes an interpreter must not end this process
        return open_backend(path, engine=engine)

    known: dict[str, Any] = {}
    try:
        if path.suffix == ".tflite":
            traits = tflite_traits(path)
        else:
            traits = traits_of(path, backend(), stated)
        known = known_of(traits)
        return describe(traits, stated, where, backend), {}
    except (ModelError, MissingComponent) as error:
        if stated:
            raise
        return None, known | {"lacking": str(error)}
