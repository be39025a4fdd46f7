"""ONNX in int8 with QuantizeLinear and DequantizeLinear, by onnxruntime's static quantisation.

https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
Head and heat map stay float32: they are a hundredth of the work.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edge_runtime.errors import missing_package

from ..converting import converting
from .job import Job
from .names import INPUT_NAME
from .onnx import save
from .onnx_graph import check, head_nodes, import_onnx, sort_nodes
from .tflite import representative_dataset

#: Share of each activation's values, in percent, that its range holds.
_PERCENTILE = 99.99


def convert(job: Job) -> None:
    """Write the file.

    Raises:
        ModelError: The quantiser failed, or there are no photos.
        MissingComponent: onnxruntime is not installed.
    """
    onnx = import_onnx()
    try:
        from onnxruntime.quantization import (
            CalibrationMethod,
            QuantFormat,
            QuantType,
            quantize_static,
        )
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise missing_package("onnxruntime", "export", f"write {job.format}") from error
    prepared, quantised = (job.source.scratch(f"{name}.onnx") for name in ("prepared", "int8"))
    pixels = job.photos()
    with converting(job.format):
        # Symbolic shapes are for transformers, and need sympy.
        quant_pre_process(job.source.onnx(), prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            quantised,
            _Photos(pixels, job.options.batch),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=head_nodes(onnx.load(prepared)),
            # EfficientNetB0, 421 photos: 93.1 % right with percentiles, 72.0 % with the smallest
            # and largest value, 81.2 % with entropy; int8 in place of uint8 activations 71.3 %.
            calibrate_method=CalibrationMethod.Percentile,
            # One batch at a time: it would keep every activation of every photo in memory.
            extra_options={"CalibStridedMinMax": 1, "CalibPercentile": _PERCENTILE},
        )
        model = onnx.load(quantised)
    names = [value.name for value in onnx.load(job.source.onnx()).graph.output]
    sort_nodes(model)
    check(model, job.format, names, job.options.batch)
    save(model, job.target)


class _Photos:
    """onnxruntime's ``CalibrationDataReader``: the batches of a range, then None."""

    def __init__(self, pixels: np.ndarray, batch: int | None) -> None:
        self._pixels, self._batch = pixels, batch
        self.set_range(0, len(self))

    def __len__(self) -> int:
        return -(-len(self._pixels) // (self._batch or 1))

    def set_range(self, start_index: int, end_index: int) -> None:
        """Start anew, with some of the batches."""
        step = self._batch or 1
        part = self._pixels[start_index * step : end_index * step]
        self._batches: Iterator[list[np.ndarray]] = representative_dataset(part, self._batch)()

    def get_next(self) -> dict[str, Any] | None:
        """The next input, None at the end."""
        for (images,) in self._batches:
            return {INPUT_NAME: images}
        return None
