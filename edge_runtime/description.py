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
from typing import Any

from .errors import ModelError, UsageError
from .input_spec import InputSpec as InputSpec
from .input_spec import is_number
from .records import dataclass, field, field_names

#: Version of the JSON layout; a reader refuses a larger one.
SCHEMA_VERSION = 1

#: Class names that a message lists.
_LISTED = 40

#: Name of the JSON inside a .tflite (zip entry), an .onnx (metadata_props key, without
#: the suffix) and a SavedModel (``assets.extra/``).
EMBEDDED_NAME = "edge_classify.json"


@dataclass(frozen=True)
class PreprocessSpec:
    """How a photo becomes the network's input: one rule, carried with the model.

    The result is always uint8 RGB, NHWC, 0..255; what else a network asks for is in
    :class:`InputSpec`.
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
            is_number(self.temperature) and self.temperature > 0
        ):
            raise ModelError(f"output.temperature: expected above 0, found {self.temperature!r}.")
        threshold = self.unknown_threshold
        if threshold is not None and not (is_number(threshold) and 0 <= threshold <= 1):
            raise ModelError(f"output.unknown_threshold: expected 0 to 1, found {threshold!r}.")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> OutputSpec:
        """Read ``asdict`` back; keys that this version does not know are left aside.

        Raises:
            ModelError: A value cannot be right.
        """
        known = {key: data[key] for key in field_names(cls) if key in data}
        if known.get("heatmap") is not None:
            fields = field_names(HeatmapSpec)
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

        Args:
            name: Its name, or else its index, with ``#`` in front or not, since models of others
                may have two of a name.

        Raises:
            UsageError: There is no such class, or several; the message says which there are.
        """
        found = [index for index, known in enumerate(self.class_names) if known == name]
        if len(found) == 1:
            return found[0]
        if found:
            numbers = " or ".join(f"'#{index}'" for index in found)
            raise UsageError(f"{len(found)} classes are called {name!r}. Say {numbers}.")
        number = name.removeprefix("#")
        if number.isdecimal():
            if int(number) < len(self.class_names):
                return int(number)
            raise UsageError(
                f"No class {name}: the model knows {len(self.class_names)}, counted from 0."
            )
        raise UsageError(f"No class {name!r}. The model knows: {self._known(name)}.")

    def _known(self, name: str) -> str:
        """The class names; of hundreds the ones that look like ``name``."""
        if len(self.class_names) <= _LISTED:
            return ", ".join(self.class_names)
        import difflib

        near = difflib.get_close_matches(name, self.class_names, n=3, cutoff=0.4)
        near += [known for known in self.class_names if name.casefold() in known.casefold()]
        shown = list(dict.fromkeys([*near, *self.class_names[:3]]))[:6]
        return f"{', '.join(shown)}, and {len(self.class_names) - len(shown)} more"

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that every carrier holds."""
        from dataclasses import asdict

        spec, feed = self.preprocess, self.input
        stated = {"mean": list(feed.mean), "std": list(feed.std)}
        return {
            "schema_version": SCHEMA_VERSION,
            "class_names": list(self.class_names),
            "input": {
                "width": spec.width,
                "height": spec.height,
                "layout": feed.layout,
                "dtype": "uint8",
                "color": feed.color,
            },
            "preprocess": {
                "fit": spec.fit,
                "kernel": spec.kernel,
                "normalization": stated if feed.is_normalized else "in-network",
            },
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
            if size.get("dtype", "uint8") != "uint8":
                raise ModelError(f"input.dtype: expected 'uint8', found {size['dtype']!r}.")
            output = data.get("output", {})
            return cls(
                class_names=tuple(names),
                preprocess=PreprocessSpec(
                    size["width"], size["height"], fit=rule["fit"], kernel=rule["kernel"]
                ),
                output=OutputSpec.from_dict(output),
                about=dict(data.get("about", {})),
                input=InputSpec.from_dict(size, rule.get("normalization", "in-network")),
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
