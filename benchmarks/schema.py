"""The JSON Schema of a result (draft 2020-12), made from the types of :mod:`benchmarks.result`.

``schema.json`` beside this module is published; ``python -m benchmarks.schema`` writes it again after
a change of the types, with what their comments say as descriptions. :func:`faults` checks a result
against it with nothing but Python, since boards have no package for that.
"""

from __future__ import annotations

import ast
import json
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Union

FILE = Path(__file__).with_name("schema.json")

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_ID = "urn:edge-classify:benchmark-result:{version}"

_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def published() -> dict[str, Any]:
    """The schema as it is shipped."""
    loaded: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return loaded


def derive() -> dict[str, Any]:
    """The schema that the types ask for."""
    from . import result

    source = Path(result.__file__).read_text(encoding="utf-8")
    described = _descriptions(source)
    found: dict[str, Any] = {}
    top = _object(result.Result, described, found)
    top["properties"]["schema_version"] = {"const": result.SCHEMA_VERSION}
    return {
        "$schema": _DRAFT,
        "$id": _ID.format(version=result.SCHEMA_VERSION),
        "title": "What edge-bench run finds",
        **top,
        "$defs": dict(sorted(found.items())),
    }


def faults(data: object, schema: Mapping[str, Any] | None = None) -> Iterator[str]:
    """What of a value contradicts the schema, as far as the schema's own vocabulary goes.

    Args:
        data: Parsed JSON.
        schema: None for the published one.

    Yields:
        ``rows[2].latency.p50_ms: expected number, found "x"``.
    """
    root = published() if schema is None else schema
    yield from _faults(data, root, root, "")


def _faults(data: object, schema: Mapping[str, Any], root: Mapping[str, Any], at: str) -> Any:
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    place = at or "the result"
    if "anyOf" in schema:
        tries = [list(_faults(data, one, root, at)) for one in schema["anyOf"]]
        if all(tries):  # in every union of the types the other choice is null, of which all is said
            yield from tries[0]
        return
    if "const" in schema or "enum" in schema:
        allowed = [schema["const"]] if "const" in schema else schema["enum"]
        if not any(type(data) is type(value) and data == value for value in allowed):
            yield f"{place}: expected {' or '.join(map(json.dumps, allowed))}, found {_short(data)}"
        return
    kind = schema.get("type")
    if kind is not None and not _is(data, kind):
        yield f"{place}: expected {kind}, found {_short(data)}"
        return
    if isinstance(data, dict):
        for name in schema.get("required", ()):
            if name not in data:
                yield f"{place}: {name} is missing"
        known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        for name, value in data.items():
            below = known.get(name, others)
            if isinstance(below, Mapping):
                yield from _faults(value, below, root, f"{at}.{name}" if at else name)
    elif isinstance(data, list):
        first = schema.get("prefixItems")
        if first is not None and len(data) != len(first):
            yield f"{place}: expected {len(first)} values, found {len(data)}"
            return
        for number, value in enumerate(data):
            below = first[number] if first else schema.get("items", {})
            yield from _faults(value, below, root, f"{at}[{number}]")


def _is(data: object, kind: str) -> bool:
    if kind in ("number", "integer"):
        if not isinstance(data, (int, float)) or isinstance(data, bool):
            return False
        return kind == "number" or float(data).is_integer()  # JSON knows no difference of 2 and 2.0
    python = {"string": str, "boolean": bool, "null": type(None), "object": dict, "array": list}
    return isinstance(data, python[kind])


def _short(data: object) -> str:
    text = json.dumps(data)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _object(kind: type, described: Mapping[str, str], found: dict[str, Any]) -> dict[str, Any]:
    """The schema of a TypedDict; those that it holds go into ``found``."""
    properties = {}
    for name, hint in typing.get_type_hints(kind).items():
        about = described.get(f"{kind.__name__}.{name}")
        properties[name] = _value(hint, described, found) | (
            {"description": about} if about else {}
        )
    required = kind.__required_keys__  # type: ignore[attr-defined]  # every TypedDict has it
    return {
        "description": described.get(kind.__name__, ""),
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name in required],
    }


def _value(hint: Any, described: Mapping[str, str], found: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return {}
    if hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_value(one, described, found) for one in arguments]}
    if origin is list:
        return {"type": "array", "items": _value(arguments[0], described, found)}
    if origin is tuple:
        parts = [_value(one, described, found) for one in arguments]
        size = len(parts)
        return {"type": "array", "prefixItems": parts, "minItems": size, "maxItems": size}
    if origin is dict:
        return {"type": "object", "additionalProperties": _value(arguments[1], described, found)}
    if hint.__name__ not in found:
        found[hint.__name__] = {}  # in its place before what it holds
        found[hint.__name__] = _object(hint, described, found)
    return {"$ref": f"#/$defs/{hint.__name__}"}


def _descriptions(source: str) -> dict[str, str]:
    """Docstrings by ``Class`` and ``#:`` comments by ``Class.field``: of its line, or above it."""
    lines = source.splitlines()
    found: dict[str, str] = {}
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for base in node.bases:  # a TypedDict has the fields of the one that it is made from
            before = f"{ast.unparse(base)}."
            mine = {
                f"{node.name}.{k[len(before) :]}": v
                for k, v in found.items()
                if k.startswith(before)
            }
            found |= mine
        found[node.name] = " ".join((ast.get_docstring(node) or "").split())
        for field in node.body:
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                last = lines[(field.end_lineno or field.lineno) - 1]
                texts, line = [last.partition("#: ")[2]], field.lineno - 2
                while lines[line].strip().startswith("#: "):
                    texts.insert(0, lines[line].partition("#: ")[2])
                    line -= 1
                found[f"{node.name}.{field.target.id}"] = " ".join(filter(None, texts)).strip()
    return found


if __name__ == "__main__":
    FILE.write_text(json.dumps(derive(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
