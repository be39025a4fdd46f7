"""Who runs the network: in turn with the loop, or one frame ahead of it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from color_model import COLORS, ColorModels
from stream_parts import LONG, wait_for

from edge_runtime import Classifier
from edge_runtime.errors import DataError
from edge_runtime.sources import SourceSettings, parse_source
from edge_runtime.sources.base import BadFrame, Frame, Grabbed
from edge_runtime.stream import Loop, LoopSettings
from edge_runtime.stream.answering import Answering
from edge_runtime.stream.feed import Prepared
from edge_runtime.stream.inferring import Ahead, Inferring, Inline
from edge_runtime.stream.status import Status


class FakeFeed:
    """Gives numbers, and then ends, or raises."""

    def __init__(self, count: int, failure: Exception | None = None) -> None:
        self._left = deque(range(count))
        self._failure = failure
        self.closed = threading.Event()

    def next(self, timeout: float) -> int | None:
        if self._left and not self.closed.is_set():
            return self._left.popleft()
        if self._failure is not None:
            raise self._failure
        return None

    @property
    def ended(self) -> bool:
        return not self._left

    def close(self) -> None:
        self.closed.set()


def all_of(inferring: Inferring) -> list[Any]:
    found = []
    with closing(inferring):
        while not inferring.ended:
            found.append(inferring.next(LONG))
    return [one for one in found if one is not None]


@pytest.mark.parametrize("kind", [Inline, Ahead])
def test_all_in_order_with_what_is_damaged(kind: type[Inferring]) -> None:
    def infer(number: Any) -> Any:
        if number == 3:
            raise BadFrame("half of it.")
        return number * 10

    feed: Any = FakeFeed(6)
    found: list[Any] = all_of(kind(feed, infer))
    assert isinstance(found.pop(3), BadFrame) and found == [0, 10, 20, 40, 50]
    assert feed.closed.is_set()


@pytest.mark.parametrize("kind", [Inline, Ahead])
def test_the_failure_of_a_source_comes_after_its_frames(kind: type[Inferring]) -> None:
    feed: Any = FakeFeed(2, DataError("damaged."))
    infer: Any = int
    with closing(kind(feed, infer)) as inferring:
        assert [inferring.next(LONG), inferring.next(LONG)] == [0, 1]
        with pytest.raises(DataError, match="damaged"):
            inferring.next(LONG)


def test_the_next_inference_does_not_wait_for_the_one_who_takes_the_last() -> None:
    begun: list[int] = []

    def infer(number: Any) -> Any:
        begun.append(number)
        return number

    feed: Any = FakeFeed(10)
    with closing(Ahead(feed, infer)) as inferring:
        assert inferring.next(LONG) == 0
        wait_for(lambda: len(begun) == 3, "the next two")
        assert begun == [0, 1, 2]  # one waits to be taken, one to be put: no more than that
        assert inferring.next(LONG) == 1
        wait_for(lambda: len(begun) == 4, "one more")


def test_an_inference_that_hangs_is_no_sign_of_life(
    color_models: ColorModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd's watchdog has to see it; the loop itself can still be stopped."""
    hangs, free = threading.Event(), threading.Event()

    def hung(group: Any, explain: bool = False) -> Any:
        hangs.set()
        assert free.wait(LONG)
        return infer(group, explain)

    pulses = 0

    def pulse() -> None:
        nonlocal pulses
        pulses += hangs.is_set()

    with Classifier.open(color_models.tflite, threads=1) as classifier:
        infer = classifier.infer
        monkeypatch.setattr(classifier, "infer", hung)
        source = parse_source("test:red")
        status = Status(source.name, "model")
        settings = LoopSettings(duration=1.0)
        loop = Loop(
            classifier,
            source,
            SourceSettings(),
            settings,
            None,
            [],
            status,
            pulse=pulse,
            ahead=True,
        )
        freeing = threading.Timer(1.5, free.set)
        freeing.start()
        assert list(loop.run()) == []  # after its time, though the inference has not ended
        freeing.join()
    assert hangs.is_set() and pulses == 0


@pytest.fixture
def answering(color_models: ColorModels) -> Iterator[tuple[Classifier, Answering]]:
    with Classifier.open(color_models.tflite, threads=1) as classifier:
        yield (
            classifier,
            Answering(
                classifier, "camera", 1, None, False, lambda: False, Status("camera", "model")
            ),
        )


def test_what_a_replaced_model_gave_is_inferred_anew(
    answering: tuple[Classifier, Answering], color_models: ColorModels
) -> None:
    """Its scores may be of other classes, and as many."""
    classifier, made = answering
    red = np.full((48, 64, 3), COLORS["red"], np.uint8)
    frame = Frame(Grabbed(0.0, lambda: red), 0)
    prepared = Prepared(frame, made.prepare(frame), 0.0)
    outcome = made.infer(prepared)
    assert made.answer(outcome).prediction.label == "red"
    other = Classifier.open(color_models.tflite_int8, threads=1)
    other.info = replace(other.info, class_names=("rot", "green", "blau"))
    classifier.become(other)
    again = made.answer(outcome)
    assert again.prediction.label == "rot" and again.spec is classifier.info.preprocess


def test_a_model_that_is_replaced_before_it_infers_gets_no_tensor_of_the_old_one(
    answering: tuple[Classifier, Answering],
    color_models: ColorModels,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The loop's thread may take the new one over after the other one has looked which it is."""
    classifier, made = answering
    red = np.full((48, 64, 3), COLORS["red"], np.uint8)
    frame = Frame(Grabbed(0.0, lambda: red), 0)
    prepared = Prepared(frame, made.prepare(frame), 0.0)
    infer, seen = classifier.infer, []

    def late(group: Any, explain: bool = False) -> Any:
        if not seen:
            other = Classifier.open(color_models.tflite, threads=1)
            other.info = replace(other.info, class_names=("rot", "green", "blau"))
            classifier.become(other)
        seen.append(group[0].backend)
        return infer(group, explain)

    monkeypatch.setattr(classifier, "infer", late)
    assert made.answer(made.infer(prepared)).prediction.label == "rot"
    assert len(seen) == 2 and seen[1] is classifier.backend
