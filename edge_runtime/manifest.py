"""The manifest of a bundle: its files, and the description that they share.

The description itself, which each file carries too, is :mod:`edge_runtime.description`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .description import EMBEDDED_NAME as EMBEDDED_NAME
from .description import SCHEMA_VERSION as SCHEMA_VERSION
from .description import HeatmapSpec as HeatmapSpec
from .description import InputSpec as InputSpec
from .description import ModelInfo as ModelInfo
from .description import OutputSpec as OutputSpec
from .description import PreprocessSpec as PreprocessSpec
from .description import parse_json
from .errors import BundleError, ModelError, UsageError
from .records import dataclass, field, field_names, replace

MANIFEST_NAME = "manifest.json"
LABELS_NAME = "labels.txt"
PARITY_NAME = "parity.json"

#: Means of the training photos' features, see :mod:`edge_runtime.training_features`.
FEATURES_NAME = "training_features.npy"

#: What was measured to be best on a board, see :mod:`edge_runtime.choices`; not always there.
CHOICES_NAME = "choices.json"

#: Every format has one name, used in options, JSON and file names.
FORMAT_SUFFIXES: dict[str, str] = {
    "saved_model": "",
    "tflite-fp32": ".tflite",
    "tflite-fp16": ".tflite",
    "tflite-dynamic": ".tflite",
    "tflite-int8w": ".tflite",
    "tflite-int8": ".tflite",
    "tflite-int16x8": ".tflite",
    "onnx-fp32": ".onnx",
    "onnx-fp16": ".onnx",
    "onnx-int8": ".onnx",
}

#: Bytes of a name in Linux's file systems (NAME_MAX).
_LONGEST_NAME = 255

#: What is used when no format is asked for and no verdict recorded another.
DEFAULT_FORMAT = "tflite-fp32"

#: In place of a format: this board's choice (:mod:`edge_runtime.choices`), else the fastest file that
#: passed, see :meth:`Manifest.fastest`.
AUTO = "auto"

#: Fastest first, where nobody measured on the device: EfficientNetB0 on one x86 core took 4.1 ms as
#: int8, 6.4 to 6.6 ms as float32 or float16 weights and in onnxruntime, 7.7 ms with dynamic range,
#: and hundreds in int16x8; the SavedModel needs TensorFlow.
_BY_SPEED = (
    "tflite-int8", "tflite-fp32", "tflite-fp16", "tflite-int8w", "onnx-fp32", "tflite-dynamic",
    "onnx-int8", "onnx-fp16", "tflite-int16x8", "saved_model",
)  # fmt: skip


def check_format(name: str) -> str:
    """Return ``name`` if it is a known format.

    Raises:
        UsageError: It is not; the message lists the known ones.
    """
    if name not in FORMAT_SUFFIXES:
        import difflib

        near = difflib.get_close_matches(name, FORMAT_SUFFIXES, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(f"Unknown format {name!r}.{hint} Known: {', '.join(FORMAT_SUFFIXES)}.")
    return name


def artifact_name(fmt: str) -> str:
    """File name of a format's artifact inside a bundle, e.g. ``model-tflite-int8.tflite``."""
    return f"model-{check_format(fmt)}{FORMAT_SUFFIXES[fmt]}"


@dataclass(frozen=True)
class Artifact:
    """One model file of a bundle."""

    format: str  #: a key of FORMAT_SUFFIXES
    file: str  #: name relative to the bundle
    bytes: int  #: size; of all files for a folder
    sha256: str  #: of the file, or as :func:`edge_runtime.files.sha256_tree` for a folder
    quantization: str  #: the scheme under its true name, e.g. "full integer int8, per-channel"
    passed: bool  #: whether parity held
    parity: Mapping[str, Any] = field(default_factory=dict)  #: max_abs_diff, agreement, accuracy...
    #: What this file's numbers mean, with its own temperature and threshold; None: as the bundle's.
    output: OutputSpec | None = None
    #: How ``tflite-int8`` was quantised: the rung of the ladder and its settings; else empty.
    recipe: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.format not in FORMAT_SUFFIXES:
            raise BundleError(f"artifact format {self.format!r} is not known to this version.")
        check_inside(self.file)
        if not isinstance(self.bytes, int) or self.bytes < 0:
            raise BundleError(f"artifact {self.format}: bytes is {self.bytes!r}.")
        if not isinstance(self.sha256, str) or len(self.sha256) != 64:
            raise BundleError(f"artifact {self.format}: sha256 is {self.sha256!r}.")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Artifact:
        """Read an entry of ``artifacts``.

        Raises:
            BundleError: A value cannot be right.
            KeyError: A key is missing.
        """
        fields = {
            key: data[key]
            for key in field_names(cls)
            if key in data or key not in ("output", "recipe")
        }
        if fields.get("output") is not None:
            fields["output"] = OutputSpec.from_dict(fields["output"])
        return cls(**fields)


@dataclass(frozen=True)
class Manifest:
    """Contents of ``manifest.json``."""

    info: ModelInfo
    artifacts: tuple[Artifact, ...]
    default: str = DEFAULT_FORMAT
    versions: Mapping[str, str] = field(default_factory=dict)  #: of the tools that made it
    source: Mapping[str, Any] = field(default_factory=dict)  #: the run that it came from
    calibration: Mapping[str, Any] = field(default_factory=dict)  #: photos used for int8
    #: Of :mod:`edge_runtime.training_features`; optional, and unknown to older readers.
    training_features: Mapping[str, Any] = field(default_factory=dict)

    def artifact(self, fmt: str | None = None) -> Artifact:
        """The artifact of a format, of the default one if ``fmt`` is None; or ``auto``.

        Raises:
            UsageError: The format is unknown or not in this bundle.
        """
        if fmt == AUTO:
            return self.fastest()
        wanted = self.default if fmt is None else check_format(fmt)
        for artifact in self.artifacts:
            if artifact.format == wanted:
                return artifact
        have = ", ".join(a.format for a in self.artifacts) or "none"
        raise UsageError(f"The bundle has no {wanted}. It has: {have}. Choose one with --format.")

    def fastest(self) -> Artifact:
        """The fastest artifact that passed its parity check, as far as the manifest knows.

        A verdict counts first: a default other than :data:`DEFAULT_FORMAT`, which is there, was
        recorded by somebody who measured. Without one it is the usual order of the formats.

        Raises:
            UsageError: None passed.
        """
        passed = {artifact.format: artifact for artifact in self.artifacts if artifact.passed}
        if not passed:
            raise UsageError(
                "No file of this bundle passed its parity check, so --format auto has no choice. "
                f"Name one of: {', '.join(a.format for a in self.artifacts)}."
            )
        measured = any(artifact.format == DEFAULT_FORMAT for artifact in self.artifacts)
        if measured and self.default != DEFAULT_FORMAT and self.default in passed:
            return passed[self.default]
        return min(passed.values(), key=_slowness)

    def info_of(self, artifact: Artifact) -> ModelInfo:
        """The description of one of the files: the bundle's, with the file's own output."""
        if artifact.output is None:
            return self.info
        return replace(self.info, output=artifact.output)

    def to_json(self) -> str:
        """Text of ``manifest.json``."""
        from dataclasses import asdict

        data = self.info.to_dict()
        data["default"] = self.default
        data["artifacts"] = [asdict(artifact) for artifact in self.artifacts]
        data["calibration"] = dict(self.calibration)
        data["versions"] = dict(self.versions)
        data["source"] = dict(self.source)
        if self.training_features:
            data["training_features"] = dict(self.training_features)
        return json.dumps(data, ensure_ascii=False, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> Manifest:
        """Read ``manifest.json``.

        Raises:
            BundleError: It is not a manifest, or one of its values cannot be right.
        """
        try:
            data = parse_json(text, where)
            info = ModelInfo.from_dict(data, where)
            artifacts = tuple(Artifact.from_dict(entry) for entry in data["artifacts"])
            if not artifacts:
                raise BundleError("no artifact is listed.")
            formats = [artifact.format for artifact in artifacts]
            if len(set(formats)) != len(formats):
                raise BundleError("a format is listed twice.")
            default = data.get("default", DEFAULT_FORMAT)
            if default not in formats:
                raise BundleError(f"the default {default!r} is not among the artifacts.")
            for key in ("versions", "source", "calibration", "training_features"):
                if not isinstance(data.get(key, {}), dict):
                    raise BundleError(f"{key}: expected an object, found {data[key]!r}.")
            return cls(
                info=info,
                artifacts=artifacts,
                default=default,
                versions=data.get("versions", {}),
                source=data.get("source", {}),
                calibration=data.get("calibration", {}),
                training_features=data.get("training_features", {}),
            )
        except BundleError as error:
            raise BundleError(f"{where}: {error}") from error
        except ModelError as error:
            raise BundleError(str(error)) from error
        except (KeyError, TypeError) as error:
            raise BundleError(f"{where}: not a bundle manifest ({error!r}).") from error


def _slowness(artifact: Artifact) -> int:
    # The last rungs of the ladder keep the name, and calculate in float32 all the same.
    in_float = artifact.format == "tflite-int8" and "float32 arithmetic" in artifact.quantization
    return _BY_SPEED.index("tflite-int8w" if in_float else artifact.format)


def check_inside(name: Any) -> None:
    """Raise BundleError unless ``name`` is a plain relative path inside the bundle."""
    if not isinstance(name, str) or not name or "\\" in name or "\0" in name or ":" in name:
        raise BundleError(f"file name {name!r} is not allowed in a bundle.")
    if not name.isprintable():
        raise BundleError(f"file name {name[:40]!r} is not allowed in a bundle.")
    if any(len(part.encode()) > _LONGEST_NAME for part in name.split("/")):
        raise BundleError(f"file name {name[:40]!r}... is longer than a file system allows.")
    if any(part in ("..", ".", "") for part in name.split("/")):
        raise BundleError(f"file name {name!r} leaves the bundle's folder.")
