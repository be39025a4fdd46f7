"""A source that is lost is opened again, as often and as calmly as was asked for."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from dataclasses import replace

import pytest
from bad_camera import PATIENCE, wait_for
from fake_sources import (
    CALM,
    FILE,
    HASTY,
    Bench,
    FakeReader,
    fail,
    give,
    opens,
    picture,
    refuses,
    stall,
    tick,
    ticks,
)

from edge_runtime.errors import (
    DataError,
    MissingComponent,
    SystemFailure,
    UsageError,
)
from edge_runtime.sources.base import BadFrame, Grabbed, SourceLost, SourceSettings, SourceStalled
from edge_runtime.stream.backoff import Backoff, Pacer
from edge_runtime.stream.feed import Feed, Prepared
from edge_runtime.stream.losses import Losses
from edge_runtime.stream.status import Status

LOST = SourceLost("the cable is out.")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Fake sources in place of the real ones."""
    return Bench(monkeypatch)


def take(feed: Feed) -> Prepared:
    """The next frame."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        prepared = feed.next(0.5)
        if prepared is not None:
            return prepared
        assert not feed.ended
    pytest.fail("no frame came")


def take_for_ever(feed: Feed) -> None:
    """Until it fails."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        feed.next(0.5)


def test_backoff_doubles_up_to_a_limit_and_is_evenly_random() -> None:
    random.seed(1)
    backoff = Backoff(0.5, 30.0)
    rounds = []
    for _ in range(400):
        rounds.append([backoff.next() for _ in range(10)])
        assert backoff.attempts == 10
        backoff.reset()
    for place, limit in enumerate((0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30)):
        waits = [waits[place] for waits in rounds]
        # Evenly from 0: of 400, the largest is within 5 %, and the mean within 15 %, of what it is.
        assert 0.95 * limit < max(waits) <= limit and min(waits) < 0.05 * limit
        assert abs(sum(waits) / 400 - limit / 2) < 0.15 * limit
    for _ in range(5000):
        assert backoff.next() <= 30.0  # no overflow after a year without a camera


def test_messages_become_rare() -> None:
    pacer = Pacer()
    said = [now for now in range(3600) if pacer.held_back(now) is not None]
    assert said[:5] == [0, 2, 6, 14, 30] and len(said) < 16
    assert pacer.held_back(3600) is None
    assert pacer.held_back(3600 + 599) == 3600 - said[-1]
    assert pacer.held_back(10_000) == 0 and pacer.held_back(10_002) == 0  # it had been quiet


def test_a_lost_source_is_opened_again(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    openings = [opens(give(1), fail(LOST)), refuses(LOST), refuses(ConnectionError("no")), ticks()]
    with bench.feed(openings) as feed:
        wait_for(lambda: bench.count("frames") > 5, "frames")
        take(feed)
    told = bench.told("lost")
    assert [data["attempt"] for data in told] == [1, 2, 3]
    assert [data["reason"] for data in told] == ["the cable is out."] * 2 + ["no."]
    assert all(0 <= float(str(data["retry_in_s"])) <= 0.05 for data in told)
    assert len(bench.told("open")) == 2 and bench.count("reconnects") == 1
    assert [reader.closed for reader in bench.opened] == [1, 2]  # by the feed's close, too
    said = [record.getMessage() for record in caplog.records]
    assert said[0].startswith(
        "camera: lost: the cable is out. Opening it again in 0.0 s (attempt 1"
    )
    assert said[1].startswith("camera: gives frames again after 0 s (attempt 3)")
    assert len(said) == 2


def test_the_very_first_opening_is_repeated_too(bench: Bench) -> None:
    """A camera box boots before its network does."""
    with bench.feed([refuses(LOST), refuses(SourceStalled("no answer.")), ticks()]) as feed:
        take(feed)
    assert len(bench.told("lost")) == 1 and len(bench.told("stalled")) == 1
    assert bench.count("reconnects") == 0 and bench.count("stalls") == 1


@pytest.mark.parametrize(
    "error", [UsageError("x"), DataError("x"), MissingComponent("x"), TypeError("x")]
)
def test_errors_that_never_mend(bench: Bench, error: Exception) -> None:
    with bench.feed([refuses(error)]) as feed, pytest.raises(type(error), match="x"):
        take(feed)
    assert bench.events == []


@pytest.mark.parametrize(
    "error", [OSError("x"), SystemFailure("x"), ValueError("x"), KeyError("x")]
)
def test_errors_that_a_running_source_survives(bench: Bench, error: Exception) -> None:
    with bench.feed([opens(give(), fail(error)), ticks()]) as feed:
        wait_for(lambda: bench.count("frames") > 5, "frames")
        take(feed)
    assert "x" in str(bench.told("lost")[0]["reason"])


def test_a_live_source_that_ends_is_lost(bench: Bench) -> None:
    with bench.feed([opens(give(), lambda *_: None), ticks()]) as feed:
        wait_for(lambda: bench.count("frames") > 5, "frames")
        take(feed)
    assert bench.told("lost")[0]["reason"] == "the stream ended."


def test_a_file_that_is_lost_is_not_begun_again(bench: Bench) -> None:
    with bench.feed([opens(give(), fail(LOST))], FILE) as feed:
        take(feed)
        with pytest.raises(SourceLost):
            take(feed)
    assert len(bench.opened) == 1 and bench.told("lost") == []


@pytest.mark.parametrize("most", [0, 3])
def test_a_cap_of_attempts(bench: Bench, most: int) -> None:
    settings = SourceSettings(max_reconnects=most)
    with bench.feed([refuses(LOST)], settings=settings) as feed:
        with pytest.raises(
            SourceLost, match=f"camera: given up after {most} attempts .* cable is"
        ) as error:
            take_for_ever(feed)
        with pytest.raises(SourceLost):
            feed.next(0)
    assert error.value.exit_code == 6
    told = bench.told("lost")
    assert len(told) == most + 1 and told[-1]["retry_in_s"] is None


def test_attempts_count_in_a_row_only(bench: Bench) -> None:
    """A source that was well for a while begins anew; one that only twitches does not."""
    losses = Losses("camera", 2, CALM, Status("", ""), lambda _: None)
    losses.add(LOST)
    losses.gave_frame(0.1, damaged=False)
    losses.add(LOST)
    losses.gave_frame(CALM.well_after + 0.1, damaged=True)
    with pytest.raises(SourceLost):
        losses.add(LOST)
    losses.gave_frame(CALM.well_after + 0.1, damaged=False)
    losses.add(LOST)


def test_a_silent_source_is_stalled(bench: Bench) -> None:
    with bench.feed([opens(give(), stall), opens(), ticks()]) as feed:
        wait_for(lambda: bench.count("frames") > 5, "frames")
        take(feed)
    assert len(bench.told("stalled")) == 2 and bench.count("stalls") == 2
    assert bench.told("lost") == []


def test_a_slow_source_is_not_stalled(bench: Bench) -> None:
    """Of a camera that gives a frame in five minutes, a quarter of an hour is the limit, not 20 s."""
    limits = []

    def slow(_: FakeReader, timeout: float) -> Grabbed:
        limits.append(timeout)
        return Grabbed(time.monotonic(), picture)

    with bench.feed([opens(slow, fps=1 / 300)]) as feed:
        take(feed)
    assert 800 < limits[0] <= 900


@pytest.mark.parametrize("where", ["reader", "decoder"])
def test_nothing_but_damaged_frames_is_a_stall(bench: Bench, where: str) -> None:
    def damaged(reader: FakeReader, _: float) -> Grabbed:
        def data() -> bytes:
            raise BadFrame("half a JPEG.")

        reader.closing.wait(0.005)
        if where == "reader":
            data()
        return Grabbed(time.monotonic(), data)

    settings = SourceSettings(stall_after=0.3)
    with bench.feed([opens(*[damaged] * 10_000), ticks()], settings=settings) as feed:
        wait_for(lambda: len(bench.opened) >= 2, "another opening")
        take(feed)
    expected = "no whole frame came" if where == "reader" else "nothing but damaged frames"
    assert expected in str(bench.told("stalled")[0]["reason"]) and bench.count("corrupt") > 2


def test_damaged_frames_among_whole_ones_are_no_stall(bench: Bench) -> None:
    def mixed():  # type: ignore[no-untyped-def]
        for act in tick(0.005):
            yield act
            yield fail(BadFrame("half a JPEG."))

    with bench.feed([lambda: FakeReader(mixed())]) as feed:
        wait_for(lambda: bench.count("corrupt") > 100, "damaged frames")
        take(feed)
        assert not feed._keeper._damage.present
    assert len(bench.opened) == 1 and bench.count("stalls") == 0


def test_a_reader_that_hangs_is_left_behind(bench: Bench) -> None:
    """Its late frame is not used, and it is closed when it comes back at last."""
    release = threading.Event()

    def hang(*_: object) -> Grabbed:
        release.wait()
        return Grabbed(time.monotonic(), lambda: picture(99))

    settings = SourceSettings(stall_after=0.3)
    with bench.feed([opens(give(1), hang), ticks()], settings=settings, patience=HASTY) as feed:
        wait_for(lambda: bench.count("frames") > 5, "frames")
        hung = bench.opened[0]
        assert hung.closed >= 1  # from outside
        assert bench.count("abandoned") >= 1
        frames = bench.count("frames")
        release.set()
        wait_for(lambda: hung.closed >= 2, "the thread that was left behind")
        wait_for(lambda: bench.count("frames") > frames + 5, "frames")
        assert take(feed).frame.pixels[0, 0, 0] == 0
    assert "does not come back, its thread hangs" in str(bench.told("stalled")[0]["reason"])


@pytest.mark.parametrize("where", ["open", "connect", "close"])
def test_a_driver_that_hangs_elsewhere(bench: Bench, where: str) -> None:
    release = threading.Event()
    before = threading.active_count()

    class Hanging(FakeReader):
        def connect(self) -> None:
            if where == "connect":
                release.wait()

        def close(self) -> None:
            super().close()
            if where == "close":
                release.wait()

    def opening() -> FakeReader:
        if where == "open":
            release.wait()
        return Hanging(iter([give(), fail(LOST)]))

    patience = replace(HASTY, closing=0.2)
    with bench.feed([opening, ticks()], patience=patience) as feed:
        wait_for(lambda: bench.count("frames") > 5, "frames")
        take(feed)
        release.set()
    wait_for(lambda: threading.active_count() == before, "the threads that were left behind")
    assert bench.count("abandoned") >= 1
    assert all(reader.closed for reader in bench.opened)


def test_too_many_hung_readers_end_it(bench: Bench) -> None:
    """Each holds memory and perhaps the device; only a new process gets rid of them."""
    release = threading.Event()

    def opening() -> FakeReader:
        release.wait()
        return FakeReader(iter(()))

    patience = replace(HASTY, opening=0.05, grace=0.05, closing=0.1, max_hung=3)
    with bench.feed([opening], patience=patience) as feed:
        with pytest.raises(SourceLost, match="3 threads hang in its driver"):
            take_for_ever(feed)
        release.set()
    assert bench.count("abandoned") == 3


def test_closing_ends_every_wait(bench: Bench) -> None:
    patience = replace(CALM, first_wait=1000, longest_wait=1000)
    random.seed(3)  # of which the first wait is some minutes
    before = threading.active_count()
    silent = lambda reader, timeout: reader.closing.wait(timeout) and fail(LOST)()  # noqa: E731
    for openings in ([refuses(LOST)], [opens(silent)], [opens(give(), silent)]):
        settings = SourceSettings(stall_after=PATIENCE)
        feed = bench.feed(openings, settings=settings, patience=patience)
        time.sleep(0.1)
        begun = time.monotonic()
        feed.close()
        assert time.monotonic() - begun < PATIENCE / 4
        wait_for(lambda: threading.active_count() <= before, "its threads to end")


def test_closing_with_a_hung_reader_takes_its_time_and_no_more(bench: Bench) -> None:
    release = threading.Event()

    class Deaf(FakeReader):
        def read(self, timeout: float) -> Grabbed | None:
            release.wait()
            return None

    settings = SourceSettings(stall_after=PATIENCE)
    before = threading.active_count()
    feed = bench.feed([lambda: Deaf(iter(()))], settings=settings)
    wait_for(lambda: bench.told("open"), "the opening")
    feed.close()
    assert threading.active_count() == before + 1  # a daemon
    release.set()
    wait_for(lambda: threading.active_count() == before, "the thread that was left behind")


def test_a_clock_that_jumps_changes_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    jumps = iter(range(0, 10**9, 86_400))
    monkeypatch.setattr(time, "time", lambda: float(next(jumps)))
    with bench.feed([ticks()]) as feed:
        wait_for(lambda: bench.count("frames") > 60, "frames")
        ages = [-take(feed).frame.captured + time.monotonic() for _ in range(5)]
    assert bench.count("stalls") == 0 and len(bench.opened) == 1
    assert all(0 <= age < PATIENCE for age in ages)


def open_files() -> int:
    """File handles of this process."""
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_reconnects_leave_nothing_behind(bench: Bench) -> None:
    class Holding(FakeReader):
        def __init__(self, acts):  # type: ignore[no-untyped-def]
            super().__init__(acts)
            self.file = open(os.devnull)  # noqa: SIM115 - closed by close()

        def close(self) -> None:
            super().close()
            self.file.close()

    def opening() -> FakeReader:
        return Holding(iter([give(), fail(LOST)]))

    patience = replace(CALM, first_wait=0.0, longest_wait=0.0)
    threads, files = threading.active_count(), open_files()
    with bench.feed([opening], patience=patience) as feed:
        wait_for(lambda: bench.count("reconnects") >= 300, "reconnects")
        # One that was just lost may still be closing.
        wait_for(lambda: threading.active_count() == threads + 3, "three threads")
        wait_for(lambda: open_files() <= files + 1, "one file")
        take(feed)
    assert threading.active_count() == threads and open_files() == files
