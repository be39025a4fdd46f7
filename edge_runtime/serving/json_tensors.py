"""Numbers of a tensor in JSON: what of them is read, counted before anything is made of it."""

from __future__ import annotations

import itertools
import json
import math
import re
from typing import Any

import numpy as np

from .problems import Problem

#: Photos in one tensor.
MAX_BATCH = 256

#: Bytes of JSON beside the numbers.
_ROOM = 64 << 10

#: Bytes of a number with what stands around it: 17 digits, exponent, indentation, brackets.
_NUMBER = 48

#: Bytes of numbers that are read at once: others get their turn in between.
_PIECE = 64 << 10

#: Where the numbers begin. A text in which this stands would have its quotes escaped.
_DATA = re.compile(rb'(?<!\\)"data"\s*:\s*(?=\[)')

_NUMBERS = re.compile(rb"[\d+\-.eE,\[\]\s]*")

#: A list and a number that are neighbours without a comma.
_TOUCHING = [b"%d[" % digit for digit in range(10)] + [b"]%c" % sign for sign in b"-0123456789"]

_NO_SKELETON = b"0123456789+-.eE \t\r\n\f\v"
_BLANKS = bytes.maketrans(b"[]", b"  ")


def parse(body: bytearray, end: int) -> tuple[dict[str, Any], bytes | None]:
    """The JSON of a request, without the numbers of its tensor.

    Python makes up to thirty times of a text of small things, and nobody else runs meanwhile:
    nothing is made of long ones as a whole.

    Args:
        body: It begins with the JSON.
        end: Bytes of the JSON.

    Returns:
        The object, and the text of ``data``, which is null in it; None where it is not there, or
        holds other things than numbers.

    Raises:
        Problem: 400 for what is no JSON, 413 for one that is too large, 422 for one of another kind.
    """
    begin, behind = _numbers(body, end)
    if end - (behind - begin) > _ROOM:
        raise Problem(
            413,
            f"The JSON beside the numbers of data is longer than {_ROOM >> 10} KiB; name, datatype "
            "and shape need less.",
        )
    with memoryview(body) as view:
        data = bytes(view[begin:behind]) if begin < behind else None
        text = b"".join([view[:begin], b"null" if data else b"", view[behind:end]])
    head = _loads(text)
    if not isinstance(head, dict):
        raise Problem(422, "The request: expected a JSON object with inputs.")
    return head, data


def _numbers(body: bytearray, end: int) -> tuple[int, int]:
    """Where the lists of ``data`` begin and end; twice the end where they cannot be told."""
    found = _DATA.search(body, 0, end)
    if found is None:
        return end, end
    numbers = _NUMBERS.match(body, found.end(), end)
    assert numbers is not None  # it may be empty
    behind = numbers.end()
    text = numbers[0].rstrip()
    text = text[:-1].rstrip() if text.endswith(b",") else text
    if not text.endswith(b"]"):
        return end, end
    behind = found.end() + len(text)
    return found.end(), behind


def _loads(text: bytes) -> Any:
    try:
        return json.loads(str(text, "utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else "not valid JSON"
        raise Problem(400, f"The request is {reason}.") from error


def _no_number(name: str) -> float:
    raise ValueError(name)


def from_json(data: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """A tensor out of ``data``.

    Args:
        data: As it came, flat or nested as the shape.
        shape: Of the tensor.
        dtype: Likewise.

    Raises:
        Problem: 422 for what are not as many numbers, or none that the type holds.
    """
    return _typed(_array(_flat(data, shape)), shape, dtype)


def from_text(text: bytes, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """:func:`from_json` of the text of ``data``, piece by piece.

    Args:
        text: As :func:`parse` gives it.
        shape: Of the tensor.
        dtype: Likewise.

    Raises:
        Problem: As :func:`from_json`, 400 for what is no JSON, 413 for more than such numbers need.
    """
    count = math.prod(shape)
    if len(text) > count * _NUMBER + _ROOM:
        raise Problem(413, f"data: is longer than {count} numbers need, which is what shape says.")
    found = text.count(b",") + 1
    if found != count:
        raise Problem(422, f"data: expected {count} numbers, found {found} values.")
    skeleton = text.translate(None, _NO_SKELETON)
    if skeleton != _listed(b"", (count,)):
        if skeleton != _listed(b"", shape):
            raise Problem(422, f"data: is not nested as the shape {list(shape)}.")
        dense = text.translate(None, b" \t\r\n")
        if any(pair in dense for pair in _TOUCHING):
            raise Problem(400, "The request is not valid JSON.")
    text = text.translate(_BLANKS)
    array, filled, place = np.empty(count, np.float64), 0, 0
    while place < len(text):
        comma = text.find(b",", place + _PIECE)
        stop = len(text) if comma < 0 else comma
        numbers = _array(_loads(b"[" + text[place:stop] + b"]"))
        array[filled : filled + len(numbers)] = numbers
        filled, place = filled + len(numbers), stop + 1
    if filled != count:
        raise Problem(400, "The request is not valid JSON.")
    return _typed(array, shape, dtype)


def _listed(item: bytes, shape: tuple[int, ...]) -> bytes:
    """What is left of nested lists without their numbers."""
    for side in reversed(shape):
        item = b"[" + b",".join([item] * side) + b"]"
    return item


def _array(numbers: list[Any]) -> np.ndarray:
    others = set(map(type, numbers)) - {int, float}
    if others:
        raise Problem(422, f"data: expected numbers, found {others.pop().__name__}.")
    try:
        # All that a model takes, but for float64 itself, is exact in float64.
        return np.array(numbers, np.float64)
    except OverflowError as error:
        raise _not_finite() from error


def _typed(array: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if (array != np.floor(array)).any():
            raise Problem(422, "data: expected whole numbers.")
        if array.min() < limits.min or array.max() > limits.max:
            raise Problem(422, f"data: expected numbers from {limits.min} to {limits.max}.")
    with np.errstate(over="ignore"):
        return finite(array.astype(dtype).reshape(shape))


def finite(tensor: np.ndarray) -> np.ndarray:
    """The tensor.

    Raises:
        Problem: 422 for one with what is no finite number.
    """
    if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
        raise _not_finite()
    return tensor


def _not_finite() -> Problem:
    return Problem(422, "data: holds what is no finite number.")


def _flat(data: Any, shape: tuple[int, ...]) -> list[Any]:
    """All values; each list is held to the shape before one is made of what is in it."""
    if not isinstance(data, list):
        raise Problem(422, "data: expected a list of numbers, flat or nested as the shape.")
    count = math.prod(shape)
    if not (data and isinstance(data[0], list)):
        if len(data) != count:
            raise Problem(422, f"data: expected {count} numbers, found {len(data)} values.")
        return data
    level: list[Any] = [data]
    for side in shape:
        for row in level:
            if not isinstance(row, list) or len(row) != side:
                raise Problem(422, f"data: is not nested as the shape {list(shape)}.")
        level = list(itertools.chain.from_iterable(level))
    return level
