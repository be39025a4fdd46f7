"""TFLite with int8 weights behind DEQUANTIZE: a quarter of the size, float32 arithmetic.

TensorFlow's converter quantises such weights only together with the activations; ai-edge-quantizer
(https://github.com/google-ai-edge/ai-edge-quantizer) does it on the float32 file.
"""

from __future__ import annotations

from ..converting import converting
from ..quantize.integers import weights_only
from .job import Job
from .tflite_buffers import inline
from .tflite_graph import check


def convert(job: Job) -> None:
    """Write the file.

    Raises:
        ModelError: The quantiser failed.
        MissingComponent: ai-edge-quantizer is not installed.
    """
    with converting(job.format):
        model = inline(weights_only(job.source.tflite().read_bytes(), job.format))
    check(model, job.format, job.options.batch)
    job.target.write_bytes(model)
