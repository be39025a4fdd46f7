"""ONNX graphs: names, the nodes behind an output, and the check that any runtime can run one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from edge_runtime.errors import ModelError, missing_package

from .names import INPUT_NAME

#: Name of the first dimension where a file takes any number of photos.
BATCH_NAME = "batch"


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


def tidy(model: Any, outputs: Sequence[str]) -> None:
    """Put outputs in order and give an unknown batch a name, in place.

    Args:
        model: The ``onnx.ModelProto``.
        outputs: Names of the outputs, in the order that they shall have.
    """
    graph = model.graph
    by_name = {value.name: value for value in graph.output}
    ordered = [by_name[name] for name in outputs if name in by_name]
    del graph.output[:]
    graph.output.extend(ordered)
    del graph.value_info[:]  # with their own names of the batch; any runtime infers them
    for value in (*graph.input, *graph.output):
        dimension = value.type.tensor_type.shape.dim[0]
        if not dimension.dim_value:
            dimension.dim_param = BATCH_NAME


def unknown_operators(model: Any) -> set[str]:
    """Operators of a model that ONNX itself does not have."""
    onnx = import_onnx()
    return {
        node.op_type
        for node in model.graph.node
        if node.domain not in ("", "ai.onnx") or not onnx.defs.has(node.op_type)
    }


def check(model: Any, fmt: str, outputs: Sequence[str], batch: int | None = 1) -> None:
    """Check that any ONNX runtime can run a model as a classifier.

    Args:
        model: The ``onnx.ModelProto``.
        fmt: Its format, for the message.
        outputs: Names that its outputs must have.
        batch: Photos that it has to take at once; None for any number.

    Raises:
        ModelError: It is not valid, needs operators of another domain, or has other inputs or
            outputs.
    """
    onnx = import_onnx()
    foreign = unknown_operators(model)
    if foreign:
        raise ModelError(
            f"{fmt}: needs the operators {', '.join(sorted(foreign))}, which a plain ONNX runtime "
            "lacks. Replace the layer that they come from, and train again."
        )
    names = [value.name for value in (*model.graph.input, *model.graph.output)]
    if names != [INPUT_NAME, *outputs]:
        raise ModelError(
            f"{fmt}: expected the input {INPUT_NAME} and the outputs {', '.join(outputs)}, "
            f"found {names}."
        )
    for value in (*model.graph.input, *model.graph.output):
        found = value.type.tensor_type.shape.dim[0]
        if (found.dim_value or None) != batch:
            raise ModelError(
                f"{fmt}: {value.name} takes {found.dim_value or 'any number of'} photos at once, "
                f"expected {batch or 'any number'}."
            )
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"{fmt}: the converted graph is not valid ONNX ({error}).") from error


def sort_nodes(model: Any) -> None:
    """Put nodes behind what they need, in place, as ONNX demands; otherwise in their old order.

    Args:
        model: The ``onnx.ModelProto``.
    """
    waiting = list(model.graph.node)
    made = {value.name for value in (*model.graph.input, *model.graph.initializer)} | {""}
    ordered: list[Any] = []
    while waiting:
        later = []
        for node in waiting:
            if made.issuperset(node.input):
                made.update(node.output)
                ordered.append(node)
            else:
                later.append(node)
        if len(later) == len(waiting):  # left for the checker to tell what is missing
            ordered += later
            break
        waiting = later
    copies = [type(node).FromString(node.SerializeToString()) for node in ordered]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def behind(model: Any, output: str, until: Iterable[str] = ()) -> list[Any]:
    """The nodes that a tensor is computed from.

    Args:
        model: The ``onnx.ModelProto``.
        output: Name of the tensor.
        until: Names of tensors behind which not to look.

    Returns:
        Nodes, in the order of the graph.
    """
    needed, stop = {output}, set(until)
    found = []
    for node in reversed(model.graph.node):  # sorted topologically, as ONNX demands
        if needed.intersection(node.output):
            found.append(node)
            needed |= set(node.input) - stop
    return found[::-1]


def head_nodes(model: Any) -> list[str]:
    """Names of the nodes from the global pooling on: head, softmax, and heat map.

    They are a hundredth of the work, and where rounding shows most.

    Args:
        model: The ``onnx.ModelProto`` of a classifier.

    Returns:
        Names of nodes; those of the heat map alone if there is no global pooling.
    """
    scores, *maps = (value.name for value in model.graph.output)
    trunk = behind(model, scores)
    pooled = [node for node in trunk if node.op_type in ("GlobalAveragePool", "ReduceMean")]
    shared = {node.name for node in trunk}
    chosen = {node.name for name in maps for node in behind(model, name) if node.name not in shared}
    if pooled:
        after = set(pooled[-1].output)
        chosen.add(pooled[-1].name)
        for node in trunk:
            if after.intersection(node.input):
                chosen.add(node.name)
                after.update(node.output)
    return [node.name for node in model.graph.node if node.name in chosen]
