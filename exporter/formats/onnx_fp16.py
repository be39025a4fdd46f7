"""ONNX in float16 up to the pooling; head, heat map, input and output stay float32.

The conversion is onnxruntime's own. Its CPU kernels widen to float32 and round in between; GPUs and
NPUs compute in float16.
"""

from __future__ import annotations

from edge_runtime.errors import missing_package

from ..converting import converting
from .job import Job
from .onnx import save
from .onnx_graph import check, head_nodes, import_onnx, sort_nodes


def convert(job: Job) -> None:
    """Write the file.

    Raises:
        ModelError: The converter failed.
        MissingComponent: onnxruntime is not installed.
    """
    onnx = import_onnx()
    try:
        from onnxruntime.transformers.float16 import convert_float_to_float16
    except ImportError as error:
        raise missing_package("onnxruntime", "export", f"write {job.format}") from error
    model = onnx.load(job.source.onnx())
    names = [value.name for value in model.graph.output]
    with converting(job.format):
        model = convert_float_to_float16(
            model, keep_io_types=True, node_block_list=head_nodes(model)
        )
    sort_nodes(model)
    check(model, job.format, names, job.options.batch)
    save(model, job.target)
