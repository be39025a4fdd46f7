"""Fill the folder of ``edge-export bundle --serving``: every model with a dynamic batch, proved.

``triton/`` is a model repository, https://github.com/triton-inference-server/server/blob/main/docs/
user_guide/model_repository.md; ``tf_serving/`` the versioned layout of
https://www.tensorflow.org/tfx/serving/serving_basic.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_runtime.errors import CheckFailed
from edge_runtime.manifest import LABELS_NAME
from edge_runtime.rundir import write_json

from ..contents import Origin
from ..conversion import Converter
from ..evidence import Truth
from ..making import Maker
from ..metadata.labels import labels_text
from ..report import summary
from ..target import SERVING_NAME
from . import texts, triton

_log = logging.getLogger("exporter")

TRITON, TF_SERVING = "triton", "tf_serving"

#: What TensorFlow Serving runs.
_SAVED_MODEL = "saved_model"

#: What Triton gets where the bundle has no ONNX file.
_ONNX = "onnx-fp32"

_VERSION = "1"


def served_formats(formats: Sequence[str]) -> list[str]:
    """The formats that servers get beside a bundle of these: its ONNX ones, and the SavedModel."""
    return [*([fmt for fmt in formats if fmt.startswith("onnx")] or [_ONNX]), _SAVED_MODEL]


def model_name(run: str) -> str:
    """A run's name as servers take it: in a URL, as a folder, and in their configuration."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", run).strip("-._") or "classifier"


def fill(
    folder: Path,
    formats: Sequence[str],
    origin: Origin,
    truth: Truth,
    calibration: Path | None,
    accept: Collection[str],
    work: Path,
) -> list[dict[str, Any]]:
    """Convert, prove and lay out the models.

    The files of a bundle take one photo at a time unless ``--batch`` says otherwise, and servers
    gather photos; so each is converted once more, with a dynamic batch.

    Args:
        folder: To fill.
        formats: Those of :func:`served_formats`.
        origin: Where the models come from.
        truth: The validation photos, and what the Keras model says of them.
        calibration: ``.npy`` of uint8 (n, height, width, 3); None if no format calibrates.
        accept: Float formats that stay even if they fail their threshold.
        work: Folder for what is not part of it.

    Returns:
        Rows as in ``parity.json``, with ``name``, ``server``, and ``file`` below ``folder`` (None
        where it was left out).

    Raises:
        CheckFailed: No model is left.
        ModelError: A converter failed.
    """
    origin = replace(origin, options=replace(origin.options, batch=None))
    work.mkdir()
    base, rows = model_name(origin.name), []
    _log.info("opening the model for servers")
    with Converter(origin.run, origin.options, work) as converter:
        maker = Maker(converter, origin, truth, calibration, purpose="for servers, ")
        for fmt in formats:
            server, name = TF_SERVING, base
            if fmt != _SAVED_MODEL:
                server, name = TRITON, f"{base}-{fmt}"
            file = work / (_VERSION if server == TF_SERVING else triton.MODEL_FILE)
            row = maker.make(fmt, file, fmt in accept).row
            if row["file"] is not None:
                row["file"] = _place(folder, server, name, file, origin)
            rows.append({"name": name, "server": server, **row})
    _write_texts(folder, rows, origin)
    return rows


def _place(folder: Path, server: str, name: str, file: Path, origin: Origin) -> str:
    """Move a finished model to its place; gives that, below ``folder``."""
    home = folder / server / name
    home.mkdir(parents=True)
    if server == TF_SERVING:
        return file.rename(home / _VERSION).relative_to(folder).as_posix()
    (home / _VERSION).mkdir()
    placed = file.rename(home / _VERSION / triton.MODEL_FILE)
    config = triton.config_pbtxt(name, placed, origin.options.scores)
    (home / triton.CONFIG_FILE).write_text(config, encoding="utf-8")
    (home / LABELS_NAME).write_text(labels_text(origin.run.class_names), encoding="utf-8")
    return placed.relative_to(folder).as_posix()


def _write_texts(folder: Path, rows: Sequence[dict[str, Any]], origin: Origin) -> None:
    kept = [row for row in rows if row["file"] is not None]
    if not kept:
        raise CheckFailed(
            "No model for servers answers as the Keras model does, so nothing was written: "
            + "; ".join(map(summary, rows))
        )
    by_triton, by_tf = (
        [row["name"] for row in kept if row["server"] == server] for server in (TRITON, TF_SERVING)
    )
    if by_tf:
        (folder / TF_SERVING / texts.CONFIG_FILE).write_text(
            texts.models_config(by_tf), encoding="utf-8"
        )
    (folder / LABELS_NAME).write_text(labels_text(origin.run.class_names), encoding="utf-8")
    text = texts.readme(origin.bundle_info(), by_triton, by_tf)
    (folder / "README.txt").write_text(text, encoding="utf-8")
    listed = {
        "run": origin.name,
        "weights_sha256": origin.weights,
        "versions": dict(origin.versions),
        "models": rows,
    }
    write_json(folder / SERVING_NAME, listed)
