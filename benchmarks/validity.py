"""Whether a figure may be trusted, and if not, why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .conditions import Span
from .result import Engine, Latency
from .statistics import width

#: Bytes swapped in and out over a row's rounds that nobody feels: some pages of idle programs.
SWAPPED = 1 << 20

#: Below these the percentiles and the interval of a row mean nothing.
LEAST_ROUNDS = 3
LEAST_RUNS = 30
LEAST_SECONDS = 1.0


@dataclass(frozen=True)
class Limits:
    """What a row has to hold to be valid."""

    max_interval: float = 5.0  #: width of the median's interval, percent of the median
    max_load: float = 5.0  #: other processes' CPU time, percent of all the machine's cores
    cores: int = 1  #: that the machine has


def disturbances(span: Span, limits: Limits) -> list[str]:
    """What the machine did to a measurement.

    Args:
        span: The time of the measurement, all rounds together.
        limits: What is allowed.
    """
    reasons = []
    if span.throttled:
        heat = "" if span.temperature_c is None else f", up to {span.temperature_c:.0f} degrees"
        reasons.append(f"throttled: {', '.join(sorted(span.throttled))}{heat}")
    if span.swapped_bytes is not None and span.swapped_bytes > SWAPPED:
        reasons.append(f"swapped: {span.swapped_bytes / 1e6:.1f} MB in and out meanwhile")
    load = span.other_load
    if load is not None and load > limits.max_load / 100 * limits.cores:
        reasons.append(
            f"disturbed: other processes used {load:.2f} of {limits.cores} cores "
            f"(at most {limits.max_load:g} % is allowed)"
        )
    return reasons


def weaknesses(latency: Latency, limits: Limits) -> list[str]:
    """What is wrong with the samples of a row."""
    reasons = []
    rounds, runs = len(latency["rounds"]), latency["runs"]
    seconds = sum(each["seconds"] for each in latency["rounds"])
    short = []
    if rounds < LEAST_ROUNDS:
        short.append(f"{rounds} rounds of at least {LEAST_ROUNDS}")
    if runs < LEAST_RUNS:
        short.append(f"{runs} inferences of at least {LEAST_RUNS}")
    if seconds < LEAST_SECONDS:
        short.append(f"{seconds:.2f} s of at least {LEAST_SECONDS:g} s")
    if short:
        reasons.append(f"too short: {', '.join(short)}")
    spread = 100 * width(latency["p50_ci_ms"], latency["p50_ms"])
    if spread > limits.max_interval:
        told = f"{spread:.1f} % wide" if spread <= 100 else "wider than the median itself"
        reasons.append(
            f"too noisy: the interval of the median is {told} "
            f"(at most {limits.max_interval:g} % was asked for)"
        )
    return reasons


def substitutions(
    engine: Engine,
    placement: Mapping[str, int] | None,
    providers: list[str] | None,
    nodes: Mapping[str, int] | None,
) -> list[str]:
    """What ran in place of the interpreter, delegate or provider that was asked for.

    Args:
        engine: Of the row; ``delegate`` as it was asked for.
        placement: Of a .tflite file, see :func:`edge_runtime.backends.delegates.placement`.
        providers: Of onnxruntime's session.
        nodes: How many operators each provider ran; None where nobody counted.
    """
    asked = engine["delegate"]
    if asked is None:
        return []
    if providers is not None:
        return _provider_substitutions(asked, providers, nodes)
    if placement is None:
        return []
    name = asked.partition(",")[0]
    if name == "none":
        if placement["delegated"]:
            return [f"delegate none was asked for, and {engine['effective']} ran it"]
        return []
    if not placement["delegated"]:
        return [f"delegate {name} was asked for, and took none of the operators"]
    return []


def _provider_substitutions(
    asked: str, providers: list[str], nodes: Mapping[str, int] | None
) -> list[str]:
    wanted = asked.partition(":")[0].lower().removesuffix("executionprovider")
    matching = [p for p in providers if p.lower().removesuffix("executionprovider") == wanted]
    if not matching:
        return [f"provider {asked} was asked for, and {', '.join(providers)} ran it"]
    if nodes and not nodes.get(matching[0]):
        others = ", ".join(f"{name} {count}" for name, count in nodes.items())
        return [f"provider {asked} was asked for, and ran none of the operators ({others})"]
    return []


def effective_share(told: str | None, nodes: Mapping[str, Any] | None) -> str | None:
    """What was really in use, with the operators of each provider where they were counted."""
    if not nodes:
        return told
    return ", ".join(f"{name} ({count} operators)" for name, count in nodes.items())
