"""Small pictures for the report: photos, and photos under their heat maps, as data URIs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from edge_runtime.errors import ImageError
from edge_runtime.heatmap import blend
from edge_runtime.manifest import ModelInfo
from edge_runtime.pictures import Picture, picture, thumbnail
from edge_runtime.preprocess import preprocess

from ..evaluation.calibration import scaled
from ..evaluation.class_maps import ClassMaps
from ..evaluation.label_errors import Suspect
from ..evaluation.predictions import Predictions

_log = logging.getLogger("trainer")


@dataclass(frozen=True)
class PhotoCard:
    """A photo in the report, with what the network said about it."""

    path: str
    part: str
    label: str  #: true class, as labelled
    answer: str
    score: float  #: of the answer, as the network gives it
    calibrated_score: float | None
    label_score: float  #: of the true class, as the network gives it
    pictures: list[Picture] = field(default_factory=list)  #: empty where the photo is gone


def photo_cards(
    predictions: Predictions, chosen: Sequence[int], info: ModelInfo, maps: ClassMaps | None
) -> list[PhotoCard]:
    """Cards of photos, with the heat map of the answer and, for a mistake, of the true class.

    Args:
        predictions: The answers.
        chosen: Indices of the photos.
        info: Of the network.
        maps: Of :func:`trainer.evaluation.class_maps.class_maps`; None for photos without heat maps.
    """
    surer = scaled(predictions.probabilities, info.output.temperature)
    cards = []
    for i in chosen:
        label, answer = int(predictions.labels[i]), int(predictions.answers[i])
        classes = [answer] if answer == label else [answer, label]
        temperature = info.output.temperature
        cards.append(
            PhotoCard(
                path=predictions.paths[i],
                part=predictions.parts[i],
                label=info.class_names[label],
                answer=info.class_names[answer],
                score=float(predictions.probabilities[i, answer]),
                calibrated_score=None if temperature is None else float(surer[i, answer]),
                label_score=float(predictions.probabilities[i, label]),
                pictures=_pictures(predictions.paths[i], info, maps, classes),
            )
        )
    return cards


def suspect_picture(suspect: Suspect) -> Picture | None:
    """The photo of a suspected label error; None where it cannot be read."""
    try:
        photo = thumbnail(suspect.path)
    except ImageError:
        return None
    return picture(photo, f"photo labelled {suspect.label}", "")


def _pictures(
    path: str, info: ModelInfo, maps: ClassMaps | None, classes: list[int]
) -> list[Picture]:
    try:
        photo = thumbnail(path)
        pixels = preprocess(path, info.preprocess)
    except ImageError as error:
        _log.warning("Not in the report: %s", error)
        return []
    found = [picture(photo, "photo", "photo")]
    if maps is not None:
        for index, heat in zip(classes, maps(pixels, classes), strict=True):
            name = info.class_names[index]
            shown = blend(photo, heat, info.preprocess)
            found.append(picture(shown, f"what speaks for {name}", f"for {name}"))
    return found
