"""What stands at the end of a classifier's graph, and so what its scores are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

#: How a file calls its tensors: by number or by name.
Tensor = TypeVar("Tensor", int, str)

#: Meaning of the scores by the operator that makes them. Logarithms of probabilities are logits:
#: their softmax is the probabilities. After a linear layer the scores are logits.
_MEANINGS = {
    "softmax": {"SOFTMAX", "Softmax", "QLinearSoftmax"},
    "sigmoid": {"LOGISTIC", "Sigmoid", "QLinearSigmoid"},
    "logits": {
        "LOG_SOFTMAX", "FULLY_CONNECTED", "CONV_2D", "BATCH_MATMUL", "LogSoftmax", "Gemm", "MatMul",
        "Conv", "FusedGemm", "FusedMatMul", "FusedConv", "QLinearMatMul", "QLinearConv", "QGemm",
        "MatMulInteger", "DynamicQuantizeMatMul", "MatMulNBits",
    },
}  # fmt: skip

#: Operators that leave scores what they are: neither their values nor, for a batch of vectors, their
#: order changes.
PASSING = {
    "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "CAST", "QUANTIZE", "DEQUANTIZE",
    "Identity", "Reshape", "Squeeze", "Unsqueeze", "Cast", "Flatten", "Dropout",
    "QuantizeLinear", "DequantizeLinear",
}  # fmt: skip

#: A graph that goes on longer is damaged, or goes round.
_LONGEST = 64


@dataclass(frozen=True)
class Ending:
    """What the scores are, as far as the graph tells.

    Attributes:
        kind: ``softmax``, ``sigmoid`` (of each class alone) or ``logits``; None where the graph
            leaves it open.
        operator: Name of the operator that decides, or that is not known; empty for none.
    """

    kind: str | None
    operator: str


def find_ending(
    output: Tensor, maker: Callable[[Tensor], tuple[str, Iterable[Tensor]] | None]
) -> Ending:
    """Go back from an output to the operator that gives the scores their meaning.

    Args:
        output: The output.
        maker: Gives of a tensor the operator that makes it, and those of its inputs that are no
            constants; None for what no operator makes.
    """
    tensor = output
    for _ in range(_LONGEST):
        found = maker(tensor)
        if found is None:
            return Ending(None, "")
        operator, inputs = found
        for kind, operators in _MEANINGS.items():
            if operator in operators:
                return Ending(kind, operator)
        computed = list(inputs)
        # An addition is a bias where its other input is a constant.
        passes = operator in PASSING or (operator in ("Add", "ADD") and len(computed) == 1)
        if not passes or not computed:
            return Ending(None, operator)
        tensor = computed[0]
    return Ending(None, "")
