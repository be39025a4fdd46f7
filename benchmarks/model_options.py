"""What a user said of a model, as options of ``edge-classify``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_runtime.settings import NAMES


def model_options(given: Mapping[str, Any], labels: str) -> list[str]:
    """Words of a command line that say it again.

    Args:
        given: Fields of :class:`~edge_runtime.settings.ModelSettings`, perhaps as JSON has them;
            None where nothing was said.
        labels: Name of a file that holds the labels, if there are any.
    """
    words: list[str] = []
    for field, name in NAMES.items():
        value = given.get(field)
        if value is None:
            continue
        if field == "labels":
            text = labels
        elif isinstance(value, (list, tuple)):
            text = ("x" if field == "size" else ",").join(map(str, value))
        else:
            text = str(value)
        words += [f"--{name}", text]
    return words
