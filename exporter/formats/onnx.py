"""What the ONNX formats share: the float32 file, converted by tf2onnx.

Keras' own ONNX export, and tf2onnx from a traced Keras function, turn the constants of a
Normalization layer into inputs, and the file cannot be run. Here the function is frozen first,
constants included, and tf2onnx gets a plain graph.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.backends.full_model import import_tensorflow
from edge_runtime.errors import missing_package

from ..converting import converting
from .names import HEATMAP_NAME, INPUT_NAME
from .onnx_graph import check, import_onnx, tidy, unknown_operators
from .onnx_names import canonical
from .source import Source
from .tflite import raise_foreign

_FORMAT = "onnx-fp32"


def convert(source: Source, path: Path) -> None:
    """Convert a classifier to a float32 ONNX file.

    ``image`` float32 (n, height, width, 3) to ``probabilities`` or ``logits``, float32
    (n, classes), and ``heatmap``, float32 (n, h, w, classes), where the network has a head that
    gives one; operators of ONNX itself only.

    Args:
        source: The model.
        path: File to write.

    Raises:
        ModelError: The converter failed, or made a file that a plain runtime cannot run.
        MissingComponent: tf2onnx or onnx is not installed.
    """
    tf2onnx = import_tf2onnx()
    options = source.options
    with converting(_FORMAT):
        graph, outputs = freeze(source)
        names = [options.scores, HEATMAP_NAME][: len(outputs)]
        model, _ = tf2onnx.convert.from_graph_def(
            graph,
            name="classifier",
            input_names=[f"{INPUT_NAME}:0"],
            output_names=outputs,
            opset=options.opset,
            tensors_to_rename={
                f"{INPUT_NAME}:0": INPUT_NAME,
                **dict(zip(outputs, names, strict=True)),
            },
        )
        del graph
        tidy(model, names)
        canonical(model)
    raise_foreign(source, _FORMAT, unknown_operators(model), "ONNX")
    check(model, _FORMAT, names, options.batch)
    save(model, path)


def save(model: Any, path: Path) -> None:
    """Write an ``onnx.ModelProto``, the same bytes for the same model."""
    path.write_bytes(model.SerializeToString(deterministic=True))


def freeze(source: Source) -> tuple[Any, list[str]]:
    """The classifier as a graph in which variables and captured tensors are constants.

    Args:
        source: The model.

    Returns:
        The ``GraphDef``, and the names of its outputs: scores, and heat maps if it has them.
    """
    tf = import_tensorflow()
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    network, options = source.network, source.options
    shape = (options.batch, *network.model.input_shape[1:])

    @tf.function(
        input_signature=[tf.TensorSpec(shape, tf.float32, name=INPUT_NAME)], autograph=False
    )
    def answer(image: Any) -> Any:
        if network.head is None:
            return (network.function(options.logits)(image),)
        return network.function_with_heatmap(options.logits)(image)

    function = answer.get_concrete_function()
    frozen = convert_variables_to_constants_v2(
        function, lower_control_flow=False, aggressive_inlining=True
    )
    captured = {
        placeholder.op.name: value
        for value, placeholder in function.graph.captures
        if value.dtype != tf.resource
    }
    graph = frozen.graph.as_graph_def()
    for node in graph.node:
        if node.op == "Placeholder" and node.name in captured:
            _make_constant(node, captured[node.name], tf)
    return graph, [output.name for output in frozen.outputs]


def _make_constant(node: Any, value: Any, tf: Any) -> None:
    node.op = "Const"
    for key in list(node.attr):
        del node.attr[key]
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value.numpy()))
    node.attr["dtype"].type = value.dtype.as_datatype_enum


def import_tf2onnx() -> Any:
    """Import tf2onnx.

    Raises:
        MissingComponent: It is not installed.
    """
    import_tensorflow()
    import_onnx()
    try:
        import tf2onnx
        from tf2onnx.handler import tf_op
    except ImportError as error:
        raise missing_package("tf2onnx", "export", "write ONNX files") from error
    tf_op("Erfc")(_Erfc)
    return tf2onnx


class _Erfc:
    """TensorFlow's gelu holds an Erfc, which neither ONNX nor tf2onnx knows: 1 - Erf."""

    @classmethod
    def version_9(cls, ctx: Any, node: Any, **_: Any) -> None:
        """Replace a node; the name and the arguments are tf2onnx's convention."""
        one = ctx.make_const(f"{node.name}/one", np.ones((), np.float32)).output[0]
        erf = ctx.make_node("Erf", [node.input[0]], op_name_scope=node.name).output[0]
        shapes, dtypes = [ctx.get_shape(node.output[0])], [ctx.get_dtype(node.output[0])]
        ctx.remove_node(node.name)
        ctx.make_node(
            "Sub", [one, erf], name=node.name, outputs=node.output, shapes=shapes, dtypes=dtypes
        )
