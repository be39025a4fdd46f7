"""TFLite in integers: int8 weights and activations, as far down as the answers hold.

Weights per-channel and symmetric, activations per-tensor and affine, as in the TFLite 8-bit
quantisation specification (https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import tflite
from .job import Job
from .tflite_graph import check


def convert(job: Job) -> dict[str, Any]:
    """Write the file: as :func:`plain` does, or, with ``--max-drop``, as the ladder chooses.

    Returns:
        ``quantization``, ``recipe`` and ``trail`` of :class:`exporter.quantize.ladder.Chosen`.

    Raises:
        ModelError: The converter failed, or no way of quantising holds.
    """
    options = job.options
    if options.max_drop is None or job.judging is None:
        job.target.write_bytes(plain(job))
        return {}
    from ..quantize.ladder import Ladder, Photos, Rule
    from .tflite_fp16 import float16

    pixels = np.load(job.judging.pixels, mmap_mode="r")
    labels = np.array(job.judging.labels)
    ladder = Ladder(
        job.source.tflite().read_bytes(),
        Photos(job.photos(), pixels[: len(labels)], labels, job.judging.validation),
        Rule(options.max_drop / 100, options.min_agreement),
        options.int8_io,
        options.logits,
    )
    chosen = ladder.climb(lambda: plain(job), lambda: float16(job.source, job.format))
    check(chosen.model, job.format, options.batch)
    job.target.write_bytes(chosen.model)
    return {
        "quantization": chosen.quantization,
        "recipe": chosen.recipe,
        "trail": chosen.trail,
    }


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
