"""What a small YAML or JSON file beside a model says of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import MissingComponent, ModelError, UsageError
from ..settings import ModelSettings
from .labels import parse_labels

#: Bytes; a thousand labels are forty thousand.
_MAX_SIZE = 4 << 20


def read_beside(file: Path) -> ModelSettings:
    """Read it.

    The keys are the names of the options of ``edge-classify``, see :data:`KEYS`; ``labels`` may be a
    list, or the name of a file beside it.

    Raises:
        UsageError: A key is not known, or a value not allowed.
        ModelError: It is no YAML or JSON, or its file of labels is none.
        MissingComponent: PyYAML is not installed.
    """
    data = _load(file)
    if not isinstance(data, Mapping):
        raise ModelError(
            f"{file}: expected keys and values such as `normalization: unit`, found "
            f"{type(data).__name__}. If it is not about {file.stem}, rename it."
        )
    found: dict[str, Any] = {}
    for key, value in data.items():
        name = str(key).replace("_", "-")
        if name not in KEYS:
            import difflib

            near = difflib.get_close_matches(name, KEYS, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise UsageError(
                f"{file}: unknown key {str(key)!r}.{hint} Known: {', '.join(KEYS)}. If the file is "
                "not about the model beside it, rename it."
            )
        if value is None:
            continue
        field, convert = KEYS[name]
        try:
            found[field] = convert(value)
        except (ValueError, TypeError) as error:
            raise UsageError(f"{file}: {name}: {error}") from error
    try:
        if isinstance(found.get("labels"), str):
            found["labels"] = read_labels(file.parent / found["labels"])
        return ModelSettings(**found)
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from error


def read_labels(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Class names of a file, see :func:`edge_runtime.foreign.labels.parse_labels`.

    Raises:
        UsageError: There is no such file.
        ModelError: It is no list of labels.
    """
    where = os.fspath(path)
    if not os.path.isfile(path):
        raise UsageError(f"{where}: no such file of labels.")
    return parse_labels(_content(Path(path)), where)


def _load(file: Path) -> Any:
    content = _content(file)
    try:
        if file.suffix == ".json":
            return json.loads(content)
        try:
            import yaml
        except ImportError as error:
            raise MissingComponent(
                f"PyYAML is needed to read {file}, and is not installed. Install it with: "
                "pip install pyyaml (or write the file as JSON)"
            ) from error
        return yaml.safe_load(content)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{file}: not valid ({error}).") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "yaml":
            raise
        said = " ".join(str(error).split())
        raise ModelError(f"{file}: no valid YAML ({said}).") from error


def _content(file: Path) -> bytes:
    with open(file, "rb") as stream:
        content = stream.read(_MAX_SIZE + 1)
    if len(content) > _MAX_SIZE:
        raise ModelError(f"{file}: larger than {_MAX_SIZE >> 20} MB. Refused.")
    return content


def _word(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a word, found {value!r}.")
    return value


def parse_numbers(value: Any) -> tuple[float, ...]:
    """One number or three, as a number, a list, or text with commas.

    Raises:
        ValueError: It is neither.
    """
    parts = value.split(",") if isinstance(value, str) else value
    parts = parts if isinstance(parts, list) else [parts]
    try:
        numbers = tuple(float(part) for part in parts)
    except (TypeError, ValueError, OverflowError):
        numbers = ()
    if len(numbers) not in (1, 3) or any(isinstance(part, bool) for part in parts):
        raise ValueError(f"expected one number or three with commas, found {value!r}.")
    return numbers


def parse_size(value: Any) -> tuple[int, int]:
    """(width, height) of text such as ``224x224``, or of a list of two.

    Raises:
        ValueError: It is neither.
    """
    parts = value.lower().split("x") if isinstance(value, str) else value
    if isinstance(parts, list) and len(parts) == 2 and not isinstance(parts[0], bool):
        try:
            return int(parts[0]), int(parts[1])
        except (TypeError, ValueError):
            pass
    raise ValueError(f"expected WIDTHxHEIGHT such as 224x224, found {value!r}.")


def _names(value: Any) -> Any:
    if isinstance(value, str):
        return value
    # YAML takes some names for something else: yes, 7, null.
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError("expected the name of a file, or a list of names (each in quotes).")
    return tuple(value)


#: Keys, and for each the field of ModelSettings and what makes its value.
KEYS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "labels": ("labels", _names),
    "mean": ("mean", parse_numbers),
    "std": ("std", parse_numbers),
    "normalization": ("normalization", _word),
    "layout": ("layout", lambda value: _word(value).upper()),
    "channel-order": ("color", lambda value: _word(value).upper()),
    "fit": ("fit", _word),
    "kernel": ("kernel", _word),
    "output-kind": ("output", _word),
    "input-size": ("size", parse_size),
}
