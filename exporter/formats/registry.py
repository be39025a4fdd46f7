"""Every format: what it is, what it needs, and which module writes it."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import UsageError, missing_package
from edge_runtime.manifest import FORMAT_SUFFIXES, check_format

from ..options import ExportOptions

if TYPE_CHECKING:
    from .job import Job

#: Import name of a package, and the name to install it by.
_TENSORFLOW = ("tensorflow", "tensorflow")
_LITERT = (("ai_edge_litert", "ai-edge-litert"), ("flatbuffers", "flatbuffers"))
_ONNX = (("onnx", "onnx"), ("onnxruntime", "onnxruntime"), ("tf2onnx", "tf2onnx"))
_QUANTIZER = ("ai_edge_quantizer", "ai-edge-quantizer")
_SCIPY = ("scipy", "scipy")

ALL = "all"


@dataclass(frozen=True)
class Format:
    """One way to write the model."""

    name: str  #: a key of :data:`edge_runtime.manifest.FORMAT_SUFFIXES`
    scheme: str  #: what is quantised and how, under its true name
    packages: tuple[tuple[str, str], ...]  #: what it needs beside numpy: import name, package
    calibrates: bool = False  #: whether activations are measured on training photos
    by_default: bool = True  #: whether it is written when no format is named

    @property
    def family(self) -> str:
        """``saved_model``, ``tflite`` or ``onnx``."""
        return self.name.partition("-")[0]

    def quantization(self, options: ExportOptions) -> str:
        """:attr:`scheme` of a file that was written with these options."""
        return self.scheme.format(io=options.int8_io)

    def convert(self, job: Job) -> dict[str, Any]:
        """Write the plain file; in the converting process.

        Returns:
            What is to be said of it beyond :meth:`quantization`: ``quantization``, ``recipe`` and
            ``trail`` of :class:`exporter.quantize.ladder.Chosen`; mostly nothing.

        Raises:
            ModelError: The converter failed, or its file needs more than a plain interpreter.
        """
        module = importlib.import_module(f".{self.name.replace('-', '_')}", __package__)
        converter: Callable[[Job], dict[str, Any] | None] = module.convert
        return converter(job) or {}


FORMATS: dict[str, Format] = {
    found.name: found
    for found in (
        Format("saved_model", "none (float32)", (_TENSORFLOW,)),
        Format("tflite-fp32", "none (float32)", (_TENSORFLOW, *_LITERT)),
        Format("tflite-fp16", "float16 weights, float32 activations", (_TENSORFLOW, *_LITERT)),
        Format(
            "tflite-dynamic",
            "dynamic range: int8 weights per-channel, float32 activations that are quantised to "
            "int8 at run time",
            (_TENSORFLOW, *_LITERT),
        ),
        Format(
            "tflite-int8w",
            "weight-only int8: weights per-channel behind DEQUANTIZE, float32 activations and "
            "arithmetic",
            (_TENSORFLOW, *_LITERT, _QUANTIZER),
        ),
        Format(
            "tflite-int8",
            "full integer int8: weights per-channel, activations per-tensor, {io} input and output",
            (_TENSORFLOW, *_LITERT),
            calibrates=True,
        ),
        Format(
            "tflite-int16x8",
            "int16 activations, int8 weights per-channel, float32 input and output",
            (_TENSORFLOW, *_LITERT),
            calibrates=True,
            # LiteRT has no optimised kernels for it: 30 times slower than int8.
            by_default=False,
        ),
        Format("onnx-fp32", "none (float32)", (_TENSORFLOW, *_ONNX)),
        Format(
            "onnx-fp16",
            "float16 weights and activations up to the pooling, float32 head, input and output",
            (_TENSORFLOW, *_ONNX),
        ),
        Format(
            "onnx-int8",
            "QDQ int8: weights int8 per-channel, activations uint8 per-tensor (99.99th percentile), "
            "float32 head, input and output",
            (_TENSORFLOW, *_ONNX),
            calibrates=True,
        ),
    )
}

#: What is written when no format is named.
DEFAULT_FORMATS = tuple(name for name, found in FORMATS.items() if found.by_default)


def choose_formats(wanted: Sequence[str], accept: Sequence[str] = ()) -> list[str]:
    """The formats to write, each once, in the order of the manifest's list.

    Args:
        wanted: Names; each may be several with commas, and ``all``. None at all: the default ones.
        accept: Formats that stay in the bundle even if they fail their threshold.

    Raises:
        UsageError: A name is unknown, none is left, or ``accept`` names one that is not asked for.
    """
    names = split_names(wanted) if wanted else list(DEFAULT_FORMATS)
    if not names:
        raise UsageError(f"No format to export. Known: {', '.join(FORMATS)}, and {ALL}.")
    chosen = set(FORMATS) if ALL in names else {_known(name) for name in names if name != ALL}
    for name in split_names(accept):
        if _known(name) not in chosen:
            raise UsageError(
                f"--accept {name}: not among the formats to export, {', '.join(_ordered(chosen))}."
            )
    return _ordered(chosen)


def split_names(values: Iterable[str]) -> list[str]:
    """Names out of an option that may be repeated and may hold several with commas."""
    return [name for value in values for name in map(str.strip, value.split(",")) if name]


def _ordered(names: Iterable[str]) -> list[str]:
    return [name for name in FORMAT_SUFFIXES if name in set(names)]


def _known(name: str) -> str:
    family = [found.name for found in FORMATS.values() if found.family == name]
    if family and name not in FORMATS:
        raise UsageError(
            f"{name!r} is a family of formats. Name one or several of: {', '.join(family)}."
        )
    if name == ALL or name in FORMATS:
        return name
    if difflib.get_close_matches(name, [ALL], n=1):
        raise UsageError(f"Unknown format {name!r}. Did you mean {ALL}?")
    return check_format(name)


def require(formats: Iterable[str]) -> None:
    """Check, before any work, that what the formats need is installed.

    Raises:
        MissingComponent: A package is not.
    """
    for fmt in formats:
        for module, package in FORMATS[fmt].packages:
            if importlib.util.find_spec(module) is None:
                raise missing_package(package, "export", f"write {fmt}")
