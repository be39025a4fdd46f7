"""The parts of a network that are quantised or kept in float32 as a whole, ranked by what they cost.

Measured one operator at a time, the error of quantisation says little: what counts is what becomes
of it at the output. So each part is quantised alone, with everything else in float32, and the
change of the logits is what it costs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .graph import WEIGHTED, Graph
from .integers import full_integer
from .measure import answers
from .ranges import Ranges

_POOLING = frozenset({"MEAN", "AVERAGE_POOL_2D"})

#: Multiplications of a convolution that take as long as reading, changing and writing a value.
_VALUE = 30

#: Units, the costliest first, that every way to choose ranges is tried for, and how much better one
#: has to be than the common one: less may be chance.
_TUNED, _BETTER = 8, 0.95

#: What going from integers to float32 and back costs, in multiplications.
_SWITCH = 5e6


@dataclass(frozen=True)
class Unit:
    """Operators that belong together: a convolution and what follows it up to the next one.

    A squeeze-and-excitation branch, from its pooling to its sigmoid, is one unit.

    Attributes:
        name: Name of a layer in it, for people.
        results: Names of the tensors that its operators give.
        work: What it costs in float32, roughly: multiplications, :data:`_VALUE` of them for each
            value that an operator gives, and :data:`_SWITCH`.
    """

    name: str
    results: tuple[str, ...]
    work: float


def cut(model: bytes) -> list[Unit]:
    """Cut a float32 network into units, in the order that they run in."""
    graph = Graph(model)
    groups: list[list[Any]] = []
    squeezed = False
    for operator in graph.operators:
        kind, shape = graph.kind(operator), graph.shape(operator.outputs[0])
        spatial = len(shape) == 4 and shape[1] * shape[2] > 1
        begins = not groups or kind == "FULLY_CONNECTED" or kind in _POOLING
        if spatial:
            begins = begins or kind in WEIGHTED or kind == "ADD" or squeezed
            squeezed = False
        if kind in _POOLING:
            squeezed = True
        if begins:
            groups.append([])
        groups[-1].append(operator)
    return [
        Unit(
            _layer(graph.result(group[0])),
            tuple(graph.result(operator) for operator in group),
            _SWITCH + sum(_work(graph, operator) for operator in group),
        )
        for group in groups
    ]


def _work(graph: Graph, operator: Any) -> float:
    values = math.prod(graph.shape(operator.outputs[0]))
    kind, each = graph.kind(operator), 0
    if kind in WEIGHTED:
        kernel = graph.shape(operator.inputs[1])
        each = math.prod(kernel[1:3] if kind == "DEPTHWISE_CONV_2D" else kernel[1:])
    return float(values * (each + _VALUE))


def _layer(result: str) -> str:
    """Name of the layer that a tensor comes from: ``net_1/block1a_bn_1/batchnorm/sub`` -> block1a_bn."""
    for part in result.split(";"):
        pieces = part.split("/")
        if len(pieces) > 1:
            return re.sub(r"_\d+$", "", pieces[1])
    return result


def noise(found: np.ndarray, exact: np.ndarray) -> float:
    """Mean squared change of the logits; what all classes have in common changes no answer.

    Args:
        found: Logits, float (n, classes).
        exact: Those of the float32 network, float (n, classes).
    """
    change = (found - exact).astype(np.float64)
    change -= change.mean(axis=1, keepdims=True)
    return float((change**2).mean())


def rank(
    model: bytes,
    candidates: Mapping[str, Ranges],
    rule: str,
    pixels: np.ndarray,
    exact: np.ndarray,
) -> tuple[list[tuple[Unit, float]], Ranges]:
    """Rank units by what quantising each of them alone does to the logits, and by its work.

    Args:
        model: The float32 network, ending in its logits.
        candidates: Ranges of all activations, by the rule that chose them.
        rule: The one that is best for all units together; the costliest units get another one where
            that is better for them.
        pixels: uint8 (n, height, width, 3), photos to measure on.
        exact: Its logits for them, float32 (n, classes).

    Returns:
        Units with their :func:`noise`, first those that cost much accuracy and little time; and the
        ranges.
    """
    units = cut(model)
    every = results_of(units)
    ranges = dict(candidates[rule])

    def alone(unit: Unit, tried: Ranges) -> float:
        return noise(answers(full_integer(model, tried, every - set(unit.results)), pixels), exact)

    costs = {unit: alone(unit, ranges) for unit in units}
    for unit in sorted(units, key=lambda unit: -costs[unit])[:_TUNED]:
        for other in candidates.values():
            cost = alone(unit, other)
            if cost < _BETTER * costs[unit]:
                costs[unit] = cost
                ranges.update({result: other[result] for result in unit.results})
    # By the error alone, large early layers come first; by error for work, many small late ones.
    # Half-way between, the same noise was reached in the least time.
    return sorted(costs.items(), key=lambda cost: -cost[1] / cost[0].work ** 0.5), ranges


def results_of(units: Iterable[Unit]) -> set[str]:
    """Names of all tensors that the operators of some units give."""
    return {result for unit in units for result in unit.results}
