"""The levels of augmentation; importing this loads nothing."""

from __future__ import annotations

from typing import Any, Literal

Level = Literal["none", "light", "medium", "heavy"]

#: What the levels change, apart from ``medium``, which is the defaults of the section ``augment``.
LEVELS: dict[str, dict[str, Any]] = {
    "none": {
        "area": (1, 1), "ratio": (1, 1), "rotation": 0, "flip": False,
        "brightness": 0, "contrast": 0, "saturation": 0, "hue": 0,
    },
    "light": {
        "area": (0.8, 1), "ratio": (0.9, 1.11), "rotation": 5,
        "brightness": 0.1, "contrast": 0.1, "saturation": 0.1, "hue": 0,
    },
    "medium": {},
    "heavy": {"randaugment_ops": 2, "erasing": 0.25},
}  # fmt: skip
