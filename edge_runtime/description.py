"""What a model file must say about itself.

A :class:`ModelInfo` is everything that turns a photo into a labelled answer: class names,
preprocessing, what the output means. It travels three ways, always the same JSON object:
in ``manifest.json`` of a bundle, inside each ``.tflite`` file (an associated file of the
standard TFLite metadata, see :data:`EMBEDDED_NAME`) and inside each ``.onnx`` file (a
``metadata_props`` entry of the same name); a SavedModel keeps it in ``assets.extra/``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .errors import ModelError, UsageError

#: Version of the JSON layout; a reader refuses a larger one.
SCHEMA_VERSION = 1

#: Name of the JSON inside a .tflite (zip entry), an .onnx (metadata_props key, without
#: the suffix) and a SavedModel (``assets.extra/``).
EMBEDDED_NAME = "edge_classify.json"


@dataclass(frozen=True)
class PreprocessSpec:
    """How a photo becomes the network's input: one rule, carried with the model.

    The result is always uint8 RGB, NHWC, 0..255; normalisation is part of the network.
    """

    width: int  #: pixels
    height: int  #: pixels
    fit: str = "crop"  #: ``crop`` (centre, fills the frame), ``stretch`` or ``pad`` (black)
    kernel: str = "bilinear"  #: Pillow's anti-aliased ``bilinear`` or ``bicubic``

    FITS = ("crop", "stretch", "pad")
    KERNELS = ("bilinear", "bicubic")

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 8192:
                raise ModelError(f"preprocess.{name}: expected 1 to 8192 pixels, found {value!r}.")
        if self.fit not in self.FITS:
            raise ModelError(f"preprocess.fit: expected one of {self.FITS}, found {self.fit!r}.")
        if self.kernel not in self.KERNELS:
            raise ModelError(
                f"preprocess.kernel: expected one of {self.KERNELS}, found {self.kernel!r}."
            )


@dataclass(frozen=True)
class InputSpec:
    """How pixels become the model's input tensor; the default is that of edge-export.

    The tensor's value is (pixel - mean) / std of pixel values 0..255, then quantised where the
    input is.
    """

    mean: tuple[float, ...] = (0.0,)  #: one number, or one a channel in the model's order
    std: tuple[float, ...] = (1.0,)  #: likewise
    layout: str = "NHWC"  #: or ``NCHW``
    color: str = "RGB"  #: or ``BGR``

    def __post_init__(self) -> None:
        for name, known in (("layout", ("NHWC", "NCHW")), ("color", ("RGB", "BGR"))):
            if getattr(self, name) not in known:
                raise ModelError(
                    f"input.{name}: expected one of {known}, found {getattr(self, name)!r}."
                )
        for name in ("mean", "std"):
            values = getattr(self, name)
            if len(values) not in (1, 3) or not all(_is_number(value) for value in values):
                raise ModelError(f"input.{name}: expected one number or three, found {values!r}.")
        if 0 in self.std:
            raise ModelError("input.std: expected numbers other than 0.")

    @property
    def is_plain(self) -> bool:
        """Whether the model takes pixels as they are."""
        return self == InputSpec()


@dataclass(frozen=True)
class HeatmapSpec:
    """Where a model file keeps what a heat map is made of.

    Of an ONNX file: the output that is the map. Of a TFLite file, which has one output only: the
    feature map F (1, h, w, k) in front of the pooling, and the kernel W (classes, k) of the linear
    layer behind it. The map of class c is relu(F W_c) / (h w) (Zhou et al. 2016, Selvaraju et al.
    2017).
    """

    output: str | None = None  #: ONNX: name of an output float32 (n, h, w, classes), >= 0
    features: str | None = None  #: TFLite: name of the tensor F
    weights: str | None = None  #: TFLite: name of the constant tensor W

    def __post_init__(self) -> None:
        names = (self.output, self.features, self.weights)
        if not all(name is None or (isinstance(name, str) and name) for name in names):
            raise ModelError(f"output.heatmap: expected names of tensors, found {names}.")
        if (self.output is None) == (self.features is None) or (
            (self.features is None) != (self.weights is None)
        ):
            raise ModelError(
                "output.heatmap: expected either `output`, or `features` and `weights`."
            )


@dataclass(frozen=True)
class OutputSpec:
    """What the numbers that the network gives mean."""

    kind: str = "probabilities"  #: ``probabilities`` (softmax inside) or ``logits``
    temperature: float | None = None  #: of the calibrated score; None: not fitted
    unknown_threshold: float | None = None  #: calibrated score below it is "unknown"
    heatmap: HeatmapSpec | None = None  #: None: the file gives none

    def __post_init__(self) -> None:
        if self.kind not in ("probabilities", "logits"):
            raise ModelError(
                f"output.kind: expected 'probabilities' or 'logits', found {self.kind!r}."
            )
        if self.temperature is not None and not (
            _is_number(self.temperature) and self.temperature > 0
        ):
            raise ModelError(f"output.temperature: expected above 0, found {self.temperature!r}.")
        threshold = self.unknown_threshold
        if threshold is not None and not (_is_number(threshold) and 0 <= threshold <= 1):
            raise ModelError(f"output.unknown_threshold: expected 0 to 1, found {threshold!r}.")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> OutputSpec:
        """Read ``asdict`` back; keys that this version does not know are left aside.

        Raises:
            ModelError: A value cannot be right.
        """
        known = {key: data[key] for key in cls.__dataclass_fields__ if key in data}
        if known.get("heatmap") is not None:
            fields = HeatmapSpec.__dataclass_fields__
            known["heatmap"] = HeatmapSpec(
                **{key: value for key, value in known["heatmap"].items() if key in fields}
            )
        return cls(**known)


@dataclass(frozen=True)
class ModelInfo:
    """Class names in index order, preprocessing, and the meaning of the output."""

    class_names: tuple[str, ...]
    preprocess: PreprocessSpec
    output: OutputSpec = field(default_factory=OutputSpec)
    #: Where the model comes from, for people: ``format``, ``quantization``, ``run``, ``license``
    #: (str), ``versions`` (of the tools). Nothing is computed from it.
    about: Mapping[str, Any] = field(default_factory=dict)
    input: InputSpec = field(default_factory=InputSpec)

    def class_index(self, name: str) -> int:
        """Index of a class.

        Raises:
            UsageError: There is no such class; the message lists them.
        """
        if name not in self.class_names:
            raise UsageError(f"No class {name!r}. The model knows: {', '.join(self.class_names)}.")
        return self.class_names.index(name)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that every carrier holds."""
        spec = self.preprocess
        return {
            "schema_version": SCHEMA_VERSION,
            "class_names": list(self.class_names),
            "input": {
                "width": spec.width,
                "height": spec.height,
                "layout": "NHWC",
                "dtype": "uint8",
                "color": "RGB",
            },
            "preprocess": {"fit": spec.fit, "kernel": spec.kernel, "normalization": "in-network"},
            "output": asdict(self.output),
            "about": dict(self.about),
        }

    def to_json(self) -> str:
        """:meth:`to_dict` as reproducible JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_dict(cls, data: Any, where: str) -> ModelInfo:
        """Read the JSON object back.

        Args:
            data: What ``json.loads`` gave.
            where: File that it came from, for the message.

        Raises:
            ModelError: A key is missing or a value is out of range.
        """
        try:
            _check_schema(data)
            names = data["class_names"]
            if (
                not isinstance(names, list)
                or not names
                or not all(isinstance(n, str) for n in names)
            ):
                raise ModelError("class_names: expected a list of names.")
            if len(set(names)) != len(names):
                raise ModelError("class_names: a name stands there twice.")
            size, rule = data["input"], data["preprocess"]
            for key, only in (("layout", "NHWC"), ("dtype", "uint8"), ("color", "RGB")):
                if size.get(key, only) != only:
                    raise ModelError(f"input.{key}: expected {only!r}, found {size[key]!r}.")
            output = data.get("output", {})
            return cls(
                class_names=tuple(names),
                preprocess=PreprocessSpec(
                    size["width"], size["height"], fit=rule["fit"], kernel=rule["kernel"]
                ),
                output=OutputSpec.from_dict(output),
                about=dict(data.get("about", {})),
            )
        except ModelError as error:
            raise ModelError(f"{where}: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"{where}: not a model description ({error!r}).") from error

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> ModelInfo:
        """Read :meth:`to_json` back; raises ModelError as :meth:`from_dict`."""
        return cls.from_dict(parse_json(text, where), where)


def parse_json(text: str | bytes, where: str) -> Any:
    """JSON of a description; raises ModelError, naming ``where``, if it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{where}: not valid JSON ({error}). Copy or export it again.") from error


def _check_schema(data: Any) -> None:
    version = data["schema_version"]
    if not isinstance(version, int) or not 1 <= version <= SCHEMA_VERSION:
        raise ModelError(
            f"schema_version {version!r} is not known to this version of edge-classify "
            f"(it reads up to {SCHEMA_VERSION}). Upgrade edge-classify."
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
