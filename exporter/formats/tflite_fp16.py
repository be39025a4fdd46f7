"""TFLite with float16 weights, which the interpreter widens to float32.

https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/post_training_float16_quant
"""

from __future__ import annotations

from typing import Any

from . import tflite
from .job import Job


def convert(job: Job) -> None:
    """Write the file."""

    def configure(tf: Any, converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]

    job.target.write_bytes(tflite.convert(job.source, job.format, configure))
