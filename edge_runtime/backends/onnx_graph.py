"""The graph of an ONNX file, read without the package ``onnx``, which no device has.

Numbers of fields are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import ModelError
from .protobuf import BYTES, VARINT, fields, packed, signed, text

#: TensorProto.DataType of what can be read as numbers.
_DTYPES = {
    1: "<f4", 2: "u1", 3: "i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8", 10: "<f2", 11: "<f8",
}  # fmt: skip

# Fields of ModelProto, GraphProto, ValueInfoProto.
GRAPH, NODE, _INITIALIZER, _OUTPUT, _NAME = 7, 1, 5, 12, 1

# Fields of AttributeProto that hold graphs.
_GRAPHS = (6, 11)

#: ONNX's own domain, and the name that means it, too.
OWN_DOMAIN, _SAME = "ai.onnx", ""


@dataclass(frozen=True)
class Node:
    """An operator of a graph.

    Attributes:
        domain: Of its name, see :data:`OWN_DOMAIN`.
        name: Its name in that domain.
        inputs: Names; empty for one that it goes without.
        outputs: Names.
        attributes: By name: int, float, tuple of int, or a view of a tensor.
        graphs: Those inside of it, as views.
    """

    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, object]
    graphs: tuple[memoryview, ...]

    @property
    def kind(self) -> str:
        """Its name, of other domains than ONNX's own with the domain in front."""
        return self.name if self.domain == OWN_DOMAIN else f"{self.domain}.{self.name}"

    def number(self, name: str, default: float) -> float:
        """An attribute that is a number."""
        value = self.attributes.get(name, default)
        return value if isinstance(value, (int, float)) else default

    def integers(self, name: str) -> tuple[int, ...]:
        """An attribute that is a list of integers; empty where it is absent."""
        value = self.attributes.get(name, ())
        return value if isinstance(value, tuple) else ()


class OnnxGraph:
    """Operators and constants of an ONNX file.

    Attributes:
        maker: Name of a computed tensor to the operator that it comes from.
    """

    def __init__(self, data: bytes | memoryview, where: str) -> None:
        """Read the operators, and of the constants their names.

        Args:
            data: The file, or :func:`mapped`: weights are passed over.
            where: Its name, for messages.

        Raises:
            ModelError: It is damaged.
        """
        self._data, self._where = data, where
        self.maker: dict[str, Node] = {}
        self._constants: dict[str, memoryview] = {}
        try:
            for _, part in messages(data, GRAPH):
                for number, value in messages(part, NODE, _INITIALIZER):
                    if number == NODE:
                        node = read_node(value)
                        self.maker.update(dict.fromkeys(node.outputs, node))
                    else:
                        self._constants[_tensor_name(value)] = value
        except ModelError as error:
            raise ModelError(f"{where}: {error} Copy or export it again.") from error

    def is_constant(self, name: str) -> bool:
        """Whether the file holds the values of a tensor."""
        node = self.maker.get(name)
        return name in self._constants or (node is not None and node.kind == "Constant")

    def constant(self, name: str) -> np.ndarray | None:
        """Values of a constant in its shape and type; None of what is computed.

        Raises:
            ModelError: It is damaged.
        """
        try:
            return self._constant(name)
        except ModelError as error:
            raise ModelError(f"{self._where}: {error} Copy or export it again.") from error

    def _constant(self, name: str) -> np.ndarray | None:
        if name in self._constants:
            return _values(self._constants[name])
        node = self.maker.get(name)
        if node is not None and node.kind == "Constant":
            value = node.attributes.get("value")
            if isinstance(value, memoryview):
                return _values(value)
            for key in ("value_float", "value_int", "value_floats", "value_ints"):
                if key in node.attributes:
                    return np.array(node.attributes[key])
        return None

    def with_output(self, name: str) -> bytes:
        """A copy of the file that gives a tensor as one more output, behind the others.

        Where a message stands twice in a protocol buffer, a reader merges the two, so that a
        second graph with nothing but an output, behind the file, adds it.
        """
        output = _field(_OUTPUT, _field(_NAME, name.encode()))
        return b"".join((self._data, _field(GRAPH, output)))


def mapped(path: str | os.PathLike[str]) -> memoryview:
    """A file without reading it: only what is looked at comes from the disk.

    Raises:
        OSError: It cannot be opened.
    """
    with open(path, "rb") as stream:
        if not os.fstat(stream.fileno()).st_size:  # which cannot be mapped
            return memoryview(b"")
        return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))


def messages(data: bytes | memoryview, *numbers: int) -> Iterator[tuple[int, memoryview]]:
    """Those fields of a message that hold messages themselves, as number and view.

    Args:
        data: The message.
        numbers: Of the fields that are wanted.

    Raises:
        ModelError: It is damaged.
    """
    for number, wire, value in fields(data):
        if number in numbers and wire == BYTES and isinstance(value, memoryview):
            yield number, value


def own_or(domain: str) -> str:
    """A domain under one name."""
    return OWN_DOMAIN if domain == _SAME else domain


def read_node(data: memoryview) -> Node:
    """A NodeProto.

    Raises:
        ModelError: It is damaged.
    """
    inputs: list[str] = []
    outputs: list[str] = []
    name = domain = ""
    attributes: dict[str, object] = {}
    graphs: list[memoryview] = []
    for number, _, value in fields(data):
        if number == 1:
            inputs.append(text(value))
        elif number == 2:
            outputs.append(text(value))
        elif number == 4:
            name = text(value)
        elif number == 7:
            domain = text(value)
        elif number == 5 and isinstance(value, memoryview):
            attributes.update(_attribute(value))
            graphs += (graph for _, graph in messages(value, *_GRAPHS))
    return Node(own_or(domain), name, tuple(inputs), tuple(outputs), attributes, tuple(graphs))


def _attribute(data: memoryview) -> dict[str, object]:
    name = ""
    found: object = None
    floats: list[float] = []
    integers: list[int] = []
    for number, wire, value in fields(data):
        if number == 1:
            name = text(value)
        elif number == 2 and isinstance(value, int):
            found = _float(value)
        elif number == 3 and isinstance(value, int):
            found = signed(value)
        elif number in (4, 5):
            found = value
        elif number == 7:
            floats += [_float(value)] if isinstance(value, int) else _floats(value).tolist()
        elif number == 8:
            integers += (signed(v) for v in _numbers(value, wire))
    return {name: tuple(integers) or tuple(floats) or found}


def _tensor_name(data: memoryview) -> str:
    return next((text(value) for number, _, value in fields(data) if number == 8), "")


def _values(data: memoryview) -> np.ndarray | None:
    """Values of a TensorProto; None of a type that is not read, or kept in another file."""
    shape: list[int] = []
    kind, raw = 0, None
    listed: list[float] = []
    for number, wire, value in fields(data):
        if number == 1:
            shape += (signed(v) for v in _numbers(value, wire))
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number == 9 and isinstance(value, memoryview):
            raw = value
        elif number == 4:
            listed += [_float(value)] if isinstance(value, int) else _floats(value).tolist()
        elif number in (5, 7):
            listed += (signed(v) for v in _numbers(value, wire))
        elif number in (10, 13, 14) and value:
            return None
    if kind not in _DTYPES:
        return None
    dtype = np.dtype(_DTYPES[kind])
    try:
        if raw is not None:
            return np.frombuffer(raw, dtype).reshape(shape)
        if kind == 10:  # listed by their bits
            return np.array(listed, np.int64).astype("<u2").view(dtype).reshape(shape)
        return np.array(listed).astype(dtype).reshape(shape)
    except (ValueError, OverflowError) as error:
        raise ModelError(f"damaged, a constant cannot be read ({error}).") from error


def _numbers(value: int | memoryview, wire: int) -> Iterator[int]:
    if wire == VARINT and isinstance(value, int):
        yield value
    elif isinstance(value, memoryview):
        yield from packed(value)


def _float(bits: int) -> float:
    return float(struct.unpack("<f", struct.pack("<I", bits & 0xFFFF_FFFF))[0])


def _floats(value: memoryview) -> np.ndarray:
    return np.frombuffer(value[: len(value) // 4 * 4], "<f4")


def _field(number: int, payload: bytes) -> bytes:
    """A field of bytes: key, length, contents."""
    return _varint(number << 3 | BYTES) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
