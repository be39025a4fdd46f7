"""TFLite with int16 activations and int8 weights: nearly float's accuracy, without its unit.

https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/post_training_integer_quant_16x8
Input and output are float32: 16-bit pixels are of no use to anybody.
"""

from __future__ import annotations

from typing import Any

from . import tflite
from .job import Job


def convert(job: Job) -> None:
    """Write the file."""
    pixels, options = job.photos(), job.options

    def configure(tf: Any, converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = tflite.representative_dataset(pixels, options.batch)
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        ]

    job.target.write_bytes(tflite.convert(job.source, job.format, configure))
