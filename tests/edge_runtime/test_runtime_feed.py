"""A feed gives the newest frame of a camera, every one of a file, and never an old or a made-up one."""

from __future__ import annotations

import threading
import time

import pytest
from bad_camera import PATIENCE, wait_for
from fake_sources import FILE, Bench, fail, give, opens, picture, ticks

from edge_runtime.errors import DataError, UsageError
from edge_runtime.pipeline import Decoded
from edge_runtime.sources.base import BadFrame, Frame, Grabbed, Source, SourceSettings
from edge_runtime.stream.feed import Feed, Prepared
from edge_runtime.stream.results import Event
from edge_runtime.stream.status import Status


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


def take_all(feed: Feed) -> list[int]:
    """The numbers of all frames of a file."""
    numbers = []
    while True:
        prepared = feed.next(0.5)
        if prepared is not None:
            numbers.append(prepared.frame.number)
        elif feed.ended:
            return numbers


def test_a_file_gives_every_frame_in_order(bench: Bench) -> None:
    acts = [give(n, n, n / 10) for n in range(40)]
    with bench.feed([opens(*acts, lambda *_: None)], FILE) as feed:
        values = []
        for number in range(40):
            prepared = take(feed)
            assert (prepared.frame.number, prepared.frame.seconds) == (number, number / 10)
            values.append(int(prepared.frame.pixels[0, 0, 0]))
        assert values == list(range(40))
        assert feed.next(PATIENCE) is None and feed.ended
    assert bench.told("ended") == [{"state": "ended", "frames": 40}]
    assert bench.count("frames") == 40 and bench.count("dropped") == 0
    assert bench.opened[0].closed == 1


def test_a_file_is_read_only_a_little_ahead(bench: Bench) -> None:
    """A film of two hours does not fit into memory, and a reader holds three frames."""
    kept: list[int] = []

    def lazily(number: int):  # type: ignore[no-untyped-def]
        def data():  # type: ignore[no-untyped-def]
            kept.remove(number)
            return picture(number)

        def act(*_: object) -> Grabbed:
            kept.append(number)
            assert len(kept) <= 3
            return Grabbed(time.monotonic(), data, number)

        return act

    with bench.feed([opens(*(lazily(n) for n in range(60)), lambda *_: None)], FILE) as feed:
        wait_for(lambda: bench.count("frames") == 6, "what is read ahead")
        time.sleep(0.1)
        assert bench.count("frames") == 6  # three prepared, one in hand, two grabbed
        assert take_all(feed) == list(range(60))


def test_a_live_source_gives_the_newest(bench: Bench) -> None:
    with bench.feed([ticks(0.005)]) as feed:
        last = -1
        for _ in range(5):
            before = bench.count("frames")
            wait_for(lambda before=before: bench.count("frames") >= before + 10, "frames")
            known = bench.count("frames")
            wait_for(lambda known=known: bench.prepared[-1] >= known - 1, "preparing")
            prepared = take(feed)
            assert prepared.frame.number >= known - 1 > last
            last = prepared.frame.number
        assert feed.live
    assert bench.count("dropped") >= 30 and bench.count("corrupt") == 0


def test_inference_never_waits_for_decoding(bench: Bench) -> None:
    """While one frame is in the classifier the next is made ready, and made anew."""
    with bench.feed([ticks(0.005)]) as feed:
        take(feed)
        made = len(bench.prepared)
        wait_for(lambda: len(bench.prepared) > made + 3, "preparing ahead")
        prepared = feed.next(0.0)  # no waiting at all
        assert prepared is not None


def test_what_a_reader_leaves_out_is_counted(bench: Bench) -> None:
    """A reader that goes on to the newest says so by the index."""
    with bench.feed([opens(give(0, 0), give(1, 9), fail(BadFrame("x")), give(1, 11))]) as feed:
        wait_for(lambda: bench.count("frames") == 12, "frames")
        while take(feed).frame.number != 11:
            pass
    assert bench.count("dropped") >= 9  # 8 between 0 and 9, and the damaged one


def test_numbers_go_on_over_a_reconnect(bench: Bench) -> None:
    lost = fail(OSError("cable"))
    with bench.feed([opens(give(0, 0), give(0, 1), lost), opens(give(0, 0), give(0, 1))]) as feed:
        wait_for(lambda: bench.count("frames") == 4, "frames")
        while take(feed).frame.number != 3:
            pass
    assert bench.count("reconnects") == 1


def test_every_of_a_file_decodes_only_those(bench: Bench) -> None:
    acts = [give(n, n) for n in range(20)]
    with bench.feed([opens(*acts, lambda *_: None)], FILE, every=7) as feed:
        assert take_all(feed) == [0, 7, 14]
    assert bench.prepared == [0, 7, 14] and bench.count("skipped") == 17


def test_every_of_a_camera_decodes_only_those(bench: Bench) -> None:
    """Also where its numbers have gaps, none of them divisible by N."""
    acts = [give(n, n) for n in range(1, 40, 2)]
    with bench.feed([opens(*acts)], every=10) as feed:
        wait_for(lambda: bench.count("frames") == 40, "frames")
        take(feed)
    assert set(bench.prepared) <= {1, 11, 21, 31} and bench.count("skipped") == 16


def test_max_fps_of_a_camera_decodes_only_what_is_due(bench: Bench) -> None:
    with bench.feed([ticks(0.002)], max_fps=5) as feed:
        begun = time.monotonic()
        frames = [take(feed).frame for _ in range(4)]
        spent = time.monotonic() - begun
        ages = [time.monotonic() - frames[-1].captured]
    assert spent >= 0.6  # three intervals of 0.2 s
    assert ages[0] < 0.6  # the newest of that moment, not the first of the interval
    # Some five hundred frames came; the margin of preparing in time costs a few of them.
    assert len(bench.prepared) < bench.count("frames") / 2
    assert bench.count("skipped") > bench.count("dropped")


def test_max_fps_of_a_file_drops_nothing(bench: Bench) -> None:
    acts = [give(n, n) for n in range(5)]
    with bench.feed([opens(*acts, lambda *_: None)], FILE, max_fps=20) as feed:
        begun = time.monotonic()
        assert take_all(feed) == list(range(5))
        assert time.monotonic() - begun >= 0.2


def test_realtime_plays_a_file_at_its_own_speed(bench: Bench) -> None:
    acts = [give(n, n, n / 20) for n in range(11)]
    settings = SourceSettings(realtime=True)
    begun = time.monotonic()
    with bench.feed([opens(*acts, lambda *_: None)], FILE, settings) as feed:
        frames = [take(feed).frame]
        bench.hold.clear()  # a slow moment: what comes meanwhile is dropped as of a camera
        wait_for(lambda: bench.count("frames") >= 6, "frames")
        bench.hold.set()
        while frames[-1].number < 10:
            frames.append(take(feed).frame)
        assert time.monotonic() - begun >= 0.5
        assert frames[-1].captured - begun >= 0.5  # as if a camera had given it then
        assert feed.next(PATIENCE) is None and feed.ended
    assert bench.count("dropped") >= 1 and len(frames) < 11
    assert bench.told("lost") == []


def test_realtime_by_the_rate_of_the_source(bench: Bench) -> None:
    acts = [give(n) for n in range(6)]
    settings = SourceSettings(realtime=True)
    begun = time.monotonic()
    with bench.feed([opens(*acts, lambda *_: None, fps=20)], FILE, settings) as feed:
        while take(feed).frame.number < 5:
            pass
        assert time.monotonic() - begun >= 0.25


def test_a_frame_that_nobody_asked_for_in_time_is_not_used(bench: Bench) -> None:
    """The source fell silent while the model was still being loaded."""
    late = threading.Event()

    def wait(*_: object) -> Grabbed:
        late.wait()
        return Grabbed(time.monotonic(), lambda: picture(2))

    settings = SourceSettings(stall_after=PATIENCE)
    with bench.feed([opens(give(1), wait)], settings=settings) as feed:
        wait_for(lambda: bench.prepared, "the first frame")
        time.sleep(1.2)  # more than the second that a frame may wait
        assert feed.next(0.05) is None
        late.set()
        prepared = take(feed)
    assert prepared.frame.number == 1 and prepared.frame.pixels[0, 0, 0] == 2
    assert bench.count("dropped") == 1


def test_damaged_frames_are_left_out(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    def damaged(*_: object) -> Grabbed:
        def data() -> bytes:
            raise BadFrame("half of it is missing.")

        return Grabbed(time.monotonic(), data, 1)

    def strange(*_: object) -> Grabbed:
        return Grabbed(time.monotonic(), lambda: b"\xff\xd8\xff nonsense", 3)

    bad = fail(BadFrame("cut off."))
    acts = (give(0, 0), damaged, give(2, 2), strange, give(4, 4), bad, give(5, 5), lambda *_: None)
    with bench.feed([opens(*acts)], FILE) as feed:
        assert take_all(feed) == [0, 2, 4, 5]
    assert bench.count("corrupt") == 3
    # One message, not one a frame.
    said = [r.getMessage() for r in caplog.records if "damaged frame is left out" in r.getMessage()]
    assert len(said) == 1


@pytest.mark.parametrize(
    ("acts", "said"),
    [
        ((lambda *_: None,), "holds no readable frame"),
        ((lambda *_: Grabbed(0.0, lambda: b"no"), lambda *_: None), "none of its frames can be"),
        ((give(0), fail(DataError("file: damaged."))), "file: damaged"),
    ],
)
def test_a_file_that_cannot_be_read(bench: Bench, acts: tuple, said: str) -> None:  # type: ignore[type-arg]
    with bench.feed([opens(*acts)], FILE) as feed, pytest.raises(DataError, match=said):
        take_all(feed)
    assert len(bench.opened) == 1  # opening it again would not help


def test_changed_size_and_turned_frames(bench: Bench) -> None:
    def wide(*_: object) -> Grabbed:
        return Grabbed(time.monotonic(), lambda: picture(1, (4, 6)), 1)

    settings = SourceSettings(rotate=90)
    acts = (give(0, 0), wide, lambda *_: None)
    with bench.feed([opens(*acts)], FILE, settings) as feed:
        assert [take(feed).frame.pixels.shape for _ in range(2)] == [(8, 8, 3), (6, 4, 3)]


def test_an_error_of_preparing_ends_it(bench: Bench) -> None:
    def prepare(frame: Frame) -> Decoded:
        raise UsageError("the region is empty.")

    feed = bench.feed([ticks()])
    feed._prepare = prepare
    with feed, pytest.raises(UsageError, match="region"):
        while True:
            take(feed)


def test_it_is_closed_at_once_and_twice(bench: Bench) -> None:
    before = threading.active_count()
    feed = bench.feed([ticks()])
    take(feed)
    feed.close()
    feed.close()
    assert feed.ended and feed.next(0) is None
    assert threading.active_count() == before
    assert bench.opened[0].closed


def test_closing_while_a_file_waits_for_the_loop(bench: Bench) -> None:
    before = threading.active_count()
    feed = bench.feed([opens(*(give(n, n) for n in range(100)))], FILE)
    wait_for(lambda: bench.count("frames") == 6, "what is read ahead")
    feed.close()
    assert threading.active_count() == before


def test_the_real_pattern() -> None:
    """The source ``test:`` through all of it."""
    events: list[Event] = []
    status = Status("test:", "")
    source = Source("pattern", "red", "test:red", live=True)
    with Feed(
        source,
        SourceSettings(),
        lambda frame: Decoded("", frame.pixels, 0.0),
        status,
        events.append,
    ) as feed:
        prepared = take(feed)
    assert prepared.frame.pixels[0, 0].tolist() == [255, 0, 0]
    assert events[0].data == {"state": "open"}
