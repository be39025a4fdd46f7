"""What the user says of a model that does not say it itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from .errors import UsageError
from .input_spec import InputSpec, is_number

if TYPE_CHECKING:
    from .description import ModelInfo

#: Usual normalisations by name: mean and std of pixel values 0..255, in the order RGB.
NORMALIZATIONS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "raw": ((0.0,), (1.0,)),
    "unit": ((0.0,), (255.0,)),
    "symmetric": ((127.5,), (127.5,)),
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
}

#: Those names with what they do, for messages.
USUAL = (
    "raw (0 to 255), unit (0 to 1), symmetric (-1 to 1) or imagenet (mean and deviation of ImageNet, "
    "as torchvision's and most ONNX classifiers)"
)

#: Fields by the name that a user has for them.
NAMES = {
    "labels": "labels",
    "mean": "mean",
    "std": "std",
    "normalization": "normalization",
    "layout": "layout",
    "color": "channel-order",
    "fit": "fit",
    "kernel": "kernel",
    "output": "output-kind",
    "size": "input-size",
}


@dataclass(frozen=True)
class ModelSettings:
    """Each field None where the model's own description, or the usual, is right.

    Raises:
        UsageError: A value cannot be right.
    """

    #: Class names in index order.
    labels: tuple[str, ...] | None = None
    #: Subtracted from pixel values 0..255, one number or one a channel, in the model's own order.
    mean: tuple[float, ...] | None = None
    #: What the difference is divided by.
    std: tuple[float, ...] | None = None
    layout: str | None = None  #: ``NHWC`` or ``NCHW``
    color: str | None = None  #: ``RGB`` or ``BGR``
    fit: str | None = None  #: ``crop``, ``stretch`` or ``pad``
    kernel: str | None = None  #: ``bilinear`` or ``bicubic``
    output: str | None = None  #: ``probabilities`` or ``logits``
    size: tuple[int, int] | None = None  #: (width, height) where the model takes any
    #: A key of :data:`NORMALIZATIONS`, in place of mean and std.
    normalization: str | None = None

    def __post_init__(self) -> None:
        choices = {
            "layout": InputSpec.LAYOUTS,
            "color": InputSpec.COLORS,
            "fit": ("crop", "stretch", "pad"),
            "kernel": ("bilinear", "bicubic"),
            "output": ("probabilities", "logits"),
            "normalization": tuple(NORMALIZATIONS),
        }
        for name, known in choices.items():
            value = getattr(self, name)
            if value is not None and value not in known:
                raise UsageError(
                    f"{NAMES[name]}: expected one of {', '.join(known)}, found {value!r}."
                )
        self._check_numbers()
        if self.labels is not None and not any(label.strip() for label in self.labels):
            raise UsageError("labels: expected at least one name, found none.")
        if self.size is not None and not (
            len(self.size) == 2 and all(isinstance(n, int) and 1 <= n <= 8192 for n in self.size)
        ):
            raise UsageError(f"input-size: expected WIDTHxHEIGHT, 1 to 8192, found {self.size!r}.")

    def _check_numbers(self) -> None:
        if (self.mean is None) != (self.std is None):
            given, lacking = ("mean", "std") if self.std is None else ("std", "mean")
            raise UsageError(f"{given}: is given without {lacking}. Give both, or normalization.")
        if self.mean is None or self.std is None:
            return
        if self.normalization is not None:
            raise UsageError("normalization: stands for mean and std. Give it or them, not both.")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, 3) or not all(is_number(value) for value in values):
                raise UsageError(f"{name}: expected one number or three, found {list(values)}.")
        if not all(value > 0 for value in self.std):
            raise UsageError(f"std: expected numbers above 0, found {list(self.std)}.")
        if max(self.std) < 1 and max(map(abs, self.mean)) <= 1:
            mean, std = (
                ",".join(f"{255 * value:.6g}" for value in values)
                for values in (self.mean, self.std)
            )
            raise UsageError(
                f"mean {list(self.mean)} and std {list(self.std)} are fractions of a pixel value. "
                "Both are of pixel values 0 to 255; if yours are of 0 to 1, they are "
                f"mean {mean} and std {std}."
            )

    @property
    def stated(self) -> dict[str, object]:
        """What is given, by the names of :data:`NAMES`."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {NAMES[name]: value for name, value in values if value is not None}

    def normalized(self, color: str) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Mean and std in the model's order of the channels; None where nothing is said."""
        if self.normalization is None:
            return None if self.mean is None or self.std is None else (self.mean, self.std)
        mean, std = NORMALIZATIONS[self.normalization]
        if color == "GRAY" and len(mean) > 1:
            raise UsageError(
                f"normalization {self.normalization}: is one of colours, and the model takes "
                "greyscale. Give mean and std."
            )
        return (mean[::-1], std[::-1]) if color == "BGR" else (mean, std)


#: Settings and where they come from, for messages: the first that states something wins.
Stated = Sequence[tuple[str, ModelSettings]]


def merged(stated: Stated) -> ModelSettings:
    """What all of them say together; of each field the first that says it counts."""
    said: dict[str, object] = {}
    for _, settings in stated:
        given = {field.name: getattr(settings, field.name) for field in fields(settings)}
        if "normalization" in said or "mean" in said:  # one stands for the other
            given |= dict.fromkeys(("normalization", "mean", "std"))
        said |= {name: v for name, v in given.items() if v is not None and name not in said}
    return ModelSettings(**said)  # type: ignore[arg-type]


def refuse_contradictions(stated: Stated, info: ModelInfo, where: str) -> None:
    """Raise UsageError where settings say something else than a model's own description.

    Args:
        stated: The settings.
        info: The description.
        where: The model, for the message.
    """
    spec, feed = info.preprocess, info.input
    own = {
        "layout": feed.layout,
        "channel-order": feed.color,
        "fit": spec.fit,
        "kernel": spec.kernel,
        "output-kind": info.output.kind,
        "input-size": (spec.width, spec.height),
        "labels": info.class_names,
    }
    for source, settings in stated:
        said = settings.stated
        normalized = settings.normalized(feed.color)
        for name in ("mean", "std", "normalization"):
            said.pop(name, None)
        if normalized is not None:
            said["normalization"] = tuple(map(_three, normalized))
        own["normalization"] = (_three(feed.mean), _three(feed.std))
        for name, value in said.items():
            if value != own[name]:
                what = "other labels" if name == "labels" else f"{name} {_text(value)}"
                mine = "" if name == "labels" else f" ({_text(own[name])})"
                raise UsageError(
                    f"{where}: {source}: {what} contradicts the description that the model "
                    f"carries{mine}. Leave it out: the model knows best."
                )


def _three(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(values) if len(values) == 3 else (values[0],) * 3


def _text(value: object) -> str:
    return " and ".join(map(str, value)) if isinstance(value, tuple) else str(value)
