"""TFLite with float16 weights, which the interpreter widens to float32.

https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/post_training_float16_quant
"""

from __future__ import annotations

from typing import Any

from . import tflite
from .job import Job
from .source import Source


def convert(job: Job) -> None:
    """Write the file."""
    job.target.write_bytes(float16(job.source, job.format))


def float16(source: Source, fmt: str) -> bytes:
    """The TFLite flatbuffer.

    Args:
        source: The model.
        fmt: Name of the format that is written, for messages.

    Raises:
        ModelError: The converter failed.
    """

    def configure(tf: Any, converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]

    return tflite.convert(source, fmt, configure)
