"""The section ``augment`` of the configuration."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from .levels import LEVELS, Level
from .types import (
    Field,
    Fraction,
    Number,
    PositiveRange,
    Section,
    ShareRange,
    model_validator,
)


class AugmentConfig(Section):
    """Random changes of training photos; each is drawn evenly from its range, photo by photo."""

    #: How much is changed: ``none``, ``light``, ``medium``, or ``heavy`` (``medium`` with
    #: RandAugment and random erasing). A key below that is set goes over the level; null: the
    #: level's own. The defaults are those of ``medium``.
    level: Level = "medium"
    #: Share of the photo's area that is seen, from and to; above 1 zooms out (edges mirrored).
    area: PositiveRange = (0.6, 1.0)
    #: Width to height of the part that is seen, relative to the input's.
    ratio: PositiveRange = (0.75, 4 / 3)
    #: Largest turn to either side, degrees.
    rotation: Annotated[Number, Field(ge=0, le=180)] = 15.0
    #: Largest shift to either side beyond what ``area`` leaves, share of the width or height.
    shift: Annotated[Number, Field(ge=0, le=0.5)] = 0.0
    #: Mirror left and right half of the time. Off where the side matters (text, digits).
    flip: bool = True
    #: Brightness is multiplied by 1 - x to 1 + x.
    brightness: Fraction = 0.2
    #: Contrast about the photo's mean grey is multiplied by 1 - x to 1 + x.
    contrast: Fraction = 0.2
    #: Saturation is multiplied by 1 - x to 1 + x.
    saturation: Fraction = 0.2
    #: Hue turns by up to x of the colour circle to either side.
    hue: Annotated[Number, Field(ge=0, le=0.5)] = 0.02
    #: RandAugment: operations a photo, drawn from thirteen; 0: none.
    randaugment_ops: Annotated[int, Field(strict=True, ge=0, le=13)] = 0
    #: RandAugment: largest strength of an operation, 0 to 10.
    randaugment_magnitude: Annotated[Number, Field(ge=0, le=10)] = 7.0
    #: Random erasing: share of the photos in which a box is hidden; 0: none.
    erasing: Fraction = 0.0
    #: Share of the photo's area that the box takes, from and to.
    erasing_area: ShareRange = (0.02, 0.33)
    #: Width to height of the box, from and to.
    erasing_ratio: PositiveRange = (0.3, 3.3)
    #: What the box is filled with: ``noise``, or the photo's ``mean`` colour.
    erasing_fill: Literal["noise", "mean"] = "noise"
    #: MixUp: alpha of the Beta distribution of a photo's share, such as 0.2; 0: off. With
    #: ``cutmix`` on too, each photo gets one of them, half and half. Not in phase 1.
    mixup: Annotated[Number, Field(ge=0, le=100)] = 0.0
    #: CutMix: alpha of the Beta distribution of a photo's share, such as 1; 0: off.
    cutmix: Annotated[Number, Field(ge=0, le=100)] = 0.0

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        """Write the level's values out, so that the resolved configuration says them all."""
        if not isinstance(data, dict):
            return data
        given = {key: value for key, value in data.items() if value is not None}
        return LEVELS.get(str(given.get("level")), {}) | given


def kept_augment_keys(section: Any, level: Any) -> dict[str, Any]:
    """The keys of a section ``augment`` that stay when another level is chosen later.

    Args:
        section: As YAML gives it, e.g. of a preset, or of a run, which says every key.
        level: The new level.

    Returns:
        With ``none`` nothing, else the keys that differ from the values of the section's level.
    """
    if not isinstance(section, dict) or level == "none":
        return {}
    before = section.get("level")
    known = AugmentConfig(level=before if before in LEVELS else "medium")
    own = known.model_dump(mode="json")
    return {key: value for key, value in section.items() if own.get(key, ...) != value}
