"""The reader of protocol buffers, against the examples of its specification and ``onnx`` itself."""

from __future__ import annotations

import pytest

from edge_runtime.backends.protobuf import BYTES, FIXED32, VARINT, fields, packed, signed, text
from edge_runtime.errors import ModelError


def test_the_examples_of_the_specification() -> None:
    """``a: 150``, ``b: "testing"`` and the packed ``[3, 270, 86942]`` of the encoding guide."""
    number, wire, value = next(fields(bytes.fromhex("089601")))
    assert (number, wire, value) == (1, VARINT, 150)
    number, wire, value = next(fields(bytes.fromhex("120774657374696e67")))
    assert (number, wire, text(value)) == (2, BYTES, "testing")
    ((number, wire, value),) = fields(bytes.fromhex("3206038e029ea705"))
    assert isinstance(value, memoryview) and list(packed(value)) == [3, 270, 86942]


def test_negative_numbers_take_ten_bytes() -> None:
    ((_, _, value),) = fields(bytes.fromhex("08feffffffffffffffff01"))
    assert isinstance(value, int) and signed(value) == -2
    assert signed(7) == 7


def test_payloads_are_views() -> None:
    """Weights of hundreds of megabytes are stepped over, not copied."""
    data = b"\x0a\x03abc" + b"\x15\x01\x00\x00\x00"
    (_, _, view), (number, wire, value) = fields(data)
    assert isinstance(view, memoryview) and view.obj is data
    assert (number, wire, value) == (2, FIXED32, 1)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x08", "does not end"),
        (b"\x08" + b"\xff" * 11, "does not end"),
        (b"\x12\x07test", "7 bytes, 4 are left"),
        (b"\x15\x01", "4 bytes, 1 are left"),
        (b"\x0b", "wire type 3"),
        (b"\x00\x01", "numbered from 1"),
    ],
)
def test_damage(data: bytes, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        list(fields(data))


def test_text_that_is_a_number() -> None:
    with pytest.raises(ModelError, match="a number stands"):
        text(3)
