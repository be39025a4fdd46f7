"""Reading and writing the configuration: YAML files, shipped presets, ``a.b=c``."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_runtime.errors import UsageError

from .config import Config, Section, ValidationError
from .packages import import_module

_PRESETS = Path(__file__).parent / "presets"


def load_config(
    source: str | os.PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
    assignments: Sequence[str] = (),
) -> Config:
    """Build the configuration: defaults, then a file, then options, then assignments.

    Args:
        source: A YAML file, or the name of a shipped preset (:func:`preset_names`).
        options: Dotted keys with their values; None stands for "not given".
        assignments: ``key=value``, the key dotted and the value in YAML, as in
            ``head.epochs=3`` or ``augment.area=[0.8, 1]``.

    Raises:
        UsageError: No such file or preset, damaged YAML, an unknown key (the message lists the
            valid ones), or a value out of range.
    """
    data: dict[str, Any] = {}
    where = ""
    if source is not None:
        file = find_config(source)
        data, where = read_mapping(file), f"{file}: "
        parse_config(data, where)  # so that a mistake in the file is not blamed on the options
    for key, value in (options or {}).items():
        if value is not None:
            _assign(data, key, value)
    for assignment in assignments:
        _assign(data, *parse_assignment(assignment))
    return parse_config(data)


def parse_config(data: Mapping[str, Any], where: str = "") -> Config:
    """Check a mapping as YAML gives it.

    Args:
        data: Sections and their keys; a section may be None, which is the same as empty.
        where: Prefix of the message.

    Raises:
        UsageError: As :func:`load_config`.
    """
    sections = _sections()
    given = {k: v for k, v in data.items() if not (v is None and k in sections)}
    try:
        return Config.model_validate(given)
    except ValidationError as error:
        lines = [_explain(problem) for problem in error.errors()]
        raise UsageError("\n".join(f"{where}{line}" for line in lines)) from error


def dump_config(config: Config) -> str:
    """The configuration as YAML text, every key written out."""
    yaml = import_module("yaml", "pyyaml", "write the configuration")
    return str(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))


def preset_names() -> list[str]:
    """Names of the shipped presets."""
    return sorted(file.stem for file in _PRESETS.glob("*.yaml"))


def find_config(source: str | os.PathLike[str]) -> Path:
    """The YAML file that a path or the name of a preset stands for.

    Raises:
        UsageError: There is neither.
    """
    path = Path(source)
    if path.is_file():
        return path
    name = os.fspath(source)
    preset = _PRESETS / f"{name}.yaml"
    if name in preset_names():
        return preset
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; a YAML file was expected.")
    hint = _near_miss(name, preset_names())
    raise UsageError(f"{path}: no such file, nor a preset.{hint} Presets: {_join(preset_names())}.")


def read_mapping(file: Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping; an empty file holds an empty one.

    Raises:
        UsageError: It is not YAML or not a mapping; the message names the line.
    """
    yaml = import_module("yaml", "pyyaml", "read the configuration")
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UsageError(f"{file}, line {line}: not valid YAML ({error.problem}).") from error
    except yaml.YAMLError as error:  # a control character
        raise UsageError(f"{file}: not valid YAML ({error}).") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UsageError(f"{file}, line {line}: not UTF-8 text.") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise UsageError(
            f"{file}, line 1: expected sections such as 'head:' with 'key: value' below, "
            f"found a {type(data).__name__}."
        )
    return {str(key): value for key, value in data.items()}


def parse_assignment(text: str) -> tuple[str, Any]:
    """Split ``key=value``; the value is YAML.

    Raises:
        UsageError: It has no ``=``, or the value is not YAML.
    """
    yaml = import_module("yaml", "pyyaml", "read the configuration")
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise UsageError(f"--set {text}: expected key=value, as in head.epochs=3.")
    try:
        return key.strip(), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UsageError(f"--set {text}: {value!r} is not a YAML value.") from error


def _assign(data: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        inner = data.get(parent)
        data[parent] = dict(inner) if isinstance(inner, dict) else {}
        data = data[parent]
    if isinstance(value, dict) and isinstance(data.get(last), dict):
        value = data[last] | value
    data[last] = value


def _sections() -> dict[str, type[Section]]:
    return {
        name: field.annotation
        for name, field in Config.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
    }


def _explain(problem: Mapping[str, Any]) -> str:
    """One line for one problem that pydantic found."""
    place = [str(part) for part in problem["loc"]]
    key, value, sections = ".".join(place), problem["input"], _sections()
    if problem["type"] == "extra_forbidden":
        section = sections.get(place[0]) if len(place) > 1 else None
        valid = list((section or Config).model_fields)
        inside = f" in section {place[0]!r}" if section else ""
        hint = _near_miss(place[-1], valid) or _near_miss_anywhere(place[-1])
        return f"unknown key {key!r}.{hint} Valid keys{inside}: {_join(valid)}."
    if key in sections:
        return f"{key}: expected a section with the keys {_join(sections[key].model_fields)}, found {value!r}."
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "value_error" and len(place) < 2 and isinstance(value, (dict, Section)):
        return f"{message}."  # about several keys, which it names
    return f"{key}: {message.replace('Input should be', 'expected')}, found {value!r}."


def _near_miss_anywhere(name: str) -> str:
    homes = {
        key: f"{s}.{key}" for s, section in _sections().items() for key in section.model_fields
    }
    near = difflib.get_close_matches(name, homes, n=1, cutoff=0.8)
    return f" Did you mean {homes[near[0]]}?" if near else ""


def _near_miss(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {near[0]}?" if near else ""


def _join(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
