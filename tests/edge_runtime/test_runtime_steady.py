"""The label that stands: smoothing over time, hysteresis, unknown; on scores made for the purpose."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest

from edge_runtime.manifest import ModelInfo, PreprocessSpec
from edge_runtime.prediction import Prediction
from edge_runtime.sources.base import Frame
from edge_runtime.stream.results import FrameResult, Steady
from edge_runtime.stream.steady import METHODS, Smoothing, SteadyLabel

INFO = ModelInfo(("red", "green", "blue"), PreprocessSpec(8, 8))

#: Scores of an answer that is sure of one class, and of one that is sure of none.
RED, GREEN, BLUE = np.eye(3, dtype=np.float32) * 0.85 + 0.05
UNSURE = np.full(3, 1 / 3, np.float32)


@dataclass
class FakeFrame:
    """What the smoothing looks at."""

    number: int
    captured: float
    seconds: float | None = None

    @property
    def time(self) -> float:
        return 1e9 + self.captured


def answer(scores: np.ndarray, number: int, at: float, seconds: float | None = None) -> FrameResult:
    index = int(scores.argmax())
    prediction = Prediction(
        "test", INFO.class_names[index], index, float(scores[index]), scores=scores
    )
    return FrameResult(prediction, cast("Frame", FakeFrame(number, at, seconds)), 0.0)


class Stream:
    """Feeds answers at a rate and keeps what stood after each."""

    def __init__(self, threshold: float | None = None, live: bool = True, **smoothing: Any) -> None:
        self.label = SteadyLabel(Smoothing(**smoothing), INFO, threshold, live)
        self.number, self.at = 0, 100.0
        self.states: list[str | None] = []
        self.changes: list[Steady] = []

    def see(self, scores: Iterable[np.ndarray], period: float = 0.1) -> list[str | None]:
        begin = len(self.states)
        for one in scores:
            steady = self.label.update(answer(one, self.number, self.at))
            self.states.append(steady.state)
            if steady.changed:
                self.changes.append(steady)
            self.number += 1
            self.at += period
        return self.states[begin:]


@pytest.mark.parametrize("method", METHODS)
def test_one_odd_frame_changes_nothing(method: str) -> None:
    stream = Stream(method=method)
    stream.see([RED] * 10)
    assert set(stream.see([GREEN] + [RED] * 10)) == {"red"}
    assert [change.state for change in stream.changes] == ["red"]


def test_nothing_is_decided_before_hold_answers() -> None:
    stream = Stream(hold=3)
    assert stream.see([RED] * 4) == [None, None, "red", "red"]
    first = stream.changes[0]
    assert (first.previous, first.stood_s, first.frame, first.index) == (None, None, 2, 0)
    assert first.since == 1e9 + 100.2


@pytest.mark.parametrize("method", METHODS)
def test_a_new_label_takes_over_once(method: str) -> None:
    """One event, which says what stood before and for how long."""
    stream = Stream(method=method)
    stream.see([RED] * 10 + [GREEN] * 20)
    assert [change.state for change in stream.changes] == ["red", "green"]
    change = stream.changes[1]
    assert change.previous == "red"
    began, ended = stream.changes[0].frame, change.frame
    assert change.stood_s == pytest.approx((ended - began) * 0.1)
    told = change.change()
    assert told["label"] == "green" and told["previous"] == "red"
    assert told["frame"] == ended and told["stood_s"] == round((ended - began) * 0.1, 3)


def test_without_smoothing_and_hold_the_last_answer_stands() -> None:
    stream = Stream(method="none", hold=1, margin=0.0)
    assert stream.see([RED, GREEN, BLUE, RED]) == ["red", "green", "blue", "red"]


def test_hold_counts_the_same_rival_in_a_row() -> None:
    stream = Stream(method="none", hold=3, margin=0.0)
    stream.see([RED] * 3)
    assert set(stream.see([GREEN, GREEN, BLUE, GREEN, GREEN, RED, GREEN, GREEN])) == {"red"}
    assert stream.see([GREEN]) == ["green"]


def test_margin_is_of_what_two_classes_have_together() -> None:
    """0.10 against 0.05 leads by a third, although by no tenth of the whole; 0.36 against 0.34 not."""
    info_scores = {
        "leads": np.array([0.05, 0.10, 0.0], np.float32),
        "does not": np.array([0.34, 0.36, 0.30], np.float32),
    }
    for name, scores in info_scores.items():
        stream = Stream(method="none", hold=1, margin=0.1)
        stream.see([RED])
        assert stream.see([scores] * 5)[-1] == ("green" if name == "leads" else "red"), name


def test_the_majority_votes() -> None:
    """Three of five, however unsure the three are."""
    stream = Stream(method="majority", window=0.45, hold=1, margin=0.0)
    faint_green = np.array([0.30, 0.36, 0.34], np.float32)
    stream.see([RED] * 5)
    assert stream.see([faint_green] * 2)[-1] == "red"
    assert stream.see([faint_green])[-1] == "green"


def test_unknown_is_a_state_with_two_thresholds() -> None:
    """Entered under 0.6, left at 0.7 only: an answer of 0.65 changes neither."""
    between = np.array([0.65, 0.2, 0.15], np.float32)
    stream = Stream(threshold=0.6, method="none", hold=2, margin=0.1)
    stream.see([RED] * 3)
    assert set(stream.see([between] * 10)) == {"red"}
    assert stream.see([UNSURE] * 3)[-1] == "unknown"
    unknown = stream.changes[-1]
    assert unknown.unknown and unknown.label is None and unknown.index is None
    assert unknown.previous == "red" and unknown.score == pytest.approx(1 / 3, abs=1e-6)
    assert set(stream.see([between] * 10)) == {"unknown"}
    assert stream.see([RED] * 2)[-1] == "red"
    assert stream.changes[-1].previous == "unknown"


def test_unknown_can_be_left_near_one() -> None:
    """A threshold of 0.95 and a margin of 0.1 would ask for 1.05."""
    sure = np.array([0.98, 0.01, 0.01], np.float32)
    stream = Stream(threshold=0.95, method="none", hold=1, margin=0.1)
    assert stream.see([UNSURE, sure]) == ["unknown", "red"]


def test_unknown_without_a_threshold_never() -> None:
    assert "unknown" not in Stream().see([UNSURE] * 20)


def test_a_rival_that_is_unsure_makes_unknown() -> None:
    """The label that stands is gone, and what leads is under the threshold."""
    faint = np.array([0.05, 0.5, 0.45], np.float32)
    stream = Stream(threshold=0.6, method="none", hold=1)
    assert stream.see([RED, faint, GREEN]) == ["red", "unknown", "green"]


@pytest.mark.parametrize("method", ["exponential", "majority"])
def test_slow_and_fast_cameras_change_at_the_same_time(method: str) -> None:
    """At 10, 30 and 100 frames a second: within the answers that `hold` asks for and one more."""
    moments = []
    for rate in (10, 30, 100):
        stream = Stream(method=method, window=2.0, hold=1, margin=0.0)
        stream.see([RED] * (10 * rate), 1 / rate)
        turned = stream.at
        stream.see([GREEN] * (10 * rate), 1 / rate)
        moments.append(stream.changes[-1].since - 1e9 - turned)
        assert stream.changes[-1].state == "green"
    assert max(moments) - min(moments) <= 0.2  # two frames of the slowest
    # Half of the window for the vote, ln 2 of half of it for the exponential mean.
    assert moments[-1] == pytest.approx(1.0 if method == "majority" else 0.693, abs=0.05)


def test_exponential_mean_is_the_weighted_mean() -> None:
    """Against the definition: weights exp(-age/tau), tau half the window, divided by their sum."""
    rng = np.random.default_rng(0)
    scores = rng.dirichlet(np.ones(3), 40).astype(np.float32)
    times = np.cumsum(rng.uniform(0.01, 0.5, 40))
    label = SteadyLabel(Smoothing(window=1.5, hold=1, margin=0.0), INFO, None)
    for count, (one, at) in enumerate(zip(scores, times, strict=True), start=1):
        steady = label.update(answer(one, count, float(at)))
        weights = np.exp(-(at - times[:count]) / 0.75)
        expected = (weights[:, None] * scores[:count]).sum(axis=0) / weights.sum()
        index = INFO.class_names.index(cast("str", steady.label))
        assert steady.score == pytest.approx(float(expected[index]), abs=1e-6)


@pytest.mark.parametrize("method", ["exponential", "majority"])
def test_a_gap_forgets(method: str) -> None:
    """After a minute without frames, what was before weighs nothing; the label needs `hold` all the
    same."""
    stream = Stream(method=method, hold=3)
    stream.see([RED] * 30)
    stream.at += 60
    assert stream.see([GREEN] * 3) == ["red", "red", "green"]
    assert stream.changes[-1].score == pytest.approx(0.9, abs=1e-6)


@pytest.mark.parametrize("method", ["exponential", "majority"])
def test_an_interruption_forgets_but_the_label_stands(method: str) -> None:
    stream = Stream(method=method, hold=3)
    stream.see([RED] * 30)
    stream.see([GREEN] * 2)
    stream.label.interrupt()
    assert stream.see([GREEN] * 3) == ["red", "red", "green"]


@pytest.mark.parametrize("method", METHODS)
def test_a_clock_that_goes_back_is_survived(method: str) -> None:
    """A video that begins anew."""
    stream = Stream(method=method)
    stream.see([RED] * 30)
    stream.at -= 1000
    assert stream.see([GREEN] * 5)[-1] == "green"
    assert stream.changes[-1].stood_s == 0.0


def test_a_recording_has_its_own_time() -> None:
    """However fast or slowly it is read; without times, by the number of the frame."""
    outcomes = []
    for speed, timed in itertools.product((0.001, 1.0), (True, False)):
        label = SteadyLabel(Smoothing(), INFO, None, live=False)
        states = [
            label.update(answer(one, n, n * speed, n / 5 if timed else None)).state
            for n, one in enumerate([RED] * 10 + [GREEN] * 10)
        ]
        outcomes.append(states)
    assert all(states == outcomes[0] for states in outcomes)


def test_follows_a_model_with_the_classes_in_another_order() -> None:
    stream = Stream(method="none", hold=2, margin=0.0)
    stream.see([RED] * 3)
    stream.label.follow(ModelInfo(("blue", "red"), PreprocessSpec(8, 8)), 0.6)
    red_now = np.array([0.1, 0.9], np.float32)
    assert stream.see([red_now] * 3) == ["red"] * 3 and len(stream.changes) == 1
    assert stream.see([np.full(2, 0.5, np.float32)] * 2)[-1] == "unknown"  # the new threshold


def test_a_label_that_the_new_model_lacks_stands_no_longer() -> None:
    stream = Stream(method="none", hold=2, margin=0.0)
    stream.see([GREEN] * 3)
    stream.label.follow(ModelInfo(("blue", "red"), PreprocessSpec(8, 8)), None)
    red_now = np.array([0.1, 0.9], np.float32)
    assert stream.see([red_now] * 3) == [None, "red", "red"]
    assert stream.changes[-1].previous == "green"


def test_ties_go_to_the_first_class() -> None:
    stream = Stream(method="none", hold=1)
    assert stream.see([np.array([0.4, 0.4, 0.2], np.float32)]) == ["red"]
