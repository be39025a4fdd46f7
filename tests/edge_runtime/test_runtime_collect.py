"""Which frames are worth labelling, and which of them are kept."""

from __future__ import annotations

import io

import numpy as np
import pytest
from collecting import answered, jpeg, scene
from PIL import Image

from edge_runtime.manifest import PreprocessSpec
from edge_runtime.postprocess import softmax
from edge_runtime.preprocess import preprocess
from edge_runtime.stream.collect.choosing import Chooser
from edge_runtime.stream.collect.fingerprint import SAME, SIZE, Remembered, fingerprint
from edge_runtime.stream.collect.reasons import WINDOW, Flicker, margin

SPEC = PreprocessSpec(64, 64)
GREY = np.full((8, 8, 3), 128, np.uint8)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_margin_is_that_of_the_calibrated_scores(temperature: float) -> None:
    logits = np.array([2.0, 1.4, -0.5])
    raw, tempered = softmax(logits), softmax(logits / temperature)
    result = answered(GREY, scores=tuple(raw), calibrated=float(tempered[0]))
    found = margin(result.prediction, temperature)
    assert found == pytest.approx(tempered[0] - tempered[1], abs=1e-12)


def test_margin_without_a_temperature_is_that_of_the_raw_scores() -> None:
    result = answered(GREY, scores=(0.5, 0.375, 0.125))
    assert margin(result.prediction, None) == 0.125


def test_margin_of_scores_that_are_zero_or_alone() -> None:
    """A quantised softmax gives exact zeros; a caller may list one class only."""
    sure = answered(GREY, scores=(1.0, 0.0, 0.0), calibrated=0.98)
    assert margin(sure.prediction, 0.5) == 0.98
    assert margin(answered(GREY, scores=(0.0, 0.0), calibrated=0.5).prediction, 0.5) == 0
    assert margin(answered(GREY, scores=(0.9,)).prediction, None) is None


def run_flicker(labels: list[int], states: list[str] | None = None, limit: int = 6) -> list[int]:
    flicker = Flicker(limit)
    states = states or ["red"] * len(labels)
    return [
        flicker.update(answered(GREY, number=n, index=label, state=state))
        for n, (label, state) in enumerate(zip(labels, states, strict=True))
    ]


def test_a_label_that_changes_often_while_the_steady_one_stands() -> None:
    found = run_flicker([0, 1] * 20)
    assert found[:6] == [0] * 6  # five changes after six frames
    assert found[6] == 6
    assert found[-1] == WINDOW - 1


def test_calm_labels_and_one_change_of_scene_are_no_flicker() -> None:
    assert not any(run_flicker([0] * 40))
    assert not any(run_flicker([0] * 20 + [1] * 20, ["red"] * 22 + ["green"] * 18))


def test_changes_while_the_steady_label_changes_are_a_new_scene() -> None:
    """The frames around one change of the steady label do not count, the next window does."""
    labels = [0] * 20 + [0, 1, 0, 1, 0, 1, 0, 1] + [1] * 25
    states = ["red"] * 26 + ["green"] * 27
    found = run_flicker(labels, states)
    assert found[25] == 0  # five changes
    assert not any(found[26:])


def test_a_steady_label_that_comes_back_is_flicker() -> None:
    states = ["red"] * 10 + ["green"] * 10 + ["red"] * 10
    found = run_flicker([0] * 30, states)
    assert [n for n, value in enumerate(found) if value] == [20]
    assert found[20] == WINDOW


def test_a_steady_label_that_comes_back_after_long_is_none() -> None:
    states = ["red"] * 10 + ["green"] * (5 * WINDOW) + ["red"] * 10
    assert not any(run_flicker([0] * len(states), states))


def test_flicker_without_smoothing() -> None:
    flicker = Flicker(3)
    found = [flicker.update(answered(GREY, index=n % 2)) for n in range(4)]
    assert found == [0, 0, 0, 3]


def test_between_two_frames_lies_the_interval() -> None:
    chooser = Chooser(10.0)
    taken = []
    for second in range(31):
        chooser.offer(answered(GREY, number=second), {"margin": 1.0})
        candidate = chooser.take(float(second))
        if candidate is not None:
            chooser.kept(candidate, float(second))
            taken.append(second)
    assert taken == [0, 10, 20, 30]


def test_a_rare_reason_is_not_crowded_out() -> None:
    """Every frame is unknown; flicker shows once in each interval, between the turns."""
    chooser = Chooser(10.0)
    kept = []
    for second in range(60):
        reasons = {"unknown": 0.5, "flicker": 6.0} if second % 10 == 5 else {"unknown": 0.5}
        chooser.offer(answered(GREY, number=second), reasons)
        candidate = chooser.take(float(second))
        if candidate is not None:
            chooser.kept(candidate, float(second))
            kept.append((candidate.reason, candidate.result.frame.number))
    reasons_kept = [reason for reason, _ in kept]
    assert reasons_kept == ["unknown", "flicker", "unknown", "flicker", "unknown", "flicker"]
    assert kept[1] == ("flicker", 5)  # held until its turn came


def test_the_strongest_frame_of_an_interval_is_held() -> None:
    chooser = Chooser(10.0)
    first = chooser
    first.offer(answered(GREY), {"margin": 0.9})
    candidate = first.take(0.0)
    assert candidate is not None
    first.kept(candidate, 0.0)
    for number, strength in enumerate([0.85, 0.99, 0.85], start=1):
        chooser.offer(answered(GREY, number=number), {"margin": strength})
    taken = chooser.take(10.0)
    assert taken is not None
    assert taken.result.frame.number == 2


def test_one_frame_is_taken_once_whatever_speaks_for_it() -> None:
    chooser = Chooser(0.0)
    chooser.offer(answered(GREY), {"unknown": 0.5, "margin": 0.9, "drift": 0.8})
    candidate = chooser.take(0.0)
    assert candidate is not None
    assert (candidate.reason, set(candidate.reasons)) == ("unknown", {"unknown", "margin", "drift"})
    assert chooser.take(0.0) is None


def test_after_frames_that_were_not_new_it_waits_a_second() -> None:
    chooser = Chooser(10.0)
    chooser.offer(answered(GREY), {"margin": 0.9})
    assert chooser.take(0.0) is not None
    chooser.passed_over(0.0)
    chooser.offer(answered(GREY), {"margin": 0.9})
    assert chooser.take(0.9) is None
    assert chooser.take(1.0) is not None


def test_a_clock_that_goes_back_stops_nothing() -> None:
    chooser = Chooser(10.0)
    chooser.offer(answered(GREY), {"margin": 0.9})
    candidate = chooser.take(1000.0)
    assert candidate is not None
    chooser.kept(candidate, 1000.0)
    chooser.offer(answered(GREY), {"margin": 0.9})
    assert chooser.take(1.0) is not None


def distance(first: np.ndarray, second: np.ndarray) -> int:
    remembered = Remembered()
    remembered.add(fingerprint(preprocess(first, SPEC)))
    return remembered.nearest(fingerprint(preprocess(second, SPEC)))


def test_a_fingerprint_outlives_noise_and_compression() -> None:
    picture = scene(0)
    noise = np.random.default_rng(1).normal(0, 8, picture.shape)
    noisy = np.clip(picture + noise, 0, 255).astype(np.uint8)
    squeezed = np.asarray(Image.open(io.BytesIO(jpeg(picture, 50))))
    assert distance(picture, noisy) <= SAME
    assert distance(picture, squeezed) <= SAME


def test_other_scenes_have_other_fingerprints() -> None:
    assert min(distance(scene(0), scene(seed)) for seed in range(1, 20)) > 2 * SAME


def test_the_same_shape_in_another_colour_is_another_picture() -> None:
    """An apple in the middle, red and green, of the same brightness."""
    apples = []
    for color in ((200, 60, 60), (60, 200, 60)):
        picture = np.full((96, 96, 3), 120, np.uint8)
        picture[24:72, 24:72] = color
        apples.append(picture)
    assert distance(*apples) > SAME


@pytest.mark.parametrize("side", [1, 2, 8, 9, 10, 33])
def test_pictures_of_any_size_have_a_fingerprint(side: int) -> None:
    assert fingerprint(np.zeros((side, side, 3), np.uint8)).shape == (SIZE,)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_runtime.stream.collect import fingerprint as module

    monkeypatch.setattr(module, "_REMEMBERED", 3)
    remembered = Remembered()
    prints = [fingerprint(scene(seed)) for seed in range(4)]
    assert remembered.nearest(prints[0]) == 8 * SIZE
    for found in prints:
        remembered.add(found)
    assert remembered.nearest(prints[0]) > SAME  # the oldest was forgotten
    assert [remembered.nearest(found) for found in prints[1:]] == [0, 0, 0]
