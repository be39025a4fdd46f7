"""The queue in front of an output: it never holds a live loop back, and says what it lost."""

from __future__ import annotations

import logging
import threading

import pytest
from stream_results import PATIENCE, label_event, make_frame, make_result, wait_for

from edge_runtime.stream.outputs.base import Outlet, Output, StopStream, close_all
from edge_runtime.stream.results import Event, FrameResult
from edge_runtime.stream.status import Status


class Slow(Output):
    """Waits until it is told to go on."""

    name = "slow"
    capacity = 3

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.told: list[FrameResult | Event | str] = []

    def result(self, result: FrameResult) -> None:
        self.go_on.wait()
        self.told.append(result)

    def event(self, event: Event) -> None:
        self.go_on.wait()
        self.told.append(event)

    def hurry(self) -> None:
        self.told.append("hurry")
        self.go_on.set()

    def close(self) -> None:
        self.told.append("close")


def test_oldest_results_are_dropped_and_events_stay(caplog: pytest.LogCaptureFixture) -> None:
    status, output = Status("test:", "m"), Slow()
    outlet = Outlet(output, status)
    results = [make_result(frame=make_frame(number)) for number in range(10)]
    outlet.result(results[0])
    wait_for(lambda: status.snapshot()["output_queues"] == {"slow": 0})  # it works on the first
    outlet.event(event := label_event())
    with caplog.at_level(logging.WARNING, "edge_runtime"):
        for result in results[1:]:
            outlet.result(result)
    assert status.snapshot()["output_queues"] == {"slow": 3}
    assert caplog.messages == ["slow: too slow; 1 messages dropped so far."]  # once, not 7 times
    assert close_all([outlet]) == []
    assert output.told == ["hurry", results[0], event, *results[8:], "close"]
    assert status.snapshot()["output_drops"] == {"slow": 7}


def test_a_hung_output_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    status, output = Status("test:", "m"), Slow()
    monkeypatch.setattr(output, "hurry", lambda: None)
    outlets = [Outlet(output, status), Outlet(Output(), status)]
    outlets[0].result(make_result())
    assert close_all(outlets, 0.05) == ["slow"]
    output.go_on.set()


class Failing(Output):
    """Raises what it is given."""

    name = "failing"
    idle_after = 0.001

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.told, self.idled = 0, 0

    def result(self, result: FrameResult) -> None:
        self.told += 1
        raise self.error

    def idle(self) -> None:
        self.idled += 1


def test_failures_are_counted_and_told_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    status, output = Status("test:", "m"), Failing(OSError(28, "No space left on device", "x"))
    outlet = Outlet(output, status)
    with caplog.at_level(logging.WARNING, "edge_runtime"):
        for number in range(3):
            outlet.result(make_result())
            wait_for(lambda number=number: output.told == number + 1)
        outlet.close()
    assert outlet.failure is None
    assert caplog.messages == [
        "failing: x: No space left on device. Free some space or write elsewhere."
    ]
    assert status.snapshot()["output_failures"] == {"failing": 3}


@pytest.mark.parametrize("spared", [False, True])
def test_what_a_recorded_source_waits_for_may_end_it(spared: bool) -> None:
    status, output = Status("video.mp4", "m"), Failing(OSError(28, "No space left on device"))
    output.lossless, output.spared = True, spared
    outlet = Outlet(output, status, live=False)
    outlet.result(make_result())
    outlet.drain()
    assert (outlet.failure is None) == spared
    assert status.snapshot()["output_failures"] == ({"failing": 1} if spared else {})


def test_draining_ends_with_the_patience_of_the_loop() -> None:
    output = Slow()
    output.lossless, output.hurry = True, lambda: None  # type: ignore[method-assign]
    outlet = Outlet(output, Status("video.mp4", "m"), live=False)
    outlet.result(make_result())
    drained = threading.Thread(target=outlet.drain)
    drained.start()
    drained.join(0.1)
    assert drained.is_alive()
    outlet.patient = False
    drained.join(PATIENCE)
    assert not drained.is_alive() and output.told == []
    output.go_on.set()


def test_events_take_no_place_where_nobody_listens() -> None:
    class Pictures(Slow):
        event = Output.event

    output = Pictures()
    status = Status("test:", "m")
    outlet = Outlet(output, status)
    for _ in range(3):
        outlet.result(make_result())
    for _ in range(10):
        outlet.event(label_event())
    output.go_on.set()
    outlet.close()
    assert status.snapshot()["output_drops"] == {}


def test_stop_stream_ends_the_loop_and_idle_is_called() -> None:
    status, output = Status("test:", "m"), Failing(StopStream())
    outlet = Outlet(output, status)
    wait_for(lambda: output.idled > 2)
    outlet.result(make_result())
    wait_for(lambda: outlet.failure is not None)
    assert isinstance(outlet.failure, StopStream)
    outlet.close()
    assert status.snapshot()["output_failures"] == {}


def test_what_waits_for_an_output_without_pictures_is_light() -> None:
    """A thousand frames of 2 megapixels would take 6 GB."""
    output = Slow()
    output.wants_pictures = False
    outlet = Outlet(output, Status("test:", "m"))
    frame = make_frame(7, size=(1920, 1080))
    outlet.result(make_result(frame=frame))
    outlet.event(label_event())
    assert outlet.close(PATIENCE)
    result, event = (told for told in output.told if not isinstance(told, str))
    assert isinstance(result, FrameResult) and isinstance(event, Event) and event.result is not None
    assert len(result.frame.photo) == len(event.result.frame.photo) == 0
    assert (result.frame.number, result.frame.time) == (7, frame.time)
    assert frame.pixels.shape == (1080, 1920, 3)  # others still have it
