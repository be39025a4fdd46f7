"""The ONNX file: float32, converted from the SavedModel by tf2onnx.

Keras' own ONNX export, and tf2onnx from a traced Keras function, turn the constants of a
Normalization layer into inputs, and the file cannot be run. Here the function of the SavedModel
is frozen first, constants included, and tf2onnx gets a plain graph.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.backends.full_model import SERVE_SIGNATURE, import_tensorflow
from edge_runtime.backends.onnx import SCORES_NAME
from edge_runtime.errors import ModelError, missing_package

from .converting import converting
from .saved_model import INPUT_NAME

SCHEMES = {"onnx-fp32": "none (float32)"}

DEFAULT_OPSET = 17

#: 13 brought per-channel quantisation, which later steps need; 18 is the last that tf2onnx knows.
OPSETS = (13, 18)


def convert(saved_model: Path, fmt: str, opset: int = DEFAULT_OPSET) -> Any:
    """Convert the ``serve`` signature of a SavedModel.

    Args:
        saved_model: The folder.
        fmt: A key of :data:`SCHEMES`.
        opset: ONNX operator set, see :data:`OPSETS`.

    Returns:
        An ``onnx.ModelProto``: ``image`` float32 (1, height, width, 3) to ``probabilities``
        float32 (1, classes), operators of ONNX itself only.

    Raises:
        ModelError: The converter failed, or made a file that a plain runtime cannot run.
        MissingComponent: tf2onnx or onnx is not installed.
    """
    tf2onnx = import_tf2onnx()
    with converting(fmt):
        graph, output = freeze(saved_model)
        model, _ = tf2onnx.convert.from_graph_def(
            graph,
            name=SERVE_SIGNATURE,
            input_names=[f"{INPUT_NAME}:0"],
            output_names=[output],
            opset=opset,
            tensors_to_rename={f"{INPUT_NAME}:0": INPUT_NAME, output: SCORES_NAME},
        )
    check(model, fmt)
    return model


def freeze(saved_model: Path) -> tuple[Any, str]:
    """The ``serve`` signature as a graph in which variables and captured tensors are constants.

    Args:
        saved_model: The folder.

    Returns:
        The ``GraphDef``, and the name of its output tensor.
    """
    tf = import_tensorflow()
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    loaded = tf.saved_model.load(str(saved_model))
    function = loaded.signatures[SERVE_SIGNATURE]
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
    return graph, frozen.outputs[0].name


def _make_constant(node: Any, value: Any, tf: Any) -> None:
    node.op = "Const"
    for key in list(node.attr):
        del node.attr[key]
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value.numpy()))
    node.attr["dtype"].type = value.dtype.as_datatype_enum


def check(model: Any, fmt: str) -> None:
    """Check that any ONNX runtime can run a model as a classifier of one photo.

    Args:
        model: The ``onnx.ModelProto``.
        fmt: Its format, for the message.

    Raises:
        ModelError: It is not valid, needs operators of another domain, or has not the one
            input and output with a batch of one.
    """
    onnx = import_onnx()
    foreign = {f"{node.domain}.{node.op_type}" for node in model.graph.node if node.domain}
    if foreign:
        raise ModelError(
            f"{fmt}: needs the operators {', '.join(sorted(foreign))}, which a plain ONNX runtime "
            "lacks. Replace the layer that they come from, and train again."
        )
    names = [value.name for value in (*model.graph.input, *model.graph.output)]
    if names != [INPUT_NAME, SCORES_NAME]:
        raise ModelError(
            f"{fmt}: expected the input {INPUT_NAME} and the output {SCORES_NAME}, found {names}."
        )
    for value in (*model.graph.input, *model.graph.output):
        if value.type.tensor_type.shape.dim[0].dim_value != 1:
            raise ModelError(f"{fmt}: {value.name} has no fixed batch of one.")
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"{fmt}: the converted graph is not valid ONNX ({error}).") from error


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


def import_onnx() -> Any:
    """Import onnx.

    Raises:
        MissingComponent: It is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise missing_package("onnx", "export", "write ONNX files") from error
    return onnx
