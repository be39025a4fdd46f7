"""How pixels become the model's input tensor: normalisation, layout, order of the channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import ModelError
from .records import dataclass

#: No number of a description comes near it; larger integers do not even become floats.
_LARGEST = 1e30


@dataclass(frozen=True)
class InputSpec:
    """How pixels become the model's input tensor; the default is that of edge-export.

    The tensor's value is (pixel - mean) / std of pixel values 0..255, then quantised where the
    input is.
    """

    mean: tuple[float, ...] = (0.0,)  #: one number, or one a channel in the model's order
    std: tuple[float, ...] = (1.0,)  #: likewise
    layout: str = "NHWC"  #: or ``NCHW``
    color: str = "RGB"  #: or ``BGR``, or ``GRAY`` (one channel, luma of ITU-R BT.601)

    LAYOUTS = ("NHWC", "NCHW")
    COLORS = ("RGB", "BGR", "GRAY")

    def __post_init__(self) -> None:
        for name, known in (("layout", self.LAYOUTS), ("color", self.COLORS)):
            if getattr(self, name) not in known:
                raise ModelError(
                    f"input.{name}: expected one of {known}, found {getattr(self, name)!r}."
                )
        for name in ("mean", "std"):
            values = getattr(self, name)
            if len(values) not in (1, 3) or not all(is_number(value) for value in values):
                raise ModelError(f"input.{name}: expected one number or three, found {values!r}.")
        if not all(value > 0 for value in self.std):
            raise ModelError(f"input.std: expected numbers above 0, found {self.std!r}.")

    @property
    def is_plain(self) -> bool:
        """Whether the model takes pixels as they are."""
        return self == InputSpec()

    @property
    def is_normalized(self) -> bool:
        """Whether pixel values are shifted or scaled in front of the model."""
        return set(self.mean) != {0} or set(self.std) != {1}

    @classmethod
    def from_dict(cls, tensor: Mapping[str, Any], normalization: Any) -> InputSpec:
        """Read what :meth:`ModelInfo.to_dict` wrote.

        Args:
            tensor: Its ``input``.
            normalization: ``in-network``, or ``mean`` and ``std`` as lists.

        Raises:
            ModelError: A value cannot be right.
        """
        known = {key: tensor[key] for key in ("layout", "color") if key in tensor}
        if normalization != "in-network":
            if not isinstance(normalization, Mapping) or set(normalization) != {"mean", "std"}:
                raise ModelError(
                    "preprocess.normalization: expected 'in-network', or mean and std, "
                    f"found {normalization!r}."
                )
            known |= {key: tuple(normalization[key]) for key in ("mean", "std")}
        return cls(**known)


def is_number(value: Any) -> bool:
    """Whether a value of a JSON is a number, and a finite one."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and abs(value) < _LARGEST  # not so of NaN
