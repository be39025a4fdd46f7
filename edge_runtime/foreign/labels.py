"""Class names out of the files that people keep them in, and made to fit a model's scores."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from ..errors import ModelError

#: A line that begins with its index, as Coral's label files: ``12  goldfish`` or ``12: goldfish``.
_NUMBERED = re.compile(r"\s*(\d+)(?:\s*[:,]\s*|\s+)(\S.*)")

#: What the class for "none of these" is called where it comes first.
_BACKGROUNDS = frozenset({"background", "__background__", "dummy", "unused background"})

#: The first and the last of ImageNet's 1000 classes, in every list of their names.
_IMAGENET_FIRST, _IMAGENET_LAST = ("tench", "n01440764"), ("toilet", "n15075141")


def parse_labels(content: bytes, where: str) -> tuple[str, ...]:
    """Class names of a labels file, in index order.

    One name a line; or lines that begin with their index; or JSON: a list, or an object of index to
    name (or to a list that ends with the name, as Keras's ``imagenet_class_index.json``). A byte
    order mark, any line ends and blank lines at the end are no names; blank lines in between stay,
    as empty names, since only a model's number of scores tells what they are.

    Args:
        content: The file, UTF-8.
        where: Its name, for messages.

    Raises:
        ModelError: It is no such file.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ModelError(
            f"{where}: no UTF-8 text, so no list of labels ({error}). Save it as UTF-8."
        ) from error
    if "\0" in text:
        raise ModelError(f"{where}: binary data, no list of labels.")
    if text.lstrip()[:1] in ("[", "{") and where.lower().endswith(".json"):
        return _from_json(text, where)
    # Not splitlines(), which also parts lines at separators that a name may hold.
    lines = [line.strip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise ModelError(f"{where}: no labels in it. Expected one class name a line.")
    return _without_numbers(lines)


def _without_numbers(lines: Sequence[str]) -> tuple[str, ...]:
    """Names in the order of the indices that their lines begin with, where all of them do."""
    found = [_NUMBERED.fullmatch(line) for line in lines if line]
    pairs = {int(match[1]): match[2].strip() for match in found if match}
    if len(pairs) == len(found) > 1 and sorted(pairs) == list(range(len(pairs))):
        return tuple(pairs[index] for index in range(len(pairs)))
    return tuple(lines)


def _from_json(text: str, where: str) -> tuple[str, ...]:
    expected = "Expected a list of names, or an object of index to name."
    try:
        data = json.loads(text)
        if isinstance(data, dict):
            indexed = {int(key): value for key, value in data.items()}
            if sorted(indexed) != list(range(len(data))):
                raise ModelError(f"{where}: its indices are not 0 to {len(data) - 1}. {expected}")
            data = [indexed[index] for index in range(len(indexed))]
        names = tuple(_last(entry) for entry in data)
    except (ValueError, TypeError, IndexError, RecursionError) as error:
        raise ModelError(f"{where}: no labels ({error}). {expected}") from error
    if not names:
        raise ModelError(f"{where}: no labels in it. {expected}")
    return names


def _last(entry: Any) -> str:
    name = entry[-1] if isinstance(entry, list) else entry
    if not isinstance(name, str):
        raise TypeError(f"{name!r} is no name")
    return name.strip()


def fit_labels(labels: Sequence[str], classes: int, where: str) -> tuple[tuple[str, ...], str]:
    """Make a list of labels fit a model.

    The count decides what blank lines are. A class for the background is put in front only where the
    model has 1001 scores and the labels are ImageNet's 1000, and taken away only where the labels
    begin with one and are one too many.

    Args:
        labels: As :func:`parse_labels` gives.
        classes: Number of the model's scores.
        where: Where the labels come from, for the message.

    Returns:
        As many names as scores, and what was done for it, for people; empty for nothing.

    Raises:
        ModelError: They do not fit.
    """
    named = tuple(label for label in labels if label)
    for names in dict.fromkeys((tuple(labels), named)):
        blanks = len(names) - len(named)
        ignored = len(labels) - len(names)
        note = f"{ignored} blank lines left out" if ignored else ""
        if len(names) == classes:
            whole = tuple(name or f"class {index}" for index, name in enumerate(names))
            return whole, f"{blanks} without a name" if blanks else note
        if len(names) == classes + 1 and names[0].casefold() in _BACKGROUNDS:
            return tuple(names[1:]), f"{names[0]!r} taken away, the model has no score for it"
        if (len(names), classes) == (1000, 1001) and _is_imagenet(names):
            return ("background", *names), "'background' put in front, for the model's score 0"
    count = f"{len(named)} labels" + (
        f" (and {b} blank lines)" if (b := len(labels) - len(named)) else ""
    )
    raise ModelError(
        f"{where}: {count}, but the model gives {classes} scores, so any answer could be one of "
        "another class. Give the labels that it was trained with."
    )


def _is_imagenet(names: Sequence[str]) -> bool:
    first, last = names[0].casefold(), names[-1].casefold()
    return any(word in first for word in _IMAGENET_FIRST) and any(
        word in last for word in _IMAGENET_LAST
    )
