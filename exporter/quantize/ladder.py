"""The ladder: from the fastest way of quantising to the safest, until one loses little enough.

1. full int8: as TensorFlow's converter makes it, with the smallest and largest activations; with
   ranges that keep the error small (:mod:`.ranges`); and with reconstructed weights
   (:mod:`.reconstruct`). On the device these three cost the same, so of those that hold the one
   that changes the logits least is taken;
2. the last of them with the most sensitive units in float32 (:mod:`.units`), as few as needed;
3. int8 weights alone;
4. float16 weights.

Every rung is judged on photos that calibration did not see (:mod:`.judge`). Nothing depends on the
time that something took, so that the same run always gives the same file.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from edge_runtime.errors import ModelError

from ..photos import batches
from . import ranges as ranging
from .graph import Graph, without_softmax
from .integers import full_integer, set_io, weights_only
from .judge import CONFIDENCE, Verdict, judge
from .measure import Interpreter, answers
from .ranges import Ranges
from .reconstruct import reconstruct
from .units import Unit, cut, noise, rank, results_of

_log = logging.getLogger("exporter")

#: Photos that ways to choose ranges are compared on, and that units are ranked on.
_QUICK = 24

#: Units that are tried in float32 first; between the last that fails and the first that holds, the
#: smallest number that holds is looked for.
_COUNTS = (2, 4, 6, 8, 10, 12, 16, 24, 32)

#: With more of the network's work than this in float32, a mixed file is hardly faster than float32.
_MOST_WORK = 0.5


@dataclass(frozen=True)
class Photos:
    """What the ladder works with.

    Attributes:
        calibration: uint8 (n, height, width, 3), training photos that it may look at.
        judging: uint8 (m, height, width, 3), others.
        labels: True class indices of ``judging``, int (m,).
        validation: How many of ``judging``, the first ones, are validation photos; the others are
            training photos.
    """

    calibration: np.ndarray
    judging: np.ndarray
    labels: np.ndarray
    validation: int


@dataclass(frozen=True)
class Rule:
    """When a rung holds."""

    max_drop: float = 0.005  #: largest share of the accuracy that may be lost
    min_agreement: float = 0.99  #: smallest share of photos with the same answer

    def to_dict(self, photos: Photos) -> dict[str, Any]:
        """The JSON object of the report, with what the rule is applied to."""
        return {
            "max_drop": self.max_drop,
            "min_agreement": self.min_agreement,
            "confidence": CONFIDENCE,
            "n": len(photos.labels),
            "n_validation": photos.validation,
            "n_training": len(photos.labels) - photos.validation,
            "text": (
                f"On the {photos.validation} validation photos, and on {len(photos.labels)} photos "
                "with the training photos that calibration did not see, the drop is at most "
                f"{100 * self.max_drop:g} points and the agreement at least "
                f"{self.min_agreement:.1%}; so are the {CONFIDENCE:.0%} upper bound of the expected "
                "drop, and the agreement that the margins of the validation photos let expect."
            ),
        }


@dataclass(frozen=True)
class Chosen:
    """What the ladder ends with.

    Attributes:
        model: The TFLite flatbuffer.
        quantization: Its scheme under its true name.
        recipe: The rung and its settings, and the rule.
        trail: Every rung that was tried, with its figures.
    """

    model: bytes
    quantization: str
    recipe: dict[str, Any]
    trail: list[dict[str, Any]]


@dataclass(frozen=True)
class _Rung:
    name: str
    model: bytes  #: with the input and output that were asked for
    scheme: str  #: what is quantised and how
    recipe: dict[str, Any]


class Ladder:
    """One network on its way down to integers."""

    def __init__(
        self, float32: bytes, photos: Photos, rule: Rule, int8_io: str, logits: bool = False
    ) -> None:
        """Look at the network.

        Args:
            float32: The TFLite file to quantise.
            photos: To calibrate with, and to judge on.
            rule: When a rung holds.
            int8_io: dtype of input and output: ``uint8``, ``int8`` or ``float32``.
            logits: Whether the network ends in its logits, not in probabilities.
        """
        self._float32, self._photos, self._rule = float32, photos, rule
        self._int8_io, self._logits = int8_io, logits
        self._bare = without_softmax(float32)
        self._exact = answers(self._bare, photos.judging)
        self._quick = photos.calibration[:_QUICK]
        self._quick_exact = answers(self._bare, self._quick)
        self._trail: list[dict[str, Any]] = []

    def climb(self, plain: Callable[[], bytes], float16: Callable[[], bytes]) -> Chosen:
        """Try rung after rung.

        Args:
            plain: Makes full int8 in the usual way.
            float16: Makes the file with float16 weights.

        Raises:
            ModelError: Not even the last rung holds.
        """
        held = (
            self._best_of(
                lambda: _Rung("full int8, min-max", plain(), _full("min-max"), {}),
                lambda: self._mixed("full int8, chosen ranges", self._float32, 0),
                lambda: self._reconstructed(0),
            )
            or self._fewest_in_float()
            or self._try(
                _Rung(
                    "weight-only int8",
                    self._with_io(weights_only(self._float32, "tflite-int8")),
                    "weight-only int8: weights per-channel behind DEQUANTIZE, float32 arithmetic",
                    {},
                )
            )
            or self._try(
                _Rung(
                    "float16 weights",
                    self._with_io(float16()),
                    "float16 weights, float32 arithmetic",
                    {},
                )
            )
        )
        if held is None:
            raise ModelError(
                "tflite-int8: no way of quantising holds --max-drop "
                f"{100 * self._rule.max_drop:g}, not even float16 weights. Allow a larger drop, or "
                "leave tflite-int8 out."
            )
        for entry in self._trail:
            entry["chosen"] = entry["rung"] == held.name
        recipe = {"rung": held.name, **held.recipe, "rule": self._rule.to_dict(self._photos)}
        quantization = f"{held.scheme}; {self._int8_io} input and output"
        return Chosen(held.model, quantization, recipe, self._trail)

    @cached_property
    def _candidates(self) -> dict[str, Ranges]:
        """Ranges of all activations by every rule."""
        seen = ranging.histograms(self._float32, self._photos.calibration)
        return {rule: ranging.choose(self._float32, seen, rule) for rule in ranging.RULES}

    @cached_property
    def _rule_of_ranges(self) -> str:
        """The rule whose ranges change the logits least."""

        def cost(rule: str) -> float:
            quantized = full_integer(self._bare, self._candidates[rule])
            return noise(answers(quantized, self._quick), self._quick_exact)

        return min(ranging.RULES, key=cost)

    @cached_property
    def _ranked(self) -> tuple[list[Unit], Ranges]:
        """Units in the order that they go to float32 in, and the ranges."""
        _log.info("tflite-int8     looking for the layers that quantising hurts most")
        costs, ranges = rank(
            self._bare, self._candidates, self._rule_of_ranges, self._quick, self._quick_exact
        )
        return [unit for unit, cost in costs if cost > 0], ranges

    def _best_of(self, *rungs: Callable[[], _Rung]) -> _Rung | None:
        """Of the rungs that hold, the one that changes the logits least."""
        best, least = None, float("inf")
        for make in rungs:
            rung = make()
            if self._try(rung) is not None and self._trail[-1]["noise"] < least:
                best, least = rung, self._trail[-1]["noise"]
        return best

    def _fewest_in_float(self) -> _Rung | None:
        """The rung with the fewest units in float32 that holds; None if too many would have to."""
        ranking, all_work = self._ranked[0], sum(unit.work for unit in cut(self._bare))
        failed, found, held = 0, 0, None
        for count in _COUNTS:
            work = sum(unit.work for unit in ranking[:count])
            if count >= len(ranking) or work > _MOST_WORK * all_work:
                return None
            held = self._try(self._reconstructed(count))
            if held is not None:
                found = count
                break
            failed = count
        while held is not None and found - failed > 1:
            count = (found + failed) // 2
            fewer = self._try(self._reconstructed(count))
            if fewer is None:
                failed = count
            else:
                found, held = count, fewer
        return held

    def _reconstructed(self, count: int) -> _Rung:
        ranking, ranges = self._ranked
        float_results = results_of(ranking[:count])
        model = reconstruct(
            self._float32,
            lambda model: full_integer(model, ranges, float_results),
            self._photos.calibration,
        )
        name = "full int8, chosen ranges, reconstructed weights"
        if count:
            name = f"int8, reconstructed weights, {count} unit{'s' * (count > 1)} in float32"
        return self._mixed(name, model, count, reconstructed=True)

    def _mixed(self, name: str, model: bytes, count: int, reconstructed: bool = False) -> _Rung:
        ranking, ranges = self._ranked
        units = ranking[:count]
        names = [unit.name for unit in units]
        quantized = full_integer(model, ranges, results_of(units))
        scheme = _full("chosen ranges" + ", reconstructed weights" * reconstructed)
        if units:
            scheme = (
                "int8 weights per-channel and activations per-tensor, reconstructed weights; "
                f"float32: {', '.join(names)}"
            )
        return _Rung(
            name,
            self._with_io(quantized),
            scheme,
            {"ranges": self._rule_of_ranges, "reconstructed": reconstructed, "float32": names},
        )

    def _with_io(self, model: bytes) -> bytes:
        ends = None
        if self._logits:
            graph = Graph(self._float32)
            ends = self._ranked[1][graph.name(graph.output)]
        return set_io(model, self._int8_io, ends)

    def _try(self, rung: _Rung) -> _Rung | None:
        """Judge a rung and note it; gives it back if it holds."""
        verdict = self._judge(rung.model)
        reasons = verdict.failures(self._rule.max_drop, self._rule.min_agreement)
        milliseconds = self._milliseconds(rung.model)
        _log.info(
            "tflite-int8     %s: drop %.2f points, agreement %.1f %%, %.1f ms: %s",
            rung.name,
            100 * verdict.drop,
            100 * verdict.agreement,
            milliseconds,
            "; ".join(reasons) or "holds",
        )
        self._trail.append(
            {
                "rung": rung.name,
                **verdict.to_dict(),
                "bytes": len(rung.model),
                "ms": round(milliseconds, 3),
                "chosen": False,
                "reason": "; ".join(reasons) or "holds",
            }
        )
        return rung if not reasons else None

    def _judge(self, model: bytes) -> Verdict:
        found = answers(without_softmax(model), self._photos.judging)
        return judge(self._exact, found, self._photos.labels, self._photos.validation)

    def _milliseconds(self, model: bytes) -> float:
        network = Interpreter(model)
        return network.milliseconds(next(batches(self._quick, network.batch))[0])


def _full(how: str) -> str:
    return f"full integer int8, weights per-channel, activations per-tensor, {how}"
