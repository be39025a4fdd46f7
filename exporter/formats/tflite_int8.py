"""TFLite in integers throughout: int8 weights and activations.

Weights per-channel and symmetric, activations per-tensor and affine, as in the TFLite 8-bit
quantisation specification (https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec).
"""

from __future__ import annotations

from typing import Any

from . import tflite
from .job import Job


def convert(job: Job) -> None:
    """Write the file, quantised as :func:`plain` does."""
    job.target.write_bytes(plain(job))


def plain(job: Job) -> bytes:
    """Quantise everything, with the smallest and largest activation of the calibration photos.

    Args:
        job: What to convert; ``options.int8_io`` says what input and output are.

    Returns:
        The TFLite flatbuffer.

    Raises:
        ModelError: The converter failed, or there are no photos.
    """
    pixels, options = job.photos(), job.options

    def configure(tf: Any, converter: Any) -> None:
        kind = getattr(tf, options.int8_io)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = tflite.representative_dataset(pixels, options.batch)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = kind
        converter.inference_output_type = kind

    return tflite.convert(job.source, job.format, configure)
