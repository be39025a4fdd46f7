"""TFLite with int8 weights behind DEQUANTIZE: a quarter of the size, float32 arithmetic.

TensorFlow's converter quantises such weights only together with the activations; ai-edge-quantizer
(https://github.com/google-ai-edge/ai-edge-quantizer) does it on the float32 file.
"""

from __future__ import annotations

from typing import Any

from edge_runtime.errors import missing_package

from ..converting import converting
from .job import Job
from .tflite_buffers import inline
from .tflite_graph import check


def convert(job: Job) -> None:
    """Write the file.

    Raises:
        ModelError: The quantiser failed.
        MissingComponent: ai-edge-quantizer is not installed.
    """
    quantizer, recipe = import_quantizer()
    with converting(job.format):
        work = quantizer.Quantizer(job.source.tflite().read_bytes())
        work.load_quantization_recipe(recipe.weight_only_wi8_afp32())
        model = inline(bytes(work.quantize().quantized_model))
    check(model, job.format, job.options.batch)
    job.target.write_bytes(model)


def import_quantizer() -> tuple[Any, Any]:
    """The modules ``quantizer`` and ``recipe`` of ai-edge-quantizer.

    Raises:
        MissingComponent: It is not installed.
    """
    try:
        from ai_edge_quantizer import quantizer, recipe
    except ImportError as error:
        raise missing_package("ai-edge-quantizer", "export", "quantise weights alone") from error
    return quantizer, recipe
