"""From pixels to the input tensor: order of the channels, normalisation, layout, quantisation.

The interpreters share it. Pixel values are 256, so whatever is done to them is looked up in a table:
one for all channels, or one a channel where their means differ.
"""

from __future__ import annotations

import numpy as np

from ..errors import ModelError
from ..input_spec import InputSpec
from ..records import dataclass

#: Types that a quantised input may have.
_INTEGERS = (np.uint8, np.int8, np.int16)

#: Weights of red, green and blue in 1/65536 (ITU-R BT.601), those of Pillow's mode L.
_LUMA = (19595, 38470, 7471)

#: A table that uses less of its 256 values, or has more of them at its ends, is a contradiction
#: between normalisation and quantisation.
_LEAST_SPAN, _MOST_AT_ENDS = 128, 28


@dataclass(frozen=True)
class InputTensor:
    """The input of a model that takes pictures.

    Attributes:
        shape: Four dimensions, None for any.
        dtype: Its type.
        where: File that it belongs to, for messages.
        scale: Of a quantised input: real value = (stored - zero point) * scale; else 0.
        zero_point: Likewise.
    """

    shape: tuple[int | None, ...]
    dtype: np.dtype
    where: str
    scale: float = 0.0
    zero_point: int = 0

    @property
    def layouts(self) -> tuple[str, ...]:
        """``NHWC``, ``NCHW``, or both where the shape leaves it open; three channels before one."""
        places = (("NHWC", self.shape[3]), ("NCHW", self.shape[1]))
        for channels in (3, 1, None):
            found = tuple(name for name, n in places if n == channels)
            if found:
                return found
        return ()

    def channels(self, layout: str) -> int:
        """Colours of a pixel: 3, or 1 of a greyscale model."""
        return self.shape[3 if layout == "NHWC" else 1] or 3

    def size(self, layout: str) -> tuple[int | None, int | None]:
        """(width, height) in pixels, None for any."""
        height, width = self.shape[1:3] if layout == "NHWC" else self.shape[2:4]
        return width, height


def read_input(
    shape: tuple[int | str | None, ...],
    dtype: np.dtype,
    where: str,
    scale: float = 0.0,
    zero_point: int = 0,
) -> InputTensor:
    """The input tensor of a model file.

    Args:
        shape: As the interpreter tells it; a name, None or a negative number is any.
        dtype: Its type.
        where: File that it belongs to.
        scale: Of its quantisation, 0 where there is none.
        zero_point: Likewise.

    Raises:
        ModelError: No picture has such a shape.
    """
    sides = tuple(n if isinstance(n, int) and n > 0 else None for n in shape)
    tensor = InputTensor(sides, np.dtype(dtype), where, float(scale), int(zero_point))
    if len(sides) != 4 or not tensor.layouts:
        raise ModelError(
            f"{where}: expected an image input of shape (batch, height, width, 3) or "
            f"(batch, 3, height, width), found {tuple(shape)}: not an image classifier."
        )
    return tensor


def usual_spec(tensor: InputTensor) -> InputSpec:
    """Pixels as they are, in the layout that the shape asks for."""
    layout = tensor.layouts[0]
    return InputSpec(layout=layout, color="RGB" if tensor.channels(layout) == 3 else "GRAY")


class Feeding:
    """Makes input tensors out of pixels, as one model wants them."""

    def __init__(self, spec: InputSpec, tensor: InputTensor) -> None:
        """Compute the tables.

        Raises:
            ModelError: The description contradicts the model.
        """
        if spec.layout not in tensor.layouts:
            raise ModelError(
                f"{tensor.where}: its input has the shape {tensor.shape}, which is not "
                f"{spec.layout}. Say {' or '.join(tensor.layouts)}."
            )
        channels = tensor.channels(spec.layout)
        if (spec.color == "GRAY") != (channels == 1):
            raise ModelError(
                f"{tensor.where}: its input has {channels} channel{'s'[: channels - 1]}, "
                f"the channel order {spec.color} does not fit."
            )
        if not {len(spec.mean), len(spec.std)} <= {1, channels}:
            raise ModelError(f"{tensor.where}: takes greyscale, so mean and std are one number.")
        self._spec, self._dtype = spec, tensor.dtype
        self._tables = input_tables(spec, tensor)

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """The input tensor of one photo or several.

        Args:
            pixels: uint8 (h, w, 3) or (n, h, w, 3), RGB.

        Returns:
            Contiguous array (n, h, w, c) or (n, c, h, w) of the model's type.
        """
        batch = pixels if pixels.ndim == 4 else pixels[None]
        if self._spec.color == "BGR":
            batch = batch[..., ::-1]
        elif self._spec.color == "GRAY":
            batch = _luma(batch)
        planar = self._spec.layout == "NCHW"
        if planar:
            batch = np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
        if self._tables is None:
            return batch.astype(self._dtype, order="C", copy=False)
        if len(self._tables) == 1:
            # No pixel lies beyond the table, and "wrap" looks for none: the fastest way.
            return np.take(self._tables[0], batch, mode="wrap")
        tensor = np.empty(batch.shape, self._dtype)
        for channel, table in enumerate(self._tables):
            place = (slice(None), channel) if planar else (..., channel)
            tensor[place] = np.take(table, batch[place], mode="wrap")
        return tensor


def input_tables(spec: InputSpec, tensor: InputTensor) -> np.ndarray | None:
    """Input values of each pixel value 0..255.

    A quantised input is real / scale + zero point, the affine scheme of the TFLite 8-bit
    quantisation specification. Where normalisation and an 8-bit quantisation cancel out but for one
    step, the pixels are taken as they are, which the TFLite metadata standard asks for ("in the case
    of uint8, the image data will be scaled back to [0, 255]") and other programs do.

    Returns:
        (1, 256), or (3, 256) where the channels differ; None when the model takes the pixels as they
        are, or cast.

    Raises:
        ModelError: The type cannot hold pixels, or quantisation and normalisation exclude each other.
    """
    dtype, where = tensor.dtype, tensor.where
    pixels = np.arange(256, dtype=np.float32)
    if dtype.kind == "f" or (dtype == np.uint8 and not tensor.scale):
        if not spec.is_normalized:
            return None
        if dtype.kind != "f":
            raise ModelError(
                f"{where}: its input takes whole pixel values, so its normalisation lies inside. "
                "Leave mean and std out."
            )
        return _joined(_normalized(pixels, spec).astype(dtype))
    if dtype not in _INTEGERS:
        raise ModelError(f"{where}: inputs of type {dtype} are not supported.")
    if not tensor.scale:
        raise ModelError(f"{where}: the input is {dtype} without a quantisation scale.")
    limits = np.iinfo(dtype)
    real = _normalized(pixels, spec) if spec.is_normalized else pixels[None]
    exact = np.round(real / tensor.scale) + tensor.zero_point
    table = np.clip(exact, limits.min, limits.max).astype(dtype)
    if spec.is_normalized and dtype.itemsize == 1:
        usual = np.arange(256) + limits.min
        if np.abs(exact - usual).max() <= 1:
            table = usual.astype(dtype)[None]
    table = _joined(table)
    identity = dtype == np.uint8 and len(table) == 1 and np.array_equal(table[0], pixels)
    return None if identity else table


def check_tables(spec: InputSpec, tensor: InputTensor) -> None:
    """Raise ModelError where a quantised input keeps little of pixels that are normalised so."""
    table = input_tables(spec, tensor)
    if table is None or not tensor.scale or tensor.dtype.itemsize != 1:
        return
    wide = table.astype(np.int64)
    spans = wide.max(axis=1) - wide.min(axis=1)
    limits = np.iinfo(tensor.dtype)
    at_ends = ((wide == limits.min) | (wide == limits.max)).sum(axis=1)
    if (spans < _LEAST_SPAN).any() or (at_ends > _MOST_AT_ENDS).any():
        raise ModelError(
            f"{tensor.where}: mean {list(spec.mean)} and std {list(spec.std)} do not fit its "
            f"quantised input, of scale {tensor.scale:.6g} and zero point {tensor.zero_point}: most "
            "pixel values would fall together. Leave them out, or see edge-classify info."
        )


def range_of(tensor: InputTensor) -> tuple[float, float]:
    """Smallest and largest real value of a quantised input."""
    limits = np.iinfo(tensor.dtype)
    low, high = (tensor.scale * (q - tensor.zero_point) for q in (limits.min, limits.max))
    return float(low), float(high)


def _normalized(pixels: np.ndarray, spec: InputSpec) -> np.ndarray:
    mean, std = (np.array(values, np.float32)[:, None] for values in (spec.mean, spec.std))
    result: np.ndarray = (pixels - mean) / std
    return result


def _joined(table: np.ndarray) -> np.ndarray:
    """One row where all are equal."""
    return table[:1] if (table == table[0]).all() else table


def _luma(batch: np.ndarray) -> np.ndarray:
    weighted = batch.astype(np.uint32) @ np.array(_LUMA, np.uint32)
    grey: np.ndarray = ((weighted + 0x8000) >> 16).astype(np.uint8)
    return grey[..., None]
