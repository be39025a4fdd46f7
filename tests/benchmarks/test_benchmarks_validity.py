"""Which rows are not to be trusted, and what they say of it."""

from __future__ import annotations

import pytest

from benchmarks.conditions import Span
from benchmarks.validity import Limits, disturbances, effective_share, substitutions, weaknesses

LIMITS = Limits(max_interval=5.0, max_load=5.0, cores=4)
QUIET = Span(10.0, 1.9, 0, frozenset(), 1500.0, 60.0)  # 0.19 cores; 5 % of four are 0.2


def latency(ci=(9.8, 10.2), runs=100, rounds=5, seconds=1.0):
    each = {"seconds": seconds}
    return {"p50_ms": 10.0, "p50_ci_ms": ci, "runs": runs, "rounds": [each] * rounds}


def test_quiet_machine_and_enough_samples():
    assert disturbances(QUIET, LIMITS) == []
    assert weaknesses(latency(), LIMITS) == []  # the interval is 4 % wide


def test_machine_that_tells_nothing_is_no_reason():
    assert disturbances(Span(10.0, None, None, None), LIMITS) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"other_seconds": 2.1}, "disturbed: other processes used 0.21 of 4 cores"),
        ({"swapped_bytes": 2 << 20}, "swapped: 2.1 MB in and out meanwhile"),
        (
            {"throttled": frozenset({"throttled", "frequency capped"})},
            "throttled: frequency capped, throttled, up to 60 degrees",
        ),
    ],
)
def test_disturbances(change, reason):
    (found,) = disturbances(Span(**{**QUIET.__dict__, **change}), LIMITS)
    assert found.startswith(reason)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ci": (9.7, 10.3)}, "too noisy: the interval of the median is 6.0 % wide (at most 5 %"),
        ({"ci": (1.0, 30.0)}, "too noisy: the interval of the median is wider than the median"),
        ({"rounds": 2}, "too short: 2 rounds of at least 3"),
        ({"runs": 29}, "too short: 29 inferences of at least 30"),
        ({"seconds": 0.1}, "too short: 0.50 s of at least 1 s"),
    ],
)
def test_weaknesses(change, reason):
    (found,) = weaknesses(latency(**change), LIMITS)
    assert found.startswith(reason)


def engine(asked, effective="XNNPACK (2 of 2 operators)"):
    return {"delegate": asked, "effective": effective}


ALL, NONE = ({"operators": 9, "delegated": n, "parts": bool(n)} for n in (9, 0))


@pytest.mark.parametrize(
    ("asked", "placement", "reason"),
    [
        (None, NONE, None),  # nothing was asked for
        ("xnnpack", ALL, None),
        ("none", NONE, None),
        ("gpu", None, None),  # it does not tell
        ("none", ALL, "delegate none was asked for, and XNNPACK (2 of 2 operators) ran it"),
        ("xnnpack,latest_features=true", NONE, "delegate xnnpack was asked for, and took none"),
        ("/lib/mine.so,key=value", NONE, "delegate /lib/mine.so was asked for, and took none"),
    ],
)
def test_delegate_that_was_replaced_in_silence(asked, placement, reason):
    found = substitutions(engine(asked), placement, None, None)
    assert [text.startswith(reason) for text in found] == [True] * (reason is not None)


@pytest.mark.parametrize(
    ("asked", "providers", "nodes", "reason"),
    [
        (None, ["CPUExecutionProvider"], None, None),
        ("CUDA:device_id=0", ["CUDAExecutionProvider", "CPUExecutionProvider"], None, None),
        ("cuda", ["CPUExecutionProvider"], None, "provider cuda was asked for, and CPUEx"),
        (
            "AzureExecutionProvider",
            ["AzureExecutionProvider", "CPUExecutionProvider"],
            {"CPUExecutionProvider": 12},
            "provider AzureExecutionProvider was asked for, and ran none of the operators",
        ),
        (
            "CUDA",
            ["CUDAExecutionProvider", "CPUExecutionProvider"],
            {"CUDAExecutionProvider": 10, "CPUExecutionProvider": 2},
            None,
        ),
    ],
)
def test_provider_that_was_replaced_in_silence(asked, providers, nodes, reason):
    found = substitutions(engine(asked), None, providers, nodes)
    assert [text.startswith(reason) for text in found] == [True] * (reason is not None)


def test_what_was_in_use_names_the_operators_of_each_provider():
    assert effective_share("XNNPACK", None) == "XNNPACK"
    nodes = {"CUDAExecutionProvider": 10, "CPUExecutionProvider": 2}
    told = effective_share("CUDAExecutionProvider, CPUExecutionProvider", nodes)
    assert told == "CUDAExecutionProvider (10 operators), CPUExecutionProvider (2 operators)"
