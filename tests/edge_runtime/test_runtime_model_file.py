"""Model files that change under a loaded model."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from color_model import SIDE, ColorModels

from edge_runtime.backends.litert import LiteRtBackend
from edge_runtime.engine import Engine
from edge_runtime.errors import ModelError
from edge_runtime.opening import open_backend

RED = np.zeros((SIDE, SIDE, 3), np.uint8) + np.array([255, 0, 0], np.uint8)


@pytest.mark.parametrize("name", ["tflite", "onnx"])
def test_heat_maps_are_of_the_file_that_was_loaded(
    color_models: ColorModels, tmp_path: Path, name: str
) -> None:
    """Another file's graph under the old class names would be a wrong answer that looks right."""
    given: Path = getattr(color_models, name)
    file = Path(shutil.copy(given, tmp_path / f"model.{name}"))
    backend, kept = open_backend(file, 1), open_backend(file, 1)
    kept.explain(RED)
    newer = Path(shutil.copy(given, tmp_path / f"newer.{name}"))
    os.replace(newer, file)
    scores = backend.scores(RED)
    for ask in (lambda: backend.explain(RED), backend.pooling, backend.feature_map):  # type: ignore[attr-defined]
        with pytest.raises(ModelError, match=r"replaced or changed since it was loaded.*SIGHUP"):
            ask()
    assert np.array_equal(kept.explain(RED)[0], scores)
    file.unlink()
    with pytest.raises(ModelError, match="replaced or changed"):
        backend.explain(RED)
    assert np.array_equal(backend.scores(RED), scores)


def test_a_private_model_outlives_an_overwritten_file(
    color_models: ColorModels, tmp_path: Path
) -> None:
    """A mapped file that is cut short would end this process."""
    file = Path(shutil.copy(color_models.tflite, tmp_path / "model.tflite"))
    backend = LiteRtBackend(file, Engine(threads=1, private=True))
    scores = backend.scores(RED)
    os.truncate(file, 0)
    assert np.array_equal(backend.scores(RED), scores)
    found, maps = backend.explain(RED)
    assert np.array_equal(found, scores) and maps[..., 0].min() > 0
    assert backend.heatmap is not None and backend.feature_map()
