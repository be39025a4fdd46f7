"""Tensors of a TFLite file, and the real values behind quantised ones.

Numbers of fields and types are those of ``schema.fbs``, see :mod:`.tflite_graph`; quantisation is
that of https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .flatbuffer import Table

#: Types of tensors that can be read as numbers.
DTYPES: dict[int, np.dtype] = {
    0: np.dtype("<f4"),
    1: np.dtype("<f2"),
    2: np.dtype("<i4"),
    3: np.dtype("u1"),
    4: np.dtype("<i8"),
    7: np.dtype("<i2"),
    9: np.dtype("i1"),
}


@dataclass(frozen=True)
class Tensor:
    """A tensor of a graph.

    Attributes:
        name: Its name; need not be the only one of that name.
        shape: Its shape; a dynamic dimension is 1.
        signature: Its shape; a dynamic dimension is -1.
        dtype: None for types that this module does not read.
        buffer: Number of the buffer with its values; an empty buffer for what is computed.
        scales: float32, of each channel or of the whole tensor; empty where it is not quantised.
        zero_points: As many int64.
        axis: Of the channels.
        sparse: Whether the values are packed.
    """

    name: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    dtype: np.dtype | None
    buffer: int
    scales: np.ndarray
    zero_points: np.ndarray
    axis: int
    sparse: bool


def dequantized(values: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Real values of a tensor: (q - zero point) * scale, per tensor or per channel.

    Args:
        values: As stored, in the tensor's shape (a batch of another size will do).
        tensor: Its quantisation.

    Returns:
        float32 of the same shape.
    """
    real = values.astype(np.float32)
    if not tensor.scales.size:
        return real
    shape = [1] * values.ndim
    if tensor.scales.size > 1:
        shape[tensor.axis] = -1
    zero = tensor.zero_points if tensor.zero_points.size else np.zeros(1, np.int64)
    shifted = real - zero.astype(np.float32).reshape(shape if zero.size > 1 else [1] * values.ndim)
    result: np.ndarray = shifted * tensor.scales.reshape(shape)
    return result


def read_tensor(table: Table) -> Tensor:
    """Read a table ``Tensor`` of the schema."""
    quantization = table.table(4)
    nothing = np.zeros(0)
    shape = tuple(int(n) for n in table.array(0, "<i4"))
    return Tensor(
        name=table.text(3),
        shape=shape,
        signature=tuple(int(n) for n in table.array(7, "<i4")) or shape,
        dtype=DTYPES.get(table.number(1, "byte")),
        buffer=table.number(2, "uint"),
        scales=nothing if quantization is None else quantization.array(2, "<f4"),
        zero_points=nothing if quantization is None else quantization.array(3, "<i8"),
        axis=0 if quantization is None else quantization.number(6, "int"),
        sparse=table.place(6) is not None,
    )
