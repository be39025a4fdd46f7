"""Turn a float32 TFLite file into integers with ai-edge-quantizer, and choose what goes in and out.

https://github.com/google-ai-edge/ai-edge-quantizer: weights per-channel and symmetric, activations
per-tensor and affine, as in the TFLite 8-bit quantisation specification.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Collection
from typing import Any

import numpy as np

from edge_runtime.errors import EdgeError, ModelError, first_line, missing_package
from edge_runtime.quiet import quiet_stderr

from .graph import Graph
from .ranges import Ranges

#: Step of an 8-bit probability, as the specification fixes it for a softmax.
_PROBABILITY_STEP = 1 / 256


def full_integer(model: bytes, ranges: Ranges, in_float: Collection[str] = ()) -> bytes:
    """Quantise weights and activations to int8.

    Args:
        model: The float32 flatbuffer.
        ranges: Of its input and all activations, by the tensors' names.
        in_float: Operators that stay in float32, by the names of the tensors that they give.

    Returns:
        The file; its input and output are int8, or float32 where the first or the last operator
        stays in float32. Its constants may lie behind the flatbuffer, see
        :func:`exporter.formats.tflite_buffers.inline`.

    Raises:
        ModelError: The quantiser failed.
        MissingComponent: ai-edge-quantizer is not installed.
    """
    _, recipe = import_quantizer()
    rules = list(recipe.static_wi8_ai8())
    if in_float:
        names = "|".join(re.escape(name) for name in sorted(in_float))
        rules.append(
            {
                "regex": f"^(?:{names});?$",
                "operation": "*",
                "algorithm_key": "no_quantize",
                "op_config": {},
            }
        )
    seen = {
        name: {"min": np.array([low], np.float32), "max": np.array([high], np.float32)}
        for name, (low, high) in ranges.items()
    }
    return _quantized(model, rules, seen, "tflite-int8")


def weights_only(model: bytes, fmt: str) -> bytes:
    """Quantise the weights alone.

    Args:
        model: The float32 flatbuffer.
        fmt: Name of the format that is written, for messages.

    Returns:
        The file, its constants perhaps behind the flatbuffer.

    Raises:
        ModelError: The quantiser failed.
        MissingComponent: ai-edge-quantizer is not installed.
    """
    _, recipe = import_quantizer()
    return _quantized(model, recipe.weight_only_wi8_afp32(), None, fmt)


def import_quantizer() -> tuple[Any, Any]:
    """The modules ``quantizer`` and ``recipe`` of ai-edge-quantizer.

    Raises:
        MissingComponent: It is not installed.
    """
    try:
        from ai_edge_quantizer import quantizer, recipe
    except ImportError as error:
        raise missing_package("ai-edge-quantizer", "export", "quantise TFLite files") from error
    return quantizer, recipe


def _quantized(
    model: bytes, rules: list[dict[str, Any]], seen: dict[str, Any] | None, fmt: str
) -> bytes:
    quantizer, _ = import_quantizer()
    try:
        with quiet_stderr(), contextlib.redirect_stdout(io.StringIO()):
            work = quantizer.Quantizer(model)
            work.load_quantization_recipe(rules)
            return bytes(work.quantize(seen).quantized_model)
    except (EdgeError, MemoryError, OSError):
        raise
    except Exception as error:  # it raises anything
        raise ModelError(f"{fmt}: the quantiser failed ({first_line(error)}).") from error


def set_io(model: bytes, dtype: str, logits: tuple[float, float] | None) -> bytes:
    """Give a file the input and output that were asked for.

    Args:
        model: A flatbuffer whose input and output are int8 or float32.
        dtype: ``uint8``, ``int8`` or ``float32``.
        logits: Range of the output where it is logits; None for probabilities.

    Returns:
        The flatbuffer; a uint8 or int8 input has one step a grey level.
    """
    graph = Graph(model)
    kinds = graph.schema.TensorType
    wanted = getattr(kinds, dtype.upper())
    for tensor, first in ((graph.input, True), (graph.output, False)):
        found = graph.tensors[tensor]
        if found.type == wanted:
            continue
        if dtype == "float32":
            quantization = None
        elif found.type == kinds.FLOAT32:
            ends = (0.0, 255.0) if first else logits or (0.0, 255 * _PROBABILITY_STEP)
            quantization = _affine(graph, ends, dtype)
        else:  # from int8 to uint8 or back: the same steps, counted from another number
            shift = 128 if dtype == "uint8" else -128
            old = found.quantization
            quantization = _parameters(graph, float(old.scale[0]), int(old.zeroPoint[0]) + shift)
        name = "image_in" if first else "scores_out"
        new = graph.add_tensor_like(name, tensor, wanted, quantization)
        to_float = (found.type if first else wanted) == kinds.FLOAT32
        kind = "DEQUANTIZE" if to_float else "QUANTIZE"
        if first:
            graph.set_input(new)
            graph.add_operator(kind, new, tensor, 0)
        else:
            graph.set_output(new)
            graph.add_operator(kind, tensor, new, len(graph.operators))
    return graph.to_bytes()


def _affine(graph: Graph, ends: tuple[float, float], dtype: str) -> Any:
    """Parameters that spread 256 steps from one end to the other; zero is one of them."""
    low, high = min(ends[0], 0.0), max(ends[1], 0.0)
    scale = (high - low) / 255 or 1.0
    zero = round(-low / scale) + (0 if dtype == "uint8" else -128)
    return _parameters(graph, scale, zero)


def _parameters(graph: Graph, scale: float, zero_point: int) -> Any:
    found = graph.schema.QuantizationParametersT()
    found.scale = np.array([scale], np.float32)
    found.zeroPoint = np.array([zero_point], np.int64)
    return found
