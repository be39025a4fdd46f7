"""The configuration as YAML with the comments of its source: what ``edge-train config`` prints."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from ..packages import import_module
from .schema import Config
from .types import Section

_WIDTH = 90


def field_comments(section: type[Section]) -> dict[str, str]:
    """What the ``#:`` comments above the fields of a section say, those of its bases included.

    Args:
        section: The section, or :class:`Config`; a field that is a section itself has its class's
            docstring.

    Returns:
        Text for each field, one line, without markup; empty where there is none.
    """
    found = dict.fromkeys(section.model_fields, "")
    for kind in reversed(section.__mro__):
        if issubclass(kind, Section) and kind is not Section:
            found |= dict(_own_comments(kind))
    for name, field in section.model_fields.items():
        inner = field.annotation
        if not found[name] and isinstance(inner, type) and issubclass(inner, Section):
            found[name] = _plain(inspect.getdoc(inner) or "")
    return found


def allowed_values(section: type[Section], name: str) -> str:
    """The values that a field takes, in words: ``a number, 0 to below 1, or null``."""
    field = section.model_fields[name]
    return _describe(field.annotation, field.metadata)


def commented_yaml(config: Config, title: str = "") -> str:
    """The configuration as YAML text, with what each key means and takes above it.

    Args:
        config: The configuration; its values are written.
        title: First line of the text, as a comment.
    """
    lines = [f"# {title}"] if title else []
    comments = field_comments(Config)
    for name, value in config:
        lines.append("")
        if isinstance(value, Section):
            lines += [*_comment(comments[name]), f"{name}:"]
            lines += [f"  {line}".rstrip() for line in _keys(value)]
        else:
            lines += _key(config, name, comments[name])
    return "\n".join(lines).strip() + "\n"


def _keys(section: Section) -> Iterator[str]:
    comments = field_comments(type(section))
    for name in type(section).model_fields:
        yield from _key(section, name, comments[name])


def _key(section: Section, name: str, comment: str) -> list[str]:
    value = section.model_dump(mode="json")[name]
    allowed = allowed_values(type(section), name)
    return [*_comment(comment), *_comment(f"Allowed: {allowed}."), f"{name}: {_value(value)}"]


def _value(value: Any) -> str:
    yaml = import_module("yaml", "pyyaml", "write the configuration")
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
    )


def _own_comments(kind: type[Section]) -> Iterator[tuple[str, str]]:
    """Names and comments of the fields that a class defines with a comment."""
    source = textwrap.dedent(inspect.getsource(kind))
    lines, body = source.splitlines(), ast.parse(source).body[0]
    assert isinstance(body, ast.ClassDef)
    for node in body.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        first = node.lineno - 1
        while first and lines[first - 1].lstrip().startswith("#:"):
            first -= 1
        above = [line.strip().removeprefix("#:") for line in lines[first : node.lineno - 1]]
        if above:
            yield node.target.id, _plain(" ".join(above))


def _plain(text: str) -> str:
    return " ".join(text.replace("``", "").split())


def _describe(kind: Any, marks: Sequence[Any]) -> str:
    """An annotation in words; ``marks`` is what its ``Annotated`` adds."""
    if get_origin(kind) is Annotated:
        inner, *more = get_args(kind)
        return _describe(inner, [*marks, *more])
    if get_origin(kind) is Literal:
        *others, last = map(str, get_args(kind))
        return f"{', '.join(others)} or {last}"
    if get_origin(kind) in (Union, UnionType):
        return ", or ".join(_describe(part, marks) for part in get_args(kind))
    if get_origin(kind) is tuple:
        inner, *more = get_args(kind)
        each = _describe(inner, [])
        return (
            f"[{', '.join('xyz'[: len(more) + 1])}], each {each}"
            if ... not in more
            else (f"a list, each {each}")
        )
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    between = _range(marks) if kind in (int, float) else ""
    return words.get(kind, "null") + between


def _range(marks: Sequence[Any]) -> str:
    """Limits, of which the innermost come last and are the widest."""
    flat = [bit for mark in marks for bit in (*getattr(mark, "metadata", ()), mark)]
    found = {
        name: getattr(bit, name)
        for bit in reversed(flat)
        for name in ("ge", "gt", "le", "lt")
        if getattr(bit, name, None) is not None
    }
    low, above, high, below = (found.get(name) for name in ("ge", "gt", "le", "lt"))
    start = f"above {above}" if above is not None else "" if low is None else f"{low}"
    to = ", up to" if above is not None else " to"
    if high is not None:
        return f", {start}{to} {high}"
    if below is not None:
        return f", {start}{to} below {below}"
    return f", {start} or more" if low is not None else f", {start}" if start else ""
