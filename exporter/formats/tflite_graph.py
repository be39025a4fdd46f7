"""TFLite flatbuffers: their schema, and the check that any interpreter can run one."""

from __future__ import annotations

from typing import Any

from edge_runtime.errors import ModelError, missing_package


def check(model: bytes, fmt: str, batch: int | None = 1) -> None:
    """Check that any TFLite interpreter can run a file as a classifier.

    Args:
        model: The TFLite flatbuffer.
        fmt: Its format, for the message.
        batch: Photos that it has to take at once; None for any number.

    Raises:
        ModelError: It needs Flex or custom operators, or has not the one subgraph, input and
            output, with that batch.
    """
    schema = import_schema()
    root = schema.Model.GetRootAs(model)
    foreign = [
        code.CustomCode().decode()
        for code in (root.OperatorCodes(i) for i in range(root.OperatorCodesLength()))
        if code.CustomCode() is not None
    ]
    if foreign:
        raise ModelError(
            f"{fmt}: needs the operators {', '.join(sorted(foreign))}, which a plain TFLite "
            "interpreter lacks. Replace the layer that they come from, and train again."
        )
    graph = root.Subgraphs(0)
    counts = (root.SubgraphsLength(), graph.InputsLength(), graph.OutputsLength())
    if counts != (1, 1, 1):
        raise ModelError(
            f"{fmt}: expected one subgraph, input and output, found {counts}: not a classifier."
        )
    for index in (graph.Inputs(0), graph.Outputs(0)):
        _check_batch(graph.Tensors(index), fmt, batch)


def _check_batch(tensor: Any, fmt: str, batch: int | None) -> None:
    shape = tensor.ShapeAsNumpy().tolist()
    signature = tensor.ShapeSignatureAsNumpy().tolist() if tensor.ShapeSignatureLength() else shape
    expected = [-1 if batch is None else batch, *shape[1:]]
    if signature != expected:
        raise ModelError(
            f"{fmt}: expected {tensor.Name().decode()} of shape {expected}, found {signature}."
        )


def import_schema() -> Any:
    """The generated reader of TFLite flatbuffers.

    Raises:
        MissingComponent: ai-edge-litert is not installed.
    """
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError as error:
        raise missing_package("ai-edge-litert", "export", "write TFLite metadata") from error
    return schema_py_generated
