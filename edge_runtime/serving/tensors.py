"""Tensors of the Open Inference Protocol v2, as JSON and as bytes.

https://github.com/kserve/open-inference-protocol (REST), and the binary tensor data extension of
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md:
a JSON header whose length is told in a header of HTTP, and behind it the tensors, little-endian,
in row-major order.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from .problems import Problem

#: Names of the protocol.
DATATYPES = {"uint8": "UINT8", "int8": "INT8", "int16": "INT16", "float16": "FP16",
             "float32": "FP32", "float64": "FP64"}  # fmt: skip

#: Photos in one tensor.
MAX_BATCH = 256

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
        header_length: Bytes of its JSON, the rest being tensors; None for JSON alone.
        takes: The model's input.
        outputs: Names of its outputs.

    Raises:
        Problem: 400 for what cannot be read, 422 for what the model does not take or have.
    """
    if header_length is not None and header_length > len(body):
        raise Problem(400, "Inference-Header-Content-Length: is more than the body has.")
    split = len(body) if header_length is None else header_length
    head, tail = _json(bytes(body[:split])), memoryview(body)[split:]
    inputs = head.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise Problem(422, f"inputs: expected a list of one tensor, {takes.name!r}.")
    identity = head.get("id")
    if identity is not None and not isinstance(identity, str):
        raise Problem(422, "id: expected a string.")
    wanted = _wanted(head, outputs)
    return Inference(identity, _tensor(inputs[0], tail, takes), wanted)


def write_outputs(
    found: dict[str, np.ndarray], wanted: tuple[Wanted, ...], class_names: tuple[str, ...]
) -> tuple[list[dict[str, Any]], list[bytes]]:
    """The ``outputs`` of an answer, and the tensors that go behind it as bytes.

    Args:
        found: Outputs of the model.
        wanted: Those that were asked for.
        class_names: In index order.
    """
    described, tails = [], []
    for one in wanted:
        array = found[one.name]
        datatype, data, raw = "FP32", array, b""
        if one.classes:
            data = _ranked(array, one.classes, class_names)
            datatype = "BYTES"
        entry: dict[str, Any] = {
            "name": one.name, "datatype": datatype, "shape": list(data.shape)
        }  # fmt: skip
        if one.binary:
            if one.classes:
                texts = [text.encode() for text in data.ravel()]
                raw = b"".join(struct.pack("<I", len(text)) + text for text in texts)
            else:
                raw = np.ascontiguousarray(data, "<f4").tobytes()
            entry["parameters"] = {"binary_data_size": len(raw)}
            tails.append(raw)
        else:
            entry["data"] = data.ravel().tolist()
        described.append(entry)
    return described, tails


def _json(text: bytes) -> dict[str, Any]:
    try:
        head = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else "not valid JSON"
        raise Problem(400, f"The request is {reason}.") from error
    if not isinstance(head, dict):
        raise Problem(422, "The request: expected a JSON object with inputs.")
    return head


def _no_number(name: str) -> float:
    raise ValueError(name)


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


def _tensor(given: dict[str, Any], tail: memoryview, takes: Input) -> np.ndarray:
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
        return _from_json(given.get("data"), shape, count, takes.dtype)
    if "data" in given:
        raise Problem(422, "data: is there beside binary_data_size; one of them.")
    expected = count * takes.dtype.itemsize
    if size != expected or isinstance(size, bool) or len(tail) != expected:
        raise Problem(
            422,
            f"binary_data_size: the shape {list(shape)} of {takes.datatype} has {expected} bytes; "
            f"found {_short(size)}, and {len(tail)} bytes behind the JSON.",
        )
    tensor = np.frombuffer(tail, takes.dtype.newbyteorder("<")).astype(takes.dtype)
    return _finite(tensor.reshape(shape))


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


def _from_json(data: Any, shape: tuple[int, ...], count: int, dtype: np.dtype) -> np.ndarray:
    if not isinstance(data, list):
        raise Problem(422, "data: expected a list of numbers, flat or nested as the shape.")
    try:
        array = np.array(data)
    except (ValueError, OverflowError, MemoryError) as error:
        raise Problem(422, "data: its lists do not have one length.") from error
    if array.dtype.kind not in "iuf" or array.size != count:
        raise Problem(
            422, f"data: expected {count} numbers, found {array.size} values of {array.dtype}."
        )
    if array.ndim != 1 and array.shape != shape:
        raise Problem(
            422, f"data: is nested as {list(array.shape)}, and the shape is {list(shape)}."
        )
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if array.dtype.kind == "f" and (array != np.floor(array)).any():
            raise Problem(422, "data: expected whole numbers.")
        if array.min() < limits.min or array.max() > limits.max:
            raise Problem(422, f"data: expected numbers from {limits.min} to {limits.max}.")
    with np.errstate(over="ignore"):
        return _finite(array.astype(dtype).reshape(shape))


def _finite(tensor: np.ndarray) -> np.ndarray:
    if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
        raise Problem(422, "data: holds what is no finite number.")
    return tensor


def _ranked(scores: np.ndarray, classes: int, names: tuple[str, ...]) -> np.ndarray:
    """Triton's classification extension: ``score:index:label``, best first."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :classes]
    rows = [
        [f"{scores[row, index]:f}:{index}:{names[index]}" for index in best]
        for row, best in enumerate(order)
    ]
    return np.array(rows, object)


def _short(value: Any) -> str:
    return repr(value)[:_SHOWN]
