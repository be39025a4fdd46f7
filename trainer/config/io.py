"""Reading and writing the configuration: YAML files, shipped presets, ``a.b=c``."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_runtime import rundir
from edge_runtime.errors import UsageError
from edge_runtime.rundir import RunDir

from ..packages import import_module
from .augment import kept_augment_keys
from .schema import Config
from .types import Section, ValidationError

#: Keys that a training does not take over from the run that it starts from.
_OF_ITS_PHOTOS = {"evaluation.out_of_fold"}

_PRESETS = Path(__file__).parent / "presets"


def load_config(
    source: str | os.PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
    assignments: Sequence[str] = (),
    preset: str | None = None,
) -> Config:
    """Build the configuration: each source goes over the one before.

    These are: the defaults; the run that ``model.from_run`` names, wherever that is set; a preset;
    a file; options; assignments. A new ``augment.level`` keeps the other keys of its section only
    where they were set on purpose.

    Args:
        source: A YAML file, or the name of a shipped preset (:func:`preset_names`).
        options: Dotted keys with their values; None stands for "not given".
        assignments: ``key=value``, the key dotted and the value in YAML, as in
            ``head.epochs=3`` or ``augment.area=[0.8, 1]``.
        preset: The name of a shipped preset.

    Raises:
        UsageError: No such file, preset or run, damaged YAML, an unknown key (the message lists
            the valid ones), or a value out of range.
        ModelError: The run is damaged.
    """
    files = [] if preset is None else [find_preset(preset)]
    files += [] if source is None else [find_config(source)]
    given = [item for file in files for item in _read_items(file)]
    given += [(key, value) for key, value in (options or {}).items() if value is not None]
    given += [parse_assignment(assignment) for assignment in assignments]
    data = _merged(given)
    model = data.get("model")
    run = model.get("from_run") if isinstance(model, dict) else None
    if isinstance(run, str) and run:
        before = _read_items(RunDir.open(run).path / rundir.CONFIG)
        data = _merged([item for item in before if item[0] not in _OF_ITS_PHOTOS] + given)
    return parse_config(data)


def read_config(file: Path) -> Config:
    """Read the resolved configuration of a run, which says every key; nothing else is opened.

    Raises:
        UsageError: As :func:`load_config`.
    """
    return parse_config(read_mapping(file), f"{file}: ")


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


def preset_summaries() -> dict[str, str]:
    """The first comment line of each shipped preset."""
    files = {name: find_preset(name).read_text(encoding="utf-8") for name in preset_names()}
    return {name: text.partition("\n")[0].lstrip("# ") for name, text in files.items()}


def find_config(source: str | os.PathLike[str]) -> Path:
    """The YAML file that a path or the name of a preset stands for.

    Raises:
        UsageError: There is neither.
    """
    path, name = Path(source), os.fspath(source)
    if path.is_file():
        return path
    if name in preset_names():
        return find_preset(name)
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; a YAML file was expected.")
    hint = _near_miss(name, preset_names())
    raise UsageError(f"{path}: no such file, nor a preset.{hint} Presets: {_join(preset_names())}.")


def find_preset(name: str) -> Path:
    """The YAML file of a shipped preset.

    Raises:
        UsageError: There is none of this name.
    """
    if name not in preset_names():
        hint = _near_miss(name, preset_names()) or (
            " Name a file with --config." if Path(name).is_file() else ""
        )
        raise UsageError(f"no preset {name!r}.{hint} Presets: {_join(preset_names())}.")
    return _PRESETS / f"{name}.yaml"


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


def _read_items(file: Path) -> list[tuple[str, Any]]:
    """Dotted keys and values of a file, which is checked by itself, so that it gets the blame."""
    data, sections = read_mapping(file), _sections()
    parse_config(data, f"{file}: ")
    items: list[tuple[str, Any]] = []
    for name, value in data.items():
        if name in sections:
            keys = sorted(value or {}, key=lambda key: key != "level")  # level resets the others
            items += [(f"{name}.{key}", value[key]) for key in keys]
        else:
            items.append((name, value))
    return items


def _merged(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key, value in items:
        _assign(data, key, value)
    return data


def _assign(data: dict[str, Any], key: str, value: Any) -> None:
    if key == "augment.level":
        data["augment"] = kept_augment_keys(data.get("augment"), value)
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
    """Keys of all sections, and the sections, that look like one in the wrong place."""
    homes: dict[str, list[str]] = {key: [key] for key in Config.model_fields}
    for section, kind in _sections().items():
        for key in kind.model_fields:
            homes.setdefault(key, []).append(f"{section}.{key}")
    near = _similar(name, homes, cutoff=0.8)
    return _did_you_mean([home for key in near for home in homes[key]])


def _near_miss(name: str, known: Iterable[str]) -> str:
    return _did_you_mean(_similar(name, list(known)))


def _similar(name: str, known: Collection[str], cutoff: float = 0.6) -> list[str]:
    """Names spelt alike; those that hold the name's words; those that it is the initials of."""

    def held(other: str) -> bool:
        words = other.split("_")
        return f"_{name}_" in f"_{other}_" or name == "".join(word[0] for word in words if word)

    if name in known:
        return [name]
    near = difflib.get_close_matches(name, known, cutoff=cutoff)
    return near + [other for other in known if other not in near and held(other)]


def _did_you_mean(names: Sequence[str]) -> str:
    if not names:
        return ""
    *others, last = names
    return f" Did you mean {', '.join(others)}{' or ' if others else ''}{last}?"


def _join(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
