"""Which precision a training uses: what a few steps of it show."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.config.schema import Config
from trainer.training import precision
from trainer.training.precision import Trial, choose_policy, disagreement, wanted_policy

PLAIN = Trial(np.array([[0.0, 2.0], [1.0, -2.0]], np.float32), [0.9, 0.8], 0.010)


def mixed(difference: float = 0.0, losses: tuple[float, ...] = (0.9, 0.8), seconds: float = 0.005):
    return Trial(PLAIN.logits + np.float32(difference), list(losses), seconds)


@pytest.fixture(autouse=True)
def one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "gpus", lambda: ["a GPU"])


@pytest.mark.parametrize(
    ("given", "policy"),
    [
        ("off", "float32"),
        ("auto", "mixed_float16"),
        ("on", "mixed_float16"),
        ("float16", "mixed_float16"),
        ("bfloat16", "mixed_bfloat16"),
    ],
)
def test_what_is_asked_for(given: str, policy: str, monkeypatch) -> None:
    config = Config(mixed_precision=given)
    assert wanted_policy(config) == policy
    monkeypatch.setattr(precision, "gpus", list)
    assert wanted_policy(config) == ("float32" if given == "auto" else policy)


@pytest.mark.parametrize(
    ("trial", "reason"),
    [
        (mixed(), None),
        (mixed(0.1), None),  # of a spread of 4: 2.5 %
        (mixed(0.3), "logits differ"),
        (mixed(losses=(0.9, float("nan"))), "not a number"),
        (mixed(float("inf")), "not a number"),
    ],
)
def test_what_disagrees(trial: Trial, reason: str | None) -> None:
    found = disagreement(PLAIN, trial, tolerance=0.05)
    assert (found is None) if reason is None else (reason in str(found))


@pytest.mark.parametrize(
    ("given", "trial", "policy", "said"),
    [
        ("auto", mixed(), "mixed_float16", "5 ms a step in place of 10"),
        ("auto", mixed(seconds=0.02), "float32", "20 ms with it and 10 ms without"),
        ("auto", mixed(1.0), "float32", "logits differ by 1"),
        ("on", mixed(seconds=0.02), "mixed_float16", "20 ms a step"),  # asked for, so slow is fine
        ("on", mixed(losses=(float("nan"),)), "float32", "not a number"),
        ("bfloat16", mixed(0.3), "mixed_bfloat16", "mixed_bfloat16"),  # 8 bits: more is allowed
    ],
)
def test_the_choice(given: str, trial: Trial, policy: str, said: str, caplog) -> None:
    tried = []

    def attempt(name: str, size: int) -> Trial:
        assert size == 32
        tried.append(name)
        return PLAIN if name == "float32" else trial

    with caplog.at_level("INFO", "trainer"):
        assert choose_policy(Config(mixed_precision=given), attempt) == policy
    assert len(tried) == 2
    assert said in caplog.text


def test_off_tries_nothing() -> None:
    assert (
        choose_policy(Config(mixed_precision="off"), lambda *_: pytest.fail("tried")) == "float32"
    )
