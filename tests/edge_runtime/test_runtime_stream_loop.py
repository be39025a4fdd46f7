"""The loop: the newest frame, heat maps on request, failures of an inference or an output, reload."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from color_model import ColorModels
from stream_parts import ORDER, Notes, as_reader, wait_for, write_video

from edge_runtime import Classifier
from edge_runtime.errors import ModelError, SystemFailure
from edge_runtime.sources import SourceSettings, parse_source, pattern
from edge_runtime.stream import Loop, LoopSettings
from edge_runtime.stream.outputs.base import Outlet, Output, close_all
from edge_runtime.stream.reload import Reloader
from edge_runtime.stream.results import Event, FrameResult
from edge_runtime.stream.status import Status
from edge_runtime.stream.steady import Smoothing, SteadyLabel


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "colors.avi")


@pytest.fixture
def classifier(color_models: ColorModels) -> Iterator[Classifier]:
    with Classifier.open(color_models.tflite, threads=1) as opened:
        yield opened


@pytest.fixture(params=[False, True], ids=["inline", "ahead"], autouse=True)
def ahead(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Every test of the loop holds for both ways to infer."""
    monkeypatch.setattr(Run, "ahead", request.param)
    return bool(request.param)


class Run:
    """A loop with the parts around it."""

    ahead = False

    def __init__(
        self, classifier: Classifier, source: object, *outputs: Output, **more: Any
    ) -> None:
        parsed = parse_source(str(source))
        self.status = Status(parsed.name, "model")
        self.notes = Notes()
        self.outlets = [Outlet(o, self.status, parsed.live) for o in (self.notes, *outputs)]
        steady = SteadyLabel(
            more.pop("smoothing", Smoothing(window=0.1, hold=1)), classifier.info, None, parsed.live
        )
        settings = more.pop("settings", LoopSettings())
        self.loop = Loop(
            classifier,
            parsed,
            SourceSettings(),
            settings,
            steady,
            self.outlets,
            self.status,
            ahead=self.ahead,
            **more,
        )

    def all(self) -> list[FrameResult]:
        try:
            return list(self.loop.run())
        finally:
            close_all(self.outlets)


def scripted(monkeypatch: pytest.MonkeyPatch, script: Callable[[], Iterator[Any]]) -> None:
    """``test:`` gives what a generator yields."""
    monkeypatch.setattr(pattern, "open_reader", lambda *_: as_reader(script()))


def test_a_slow_inference_gets_the_newest_frame(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each inference waits until the source has given ten frames more; the next one is of now."""
    given = 0

    def script() -> Iterator[str]:
        nonlocal given
        while True:
            given += 1
            yield "red"
            time.sleep(0.001)

    scripted(monkeypatch, script)
    infer = classifier.backend.infer

    def slow(tensor: np.ndarray) -> np.ndarray:
        until = given + 10
        wait_for(lambda: given >= until)
        return infer(tensor)

    monkeypatch.setattr(classifier.backend, "infer", slow)
    run = Run(classifier, "test:", settings=LoopSettings(max_frames=5))
    before = -1
    for result in run.loop.run():
        if before >= 0:
            assert result.frame.number >= before + 8  # one is prepared, one is on its way
        before, age = result.frame.number, result.age_ms
        assert age >= 0
    close_all(run.outlets)
    assert run.status.snapshot()["dropped"] > 0


def test_frames_left_out_are_counted_and_not_prepared(
    classifier: Classifier, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = 0
    decode = classifier.decode

    def counted(*arguments: Any) -> Any:
        nonlocal prepared
        prepared += 1
        return decode(*arguments)

    monkeypatch.setattr(classifier, "decode", counted)
    run = Run(classifier, video, settings=LoopSettings(every=10))
    assert [result.frame.number for result in run.all()] == [0, 10, 20]
    assert prepared == 3 and run.status.snapshot()["skipped"] == 27


class Curious(Notes):
    """Wants heat maps of the first ten frames."""

    name = "curious"
    wants_heatmaps = True

    def result(self, result: FrameResult) -> None:
        super().result(result)
        if len(self.results) == 10:
            self.wants_heatmaps = False  # type: ignore[misc]


def test_heat_maps_only_while_somebody_wants_them(classifier: Classifier, video: Path) -> None:
    curious = Curious()
    results = Run(classifier, video, curious).all()
    explained = [result.prediction.explanation is not None for result in results]
    assert all(explained[:10]) and not explained[-1]
    assert explained == sorted(explained, reverse=True)
    assert [r.prediction.label for r in results] == [name for name in ORDER for _ in range(10)]
    first = results[0].prediction.explanation
    assert first is not None and first.label == "red"


def test_a_model_without_a_heat_map_answers_all_the_same(
    classifier: Classifier, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise ModelError("no heat map in here.")

    monkeypatch.setattr(classifier.backend, "explain", refuse)
    results = Run(classifier, video, Curious()).all()
    assert len(results) == 30 and {result.prediction.error for result in results} == {None}
    assert all(result.prediction.explanation is None for result in results)


def failing(classifier: Classifier, monkeypatch: pytest.MonkeyPatch, times: set[int]) -> None:
    """Let the inferences of these numbers fail, as an interpreter fails."""
    infer, count = classifier.backend.infer, -1

    def sometimes(tensor: np.ndarray) -> np.ndarray:
        nonlocal count
        count += 1
        if count in times:
            raise RuntimeError("delegate lost its device\nand more")
        return infer(tensor)

    monkeypatch.setattr(classifier.backend, "infer", sometimes)


def test_an_inference_that_fails_is_told_and_survived(
    classifier: Classifier, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(classifier, monkeypatch, {3, *range(10, 19)})
    run = Run(classifier, video)
    results = run.all()
    wrong = [result.frame.number for result in results if result.prediction.error]
    assert len(results) == 30 and wrong == [3, *range(10, 19)]
    told = results[3].to_dict()
    assert told["label"] is None and told["steady"]["label"] == "red"  # which still stands
    assert told["error"] == "the inference failed: RuntimeError: delegate lost its device"
    snapshot = run.status.snapshot()
    assert snapshot["inference_failures"] == 10
    assert snapshot["histograms"]["infer_ms"]["count"] == 20  # a failure took no time to be told


def test_an_inference_that_always_fails_ends_the_stream(
    classifier: Classifier, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(classifier, monkeypatch, set(range(100)))
    run = Run(classifier, video)
    with pytest.raises(ModelError, match=r"10 times in a row \(RuntimeError: delegate"):
        run.all()
    stop = run.notes.events[-1]
    assert stop.kind == "stop" and stop.data["reason"] == "error"
    assert stop.data["inference_failures"] == 10


def test_out_of_memory_is_the_systems_failure(
    classifier: Classifier, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(_: np.ndarray) -> np.ndarray:
        raise MemoryError

    monkeypatch.setattr(classifier.backend, "infer", exhausted)
    with pytest.raises(SystemFailure, match="out of memory"):
        Run(classifier, video).all()


class FullDisk(Output):
    """Fails from the fifth result on."""

    name = "full"
    lossless = True
    count = 0

    def result(self, result: FrameResult) -> None:
        self.count += 1
        if self.count >= 5:
            raise OSError(28, "No space left on device", "/somewhere/answers.csv")


def test_a_recording_ends_with_the_error_of_a_lossless_output(
    classifier: Classifier, video: Path
) -> None:
    run = Run(classifier, video, FullDisk())
    with pytest.raises(SystemFailure, match=r"answers\.csv: No space left") as caught:
        run.all()
    assert caught.value.exit_code == 6
    assert run.notes.events[-1].data["reason"] == "error"


def test_a_live_stream_goes_on_without_it(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def script() -> Iterator[str]:
        while True:
            yield "red"
            time.sleep(0.001)

    scripted(monkeypatch, script)
    run = Run(classifier, "test:", FullDisk())
    for _ in run.loop.run():
        if run.status.snapshot()["output_failures"].get("full", 0) > 3:
            run.loop.stop("enough")
    close_all(run.outlets)
    assert run.notes.events[-1].data["reason"] == "enough"


class Stuck(Output):
    """Takes the first result and never comes back."""

    name = "stuck"
    lossless = True
    capacity = 1

    def __init__(self) -> None:
        self.free = threading.Event()

    def result(self, result: FrameResult) -> None:
        self.free.wait()


def test_a_loop_that_waits_for_an_output_can_be_stopped(
    classifier: Classifier, video: Path
) -> None:
    stuck = Stuck()
    run = Run(classifier, video, stuck)
    looping = threading.Thread(target=lambda: list(run.loop.run()), daemon=True)
    looping.start()
    # One is taken, one is queued, the next one is waited with.
    wait_for(lambda: len(run.notes.results) == 3)
    assert looping.is_alive()
    run.loop.stop()
    wait_for(lambda: not looping.is_alive(), "the loop to end")
    assert close_all(run.outlets, 0.1) == ["stuck"] and run.notes.closed
    stuck.free.set()


def other_model(color_models: ColorModels) -> Classifier:
    """The same network with other names and a threshold."""
    opened = Classifier.open(color_models.tflite_int8, threads=1)
    output = replace(opened.info.output, unknown_threshold=0.25)
    opened.info = replace(opened.info, class_names=("rot", "green", "blau"), output=output)
    return opened


def reloading(
    classifier: Classifier, video: Path, open_again: Callable[[], Classifier], at: int
) -> tuple[Run, list[FrameResult]]:
    """Ask for a reload after a frame, and let the loop turn until it is done."""
    done = threading.Event()
    reloader = Reloader(open_again, done=done.set)
    run = Run(classifier, video, reloader=reloader)
    results = []
    for result in run.loop.run():
        results.append(result)
        if result.frame.number == at:
            reloader.ask()
        if at < result.frame.number < at + 8:  # the thread gets its time, the loop its turns
            wait_for(lambda: reloader._thread is None or not reloader._thread.is_alive())
    close_all(run.outlets)
    assert done.is_set()
    return run, results


def test_reload_swaps_between_two_frames(
    classifier: Classifier, color_models: ColorModels, video: Path
) -> None:
    """No frame is lost or answered by half a model, and the old model's memory is free."""
    gc.collect()
    gc.freeze()
    old = weakref.ref(classifier.backend)
    run, results = reloading(classifier, video, lambda: other_model(color_models), 4)
    assert [result.frame.number for result in results] == list(range(30))
    labels = [result.prediction.label for result in results]
    swapped = labels.index("rot")
    assert 4 < swapped < 10 and labels[:swapped] == ["red"] * swapped
    assert labels[swapped:] == ["rot"] * (10 - swapped) + ["green"] * 10 + ["blau"] * 10
    assert {result.prediction.unknown for result in results[swapped:]} == {False}
    event = next(event for event in run.notes.events if event.kind == "reload")
    assert event.data["ok"] and not event.data["same_classes"]
    assert event.data["unknown_threshold"] == 0.25 and event.data["classes"] == 3
    changes = [e.data for e in run.notes.events if e.kind == "label"]
    assert [(c["previous"], c["label"]) for c in changes] == [
        (None, "red"), ("red", "rot"), ("rot", "green"), ("green", "blau"),
    ]  # fmt: skip
    # By its reference count: a running stream does not collect cycles of what was there at its start.
    gone = old() is None
    gc.unfreeze()
    assert gone


def test_a_broken_new_model_keeps_the_old_one(classifier: Classifier, video: Path) -> None:
    backend = classifier.backend

    def broken() -> Classifier:
        raise ModelError("bundle: half copied.")

    run, results = reloading(classifier, video, broken, 4)
    assert [r.prediction.label for r in results] == [name for name in ORDER for _ in range(10)]
    event = next(event for event in run.notes.events if event.kind == "reload")
    assert event.data == {"ok": False, "error": "bundle: half copied."}
    assert classifier.backend is backend


def test_a_model_that_belongs_to_its_thread_is_not_loaded_on_another(
    classifier: Classifier, color_models: ColorModels, video: Path
) -> None:
    def open_again() -> Classifier:
        opened = other_model(color_models)
        opened.backend.any_thread = False
        return opened

    run, results = reloading(classifier, video, open_again, 4)
    assert [r.prediction.label for r in results] == [name for name in ORDER for _ in range(10)]
    event = next(event for event in run.notes.events if event.kind == "reload")
    assert not event.data["ok"] and "belongs to the thread" in event.data["error"]


def test_a_new_model_that_loads_and_cannot_infer_is_refused(
    classifier: Classifier, color_models: ColorModels, video: Path
) -> None:
    def unable() -> Classifier:
        opened = other_model(color_models)

        def fail(_: np.ndarray) -> np.ndarray:
            raise RuntimeError("op not supported")

        opened.backend.infer = fail  # type: ignore[method-assign]
        return opened

    run, results = reloading(classifier, video, unable, 4)
    assert {result.prediction.label for result in results} == set(ORDER)
    event = next(event for event in run.notes.events if event.kind == "reload")
    assert event.data == {"ok": False, "error": "RuntimeError: op not supported"}


def test_the_first_pulse_comes_after_an_answer_or_a_wait(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while a source gives nothing: waiting for it is turning."""
    begun, free = threading.Event(), threading.Event()

    def script() -> Iterator[str]:
        begun.set()
        free.wait()  # as a driver that hangs
        yield from ()

    scripted(monkeypatch, script)
    pulses = 0

    def pulse() -> None:
        nonlocal pulses
        pulses += 1
        if pulses == 3:
            run.loop.stop()
            free.set()

    run = Run(classifier, "test:", pulse=pulse)
    assert list(run.loop.run()) == [] and begun.is_set() and pulses == 3
    close_all(run.outlets)


def test_events_of_a_lost_source_forget_what_was_smoothed(classifier: Classifier) -> None:
    run = Run(classifier, "test:", smoothing=Smoothing(hold=1))
    steady = run.loop._steady
    assert steady is not None
    forgotten = []
    steady.interrupt = lambda: forgotten.append(True)  # type: ignore[method-assign]
    told = False
    for count, _ in enumerate(run.loop.run()):
        if not told:
            run.loop.tell(Event("source", {"state": "lost"}))
            told = True
        elif count == 3:
            run.loop.stop()
    close_all(run.outlets)
    assert forgotten == [True]


def test_status_counts_it_all(classifier: Classifier, video: Path) -> None:
    run = Run(classifier, video)
    assert run.status.state == "starting"
    run.all()
    found = run.status.snapshot()
    assert found["state"] == "stopped" and found["source_state"] == "ended"
    assert (found["frames"], found["results"], found["events_label"]) == (30, 30, 3)
    for name in ("infer_ms", "total_ms", "age_ms"):
        histogram = found["histograms"][name]
        assert histogram["count"] == 30 == histogram["counts"][-1]
        assert histogram["counts"] == sorted(histogram["counts"])
        assert len(histogram["le"]) == len(histogram["counts"]) and histogram["le"][-1] is None
        assert 0 < histogram["p50"] <= histogram["p95"]
    assert found["steady"]["label"] == "blue" and found["last"]["frame"] == 29
    assert found["fps"] > 0 and found["mean_fps"] > 0
