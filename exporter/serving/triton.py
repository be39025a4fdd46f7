"""``config.pbtxt`` for NVIDIA Triton, read off the ONNX file that it describes.

Protocol buffers in text form, message ``inference.ModelConfig`` of
https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto; what its
fields mean:
https://github.com/triton-inference-server/server/blob/main/docs/user_guide/model_configuration.md
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime.errors import ModelError
from edge_runtime.manifest import LABELS_NAME

from ..formats.onnx_graph import import_onnx

MODEL_FILE = "model.onnx"
CONFIG_FILE = "config.pbtxt"

#: Photos that Triton may put together. Twice as many of EfficientNetB0's, 224 pixels, take 1.9 GB in
#: onnxruntime on a CPU.
MAX_BATCH = 32

#: A batch of one of these sizes is run at once, without waiting for more.
PREFERRED = (4, 8, 16, 32)

#: How long a photo may wait for others, in microseconds: a tenth of its own inference on a CPU core.
QUEUE_DELAY = 1000

#: ONNX's element types in Triton's words.
_TYPES = {
    "FLOAT": "TYPE_FP32",
    "FLOAT16": "TYPE_FP16",
    "BFLOAT16": "TYPE_BF16",
    "DOUBLE": "TYPE_FP64",
    "UINT8": "TYPE_UINT8",
    "INT8": "TYPE_INT8",
    "INT32": "TYPE_INT32",
    "INT64": "TYPE_INT64",
}


@dataclass(frozen=True)
class _Tensor:
    """An input or output of a file."""

    name: str
    type: str  #: a name of Triton's ``DataType``
    dims: tuple[int, ...]  #: batch first; -1: any


def config_pbtxt(name: str, file: Path, scores: str) -> str:
    """The configuration of one model.

    Triton batches along a first dimension that is open in every tensor and that the configuration
    leaves out. A file with a fixed batch has ``max_batch_size: 0`` and all of its dimensions.

    Args:
        name: Of the model, and of its folder.
        file: The ONNX file.
        scores: Name of the output that ``labels.txt`` belongs to.

    Returns:
        The text of ``config.pbtxt``.

    Raises:
        ModelError: The file is no classifier of this exporter.
        MissingComponent: onnx is not installed.
    """
    graph = import_onnx().load(str(file), load_external_data=False).graph
    inputs, outputs = ([_tensor(v, file) for v in part] for part in (graph.input, graph.output))
    if scores not in {tensor.name for tensor in outputs}:
        raise ModelError(f"{file}: has no output {scores!r}.")
    batched = all(tensor.dims[:1] == (-1,) for tensor in (*inputs, *outputs))
    lines = [
        f'name: "{name}"',
        'platform: "onnxruntime_onnx"',
        'backend: "onnxruntime"',
        f'default_model_filename: "{MODEL_FILE}"',
        f"max_batch_size: {MAX_BATCH if batched else 0}",
    ]
    for tensor in inputs:
        # Triton takes a format for three dimensions only.
        more = ["format: FORMAT_NHWC"] if batched and len(tensor.dims) == 4 else []
        lines += _block("input", tensor, batched, more)
    for tensor in outputs:
        more = [f'label_filename: "{LABELS_NAME}"'] if tensor.name == scores else []
        lines += _block("output", tensor, batched, more)
    if batched:
        sizes = ", ".join(map(str, PREFERRED))
        lines += [
            "dynamic_batching {",
            f"  preferred_batch_size: [ {sizes} ]",
            f"  max_queue_delay_microseconds: {QUEUE_DELAY}",
            "}",
        ]
    return "\n".join(lines) + "\n"


def _block(field: str, tensor: _Tensor, batched: bool, more: Sequence[str]) -> list[str]:
    dims = tensor.dims[1:] if batched else tensor.dims
    body = [
        f'name: "{tensor.name}"',
        f"data_type: {tensor.type}",
        f"dims: [ {', '.join(map(str, dims))} ]",
        *more,
    ]
    return [f"{field} [", "  {", *(f"    {line}" for line in body), "  }", "]"]


def _tensor(value: Any, file: Path) -> _Tensor:
    kind = value.type.tensor_type
    word = import_onnx().TensorProto.DataType.Name(kind.elem_type)
    if word not in _TYPES:
        raise ModelError(f"{file}: {value.name} is {word}, which a classifier does not have.")
    dims = tuple(int(dim.dim_value) if dim.HasField("dim_value") else -1 for dim in kind.shape.dim)
    return _Tensor(value.name, _TYPES[word], dims)
