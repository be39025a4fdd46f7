"""Run an exported file in a child process, through the runtime's own backend.

A process of its own, so that an interpreter that crashes costs a row of the table and not the
command, and so that the file meets what it would meet on a device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_runtime.child.asking import ask, module_command
from edge_runtime.errors import EdgeError, MissingComponent, SystemFailure
from edge_runtime.manifest import ModelInfo
from edge_runtime.postprocess import probabilities

#: The child that runs a file.
COMMAND = module_command("exporter.worker")


class NotRun(EdgeError):
    """An exported file could not be run; the message is the reason.

    Attributes:
        missing: Whether the reason is an interpreter that is not installed.
    """

    def __init__(self, message: str, missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing


@dataclass(frozen=True)
class Answers:
    """What a file answered.

    Attributes:
        raw: float32 (n, classes), as the file gives them: probabilities or logits.
        scores: Probabilities, float32 (n, classes).
        step: Distance of two neighbouring values of ``raw`` where the output is quantised, else 0.
        maps: float32 (m, h, w), raw heat maps of the wanted photos; None where it has none.
        own: The heat map of the file's own answer, by photo, for some photos where it answers
            otherwise than the reference.
        heatmap_error: Why ``maps`` is None though the file should have some.
    """

    raw: np.ndarray
    scores: np.ndarray
    step: float
    maps: np.ndarray | None = None
    own: dict[int, np.ndarray] | None = None
    heatmap_error: str | None = None


def answers(
    model: Path,
    pixels: Path,
    count: int,
    info: ModelInfo,
    *,
    described: bool = True,
    classes: Sequence[int] = (),
    mapped: Sequence[int] = (),
    changed: int = 0,
) -> Answers:
    """Ask an exported file for its answers.

    Args:
        model: The file or folder.
        pixels: ``.npy`` of uint8 (n, height, width, 3); the answer is written beside it.
        count: How many of them to score.
        info: Its description.
        described: Whether the file has to carry that description itself.
        classes: The reference's answers; empty for scores without heat maps.
        mapped: Indices of the photos whose heat map (of the reference's answer) is wanted.
        changed: Of how many photos with another answer the map of that answer is wanted.

    Raises:
        NotRun: The interpreter refused the file, raised, died, or is not installed.
        SystemFailure: The system refused, as when the disk is full.
    """
    out = pixels.with_suffix(".answers.npz")
    out.unlink(missing_ok=True)
    paths = {"model": model, "pixels": pixels, "out": out}
    request = {
        **{key: str(path.absolute()) for key, path in paths.items()},
        "count": count,
        "info": info.to_dict(),
        "described": described,
        "classes": [int(index) for index in classes],
        "mapped": [int(index) for index in mapped],
        "changed": changed,
    }
    # Without a GPU: if there is one, it is this process's.
    environment = {"CUDA_VISIBLE_DEVICES": "-1"}
    try:
        said = ask(COMMAND, request, env=environment)
    except SystemFailure:
        raise
    except EdgeError as error:
        raise NotRun(str(error), isinstance(error, MissingComponent)) from error
    with np.load(out) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    out.unlink()
    raw = found["raw"]
    if not np.isfinite(raw).all():
        raise NotRun("it gives probabilities that are not finite.")
    own = None
    if "own" in found:
        own = dict(zip(found["changed"].tolist(), found["own"], strict=True))
    return Answers(
        raw=raw,
        scores=probabilities(raw, info.output),
        step=said["step"],
        maps=found.get("maps"),
        own=own,
        heatmap_error=said["heatmap_error"],
    )
