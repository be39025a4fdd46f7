"""TFLite with int8 weights, whose activations are quantised at run time.

https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/post_training_quant
"""

from __future__ import annotations

from typing import Any

from . import tflite
from .job import Job


def convert(job: Job) -> None:
    """Write the file."""

    def configure(tf: Any, converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]

    job.target.write_bytes(tflite.convert(job.source, job.format, configure))
