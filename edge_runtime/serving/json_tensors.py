"""Numbers of a tensor in JSON: what of them is read, counted before anything is made of it."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import numpy as np

from .problems import Problem

#: Photos in one tensor.
MAX_BATCH = 256

#: Bytes of JSON beside the numbers; of its commas, lists and so on there may be a quarter of that.
_ROOM = 64 << 10

#: Bytes of a number with what stands around it: 17 digits, exponent, indentation, brackets.
_NUMBER = 48

#: Where a request says how many photos it has; one that hides this has one.
_SHAPE = re.compile(rb'"shape"\s*:\s*\[\s*(\d{1,6})')

#: So many of them are looked at: one is the input's, others may be among its parameters.
_SHAPES = 8


def parse(body: bytearray, end: int, values: int) -> dict[str, Any]:
    """The JSON of a request, unless it holds more than its tensor can need.

    Python makes up to thirty times of a text of small things, and nobody else runs meanwhile.

    Args:
        body: It begins with the JSON.
        end: Bytes of the JSON.
        values: Of one photo; 0 where the tensor does not stand in the JSON.

    Raises:
        Problem: 400 for what is no JSON, 413 for one that is too large, 422 for one of another kind.
    """
    most = values * _photos(body, end) if values else 0
    room = _ROOM // 4
    # Of lists there are no more than numbers at each of the four levels, however they are nested.
    counts = {b",": most + room, b"[": 3 * most + room, b"{": room, b'"': room}
    if end > most * _NUMBER + _ROOM or any(
        body.count(sign, 0, end) > limit for sign, limit in counts.items()
    ):
        needs = f"{most} values need, which is what its shape says" if most else "its bytes need"
        raise Problem(413, f"The JSON of this tensor is larger than {needs}.")
    try:
        with memoryview(body)[:end] as text:
            head = json.loads(str(text, "utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else "not valid JSON"
        raise Problem(400, f"The request is {reason}.") from error
    if not isinstance(head, dict):
        raise Problem(422, "The request: expected a JSON object with inputs.")
    return head


def _photos(body: bytearray, end: int) -> int:
    with memoryview(body)[:end] as text:
        found = [int(one[1]) for one in itertools.islice(_SHAPE.finditer(text), _SHAPES)]
    return min(max(found, default=1), MAX_BATCH)


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
    numbers = _flat(data, shape)
    others = set(map(type, numbers)) - {int, float}
    if others:
        raise Problem(422, f"data: expected numbers, found {others.pop().__name__}.")
    try:
        # All that a model takes, but for float64 itself, is exact in float64.
        array = np.array(numbers, np.float64)
    except OverflowError as error:
        raise _not_finite() from error
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
    count = int(np.prod(shape, dtype=object))
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
