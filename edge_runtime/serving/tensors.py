"""Tensors of the Open Inference Protocol v2, as JSON and as bytes.

https://github.com/kserve/open-inference-protocol (REST), and the binary tensor data extension of
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md:
a JSON header whose length is told in a header of HTTP, and behind it the tensors, little-endian,
in row-major order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .json_tensors import MAX_BATCH, finite, from_json, from_text, parse
from .problems import Problem

#: Names of the protocol.
DATATYPES = {"uint8": "UINT8", "int8": "INT8", "int16": "INT16", "float16": "FP16",
             "float32": "FP32", "float64": "FP64"}  # fmt: skip

#: Characters of a value that an error repeats.
_SHOWN = 60


@dataclass(frozen=True)
class Input:
    """What a model takes.

    Attributes:
        name: Of the tensor.
        dtype: Its type.
        shape: Its dimensions, None for any.
    """

    name: str
    dtype: np.dtype
    shape: tuple[int | None, ...]

    @property
    def datatype(self) -> str:
        """In the protocol's words."""
        return DATATYPES[str(self.dtype)]


@dataclass(frozen=True)
class Wanted:
    """An output that is asked for.

    Attributes:
        name: Of the tensor.
        binary: Whether it is sent as bytes.
        classes: How many of the best classes are told in its place; 0 for the tensor itself.
    """

    name: str
    binary: bool
    classes: int = 0


@dataclass(frozen=True)
class Inference:
    """A request, read and checked.

    Attributes:
        id: What the client calls it; None without.
        tensor: Of the input.
        wanted: Outputs, in their order.
    """

    id: str | None
    tensor: np.ndarray
    wanted: tuple[Wanted, ...]


def read_inference(
    body: bytearray, header_length: int | None, takes: Input, outputs: tuple[str, ...]
) -> Inference:
    """Read a request.

    Args:
        body: All of it.
        header_length: Bytes of its JSON, the rest being tensors; None for JSON alone, 0 for the
            bytes of a tensor and nothing else, whose answer is bytes as well.
        takes: The model's input.
        outputs: Names of its outputs.

    Raises:
        Problem: 400 for what cannot be read, 413 for more JSON than such a tensor needs, 422 for
            what the model does not take or have.
    """
    if header_length is not None and header_length > len(body):
        raise Problem(400, "Inference-Header-Content-Length: is more than the body has.")
    if header_length == 0:
        wanted = tuple(Wanted(name, binary=True) for name in outputs)
        return Inference(None, _bare(memoryview(body), takes), wanted)
    split = len(body) if header_length is None else header_length
    head, data = parse(body, split)
    tail = memoryview(body)[split:]
    inputs = head.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise Problem(422, f"inputs: expected a list of one tensor, {takes.name!r}.")
    identity = head.get("id")
    if identity is not None and not isinstance(identity, str):
        raise Problem(422, "id: expected a string.")
    wanted = _wanted(head, outputs)
    return Inference(identity, _tensor(inputs[0], data, tail, takes), wanted)


def _parameters(owner: dict[str, Any]) -> dict[str, Any]:
    found = owner.get("parameters", {})
    if not isinstance(found, dict):
        raise Problem(422, "parameters: expected an object.")
    return found


def _flag(found: dict[str, Any], name: str, default: bool) -> bool:
    value = found.get(name, default)
    if not isinstance(value, bool):
        raise Problem(422, f"parameters.{name}: expected true or false.")
    return value


def _wanted(head: dict[str, Any], outputs: tuple[str, ...]) -> tuple[Wanted, ...]:
    binary = _flag(_parameters(head), "binary_data_output", False)
    asked = head.get("outputs")
    if asked is None or asked == []:
        return tuple(Wanted(name, binary) for name in outputs)
    if not isinstance(asked, list) or len(asked) > len(outputs):
        raise Problem(422, f"outputs: expected a list of some of {', '.join(outputs)}.")
    found: list[Wanted] = []
    for one in asked:
        name = one.get("name") if isinstance(one, dict) else None
        if name not in outputs:
            raise Problem(422, f"outputs: there is {', '.join(outputs)}; found {_short(name)}.")
        if any(known.name == name for known in found):
            raise Problem(422, f"outputs: {name} stands there twice.")
        given = _parameters(one)
        classes = given.get("classification", 0)
        if not isinstance(classes, int) or isinstance(classes, bool) or classes < 0:
            raise Problem(422, "parameters.classification: expected a number of classes.")
        if classes and name != outputs[0]:
            raise Problem(422, f"parameters.classification: is for {outputs[0]} alone.")
        found.append(Wanted(name, _flag(given, "binary_data", binary), classes))
    return tuple(found)


def _tensor(
    given: dict[str, Any], data: bytes | None, tail: memoryview, takes: Input
) -> np.ndarray:
    if given.get("name") != takes.name:
        raise Problem(422, f"inputs: expected {takes.name!r}, found {_short(given.get('name'))}.")
    if given.get("datatype") != takes.datatype:
        raise Problem(
            422, f"datatype: expected {takes.datatype}, found {_short(given.get('datatype'))}."
        )
    shape = _shape(given.get("shape"), takes)
    count = math.prod(shape)
    size = _parameters(given).get("binary_data_size")
    if size is None:
        if len(tail):
            raise Problem(400, "There are bytes behind the JSON that no input claims.")
        if data is not None and "data" in given and given["data"] is None:
            return from_text(data, shape, takes.dtype)
        return from_json(given.get("data"), shape, takes.dtype)
    if "data" in given:
        raise Problem(422, "data: is there beside binary_data_size; one of them.")
    expected = count * takes.dtype.itemsize
    if size != expected or isinstance(size, bool) or len(tail) != expected:
        raise Problem(
            422,
            f"binary_data_size: the shape {list(shape)} of {takes.datatype} has {expected} bytes; "
            f"found {_short(size)}, and {len(tail)} bytes behind the JSON.",
        )
    return _from_bytes(tail, shape, takes.dtype)


def _bare(content: memoryview, takes: Input) -> np.ndarray:
    """A tensor without a description: as many photos as there are bytes for."""
    sides = tuple(n or 1 for n in takes.shape[1:])
    one = math.prod(sides) * takes.dtype.itemsize
    count, rest = divmod(len(content), one)
    if rest or not 1 <= count <= MAX_BATCH:
        raise Problem(
            422,
            f"The body: expected {one} bytes for each of at most {MAX_BATCH} photos, as "
            f"Inference-Header-Content-Length is 0; found {len(content)}.",
        )
    return _from_bytes(content, (count, *sides), takes.dtype)


def _from_bytes(content: memoryview, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    tensor = np.frombuffer(content, dtype.newbyteorder("<")).astype(dtype)
    return finite(tensor.reshape(shape))


def _shape(given: Any, takes: Input) -> tuple[int, ...]:
    expected = [-1 if n is None else n for n in takes.shape]
    if not isinstance(given, list) or len(given) != len(expected):
        raise Problem(422, f"shape: expected {expected}, found {_short(given)}.")
    for place, (number, side) in enumerate(zip(given, takes.shape, strict=True)):
        whole = isinstance(number, int) and not isinstance(number, bool)
        # Of photos any number: runs of a fixed batch are filled up and repeated.
        right = 1 <= number <= MAX_BATCH if whole and place == 0 else number == side
        if not (whole and right):
            raise Problem(
                422,
                f"shape: expected {[-1, *expected[1:]]}, at most {MAX_BATCH} photos, "
                f"found {_short(given)}.",
            )
    return tuple(given)


def _short(value: Any) -> str:
    return repr(value)[:_SHOWN]
