"""A feed on a real server that misbehaves: what it is, what comes through, and what is left behind."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable

import pytest
from bad_camera import PATIENCE, BadCamera, Visitor, free_port, headers, jpeg, part, wait_for
from click.testing import CliRunner
from color_model import ColorModels

from edge_runtime import Classifier
from edge_runtime.cli import cli
from edge_runtime.pipeline import Decoded
from edge_runtime.sources import http
from edge_runtime.sources.base import Frame, SourceLost, SourceSettings
from edge_runtime.sources.grammar import parse_source
from edge_runtime.stream.feed import Feed
from edge_runtime.stream.loop import classify_frames
from edge_runtime.stream.losses import Patience
from edge_runtime.stream.results import Event
from edge_runtime.stream.status import Status

RED, GREEN, BLUE = jpeg("red"), jpeg("green", (40, 30)), jpeg("blue", (16, 16))

CALM = Patience(first_wait=0.01, longest_wait=0.05, well_after=0.2, grace=PATIENCE, closing=2.0)

#: Names of the threads that a feed starts.
OURS = {"grabber", "preparer", "watchdog", "closer"}

pytestmark = pytest.mark.skipif(
    not os.path.isdir("/proc/self/fd"), reason="counts file handles in /proc"
)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking takes no longer than a test says."""
    monkeypatch.setattr(http, "_ASKING", 0.0)


class Watch:
    """A feed on a camera, and all that came of it; nothing must be left of it at the end."""

    def __init__(
        self,
        url: str,
        stall_after: float = PATIENCE,
        max_reconnects: int | None = None,
        patience: Patience | None = CALM,
    ) -> None:
        self.events: list[Event] = []
        self.seen: list[bytes] = []
        source = parse_source(url)
        self.status = Status(source.name, "")
        settings = SourceSettings(stall_after=stall_after, max_reconnects=max_reconnects)
        self.feed = Feed(
            source, settings, self._prepare, self.status, self._notify, patience=patience
        )

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.feed.close()
        assert not OURS & {thread.name for thread in threading.enumerate()}

    def until(self, condition: Callable[[], object]) -> None:
        """Take frames until something holds."""

        def holds() -> object:
            self.feed.next(0.01)
            return condition()

        wait_for(holds)

    def count(self, name: str) -> int:
        """A counter."""
        return int(self.status.snapshot().get(name, 0))

    def reasons(self) -> list[str]:
        """Why the source was lost or stalled, each time."""
        return [f"{e.data['state']}: {e.data['reason']}" for e in self.events if "reason" in e.data]

    def _prepare(self, frame: Frame) -> Decoded:
        assert isinstance(frame.photo, bytes)
        self.seen.append(frame.photo)
        return Decoded("", frame.pixels, 0.0)

    def _notify(self, event: Event) -> None:
        self.status.event(event)
        self.events.append(event)


#: More than is skipped, and no picture in it.
GARBAGE = headers() + random.Random(0).randbytes(1 << 20).replace(b"\xff", b"\0") * 33


def well(visitor: Visitor) -> None:
    """A camera as it should be, in blue."""
    visitor.stream(BLUE)


def reset(visitor: Visitor) -> None:
    visitor.send(headers() + part(RED))
    time.sleep(0.1)
    visitor.send(part(GREEN)[:90])
    time.sleep(0.1)
    visitor.reset()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda v: v.send(headers() + part(RED) + part(GREEN)[:90]), "lost: the server ended the stream in the middle of a picture."),
        (reset, "lost: the connection broke"),
        (lambda v: (v.send(headers() + part(RED)), v.stay()), "stalled: no whole picture came for 0.3 s."),
        (lambda v: (v.send(headers() + part(RED)), v.drip(part(GREEN), 0.02)), "stalled: no whole picture came"),
        (lambda v: v.drip(headers() * 9, 0.02), "stalled: no answer for 0.3 s."),
        (lambda v: v.send(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000), "lost: the headers of its answer do not end"),
        (lambda v: v.send(GARBAGE), "lost: 32 MB came"),
        (lambda v: v.send(b"HTTP/1.1 401 No\r\n\r\n"), "lost: the camera asks for a login (401)"),
        (lambda v: v.send(b"HTTP/1.1 403 No\r\n\r\n"), "lost: the camera refuses this user the picture (403)"),
        (lambda v: v.send(b"HTTP/1.1 404 No\r\n\r\n"), "lost: the camera knows no such path (404)"),
        (lambda v: (v.send(headers()), [v.send(part(RED[:-50], None)) or time.sleep(0.01) for _ in range(500)]), "stalled: no whole frame came for 0.3 s."),
        (lambda v: (v.send(headers()), [v.send(part(RED[:20] + bytes(100) + RED[120:])) or time.sleep(0.01) for _ in range(500)]), "stalled: nothing but damaged frames for 0.3 s."),
    ],
)  # fmt: skip
def test_a_fault_is_told_and_survived(fault: Callable[[Visitor], None], said: str) -> None:
    """And of the damaged picture, green, nothing is ever seen."""
    stalls = said.startswith("stalled")
    stall_after = 0.3 if stalls else PATIENCE
    with BadCamera(fault, fault, well) as camera, Watch(camera.url, stall_after) as watch:
        watch.until(lambda: BLUE in watch.seen)
        reasons = watch.reasons()
        assert sum(reason.startswith(said) for reason in reasons) >= (1 if stalls else 2), reasons
        # A busy machine may stall, too, where less than a second is the limit.
        assert len(reasons) == 2 == len(camera.requests) - 1 or stalls
        assert all(reason.startswith(said.split()[0]) for reason in reasons)
    assert set(watch.seen) - {RED, BLUE} <= {RED[:20] + bytes(100) + RED[120:]}


def test_faults_within_a_stream_cost_a_frame_each() -> None:
    """Garbage, half a JPEG, wrong lengths, another size: the connection stays."""

    def fault(visitor: Visitor) -> None:
        visitor.send(headers())
        for bad in (
            b"garbage" * 100,
            part(GREEN[:-30]),
            part(GREEN[:-30], None),
            part(GREEN[:300], len(GREEN)),
            part(GREEN, 100),
            part(GREEN, 1 << 40),
        ):
            visitor.send(bad)
            visitor.send(part(RED))
            time.sleep(0.02)
        visitor.send(part(BLUE))
        visitor.stay()

    with BadCamera(fault) as camera, Watch(camera.url) as watch:
        watch.until(lambda: BLUE in watch.seen)
        assert watch.count("corrupt") == 5 and watch.reasons() == []
    assert set(watch.seen) == {RED, BLUE}


def test_nobody_there_and_then_somebody() -> None:
    port = free_port()
    with Watch(f"http://127.0.0.1:{port}/video") as watch:
        watch.until(lambda: len(watch.reasons()) >= 3)
        assert all("Connection refused" in reason for reason in watch.reasons())
        with BadCamera(well, port=port):
            watch.until(lambda: BLUE in watch.seen)
        watch.seen.clear()
        with BadCamera(well, port=port):  # and again, after it had been away
            watch.until(lambda: BLUE in watch.seen)


def test_gone_for_good() -> None:
    with BadCamera(well) as camera, Watch(camera.url, max_reconnects=3) as watch:
        watch.until(lambda: BLUE in watch.seen)
        camera.close()
        with pytest.raises(SourceLost, match="given up after 3 attempts in a row") as error:
            watch.until(lambda: False)
    assert error.value.exit_code == 6
    assert [event.data.get("attempt") for event in watch.events][-4:] == [1, 2, 3, 3]


def test_credentials_are_in_no_event_and_no_message(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    refuse = lambda v: v.send(b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=x\r\n\r\n")  # noqa: E731
    with BadCamera(refuse) as camera:
        url = camera.url.replace("//", "//admin:s3cret@")
        with Watch(url, max_reconnects=2) as watch, pytest.raises(SourceLost) as error:
            watch.until(lambda: False)
    told = json.dumps([event.to_dict() for event in watch.events]) + str(error.value) + caplog.text
    assert "refuses user and password" in told
    assert "s3cret" not in told and "admin" not in told


def test_from_the_camera_to_the_answer(color_models: ColorModels) -> None:
    """The command on a camera that loses its connection now and then."""
    twitchy = lambda v: v.send(headers() + part(RED))  # noqa: E731
    with BadCamera(twitchy, twitchy, lambda v: v.stream(jpeg("blue"))) as camera:
        arguments = ["--model", color_models.tflite, "--source", camera.url, "--json"]
        command = ["stream", *map(str, arguments), "--max-frames", "12"]
        result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0, result.output
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    labels = [answer["label"] for answer in answers if "label" in answer]
    assert set(labels) <= {"red", "blue"} and labels[-1] == "blue"
    assert all(answer["age_ms"] >= 0 for answer in answers if "age_ms" in answer)


def test_the_library_gives_up_when_it_shall(color_models: ColorModels) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    events: list[Event] = []
    settings = SourceSettings(max_reconnects=0)
    with Classifier.open(color_models.tflite) as classifier:
        frames = classify_frames(classifier, url, source_settings=settings, notify=events.append)
        with pytest.raises(SourceLost, match=r"http://127\.0\.0\.1.*given up.*refused"):
            next(frames)
    assert "lost" in {event.data.get("state") for event in events}


def test_an_url_that_cannot_be_read(color_models: ColorModels) -> None:
    command = ["stream", "--model", str(color_models.tflite), "--source", "http://u:p#x@host/"]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 2 and "%23 for #" in result.stderr
    assert "u:p" not in result.stderr and "Traceback" not in result.stderr


def reconnect(times: int) -> None:
    """Lose the connection so often, in four ways, and count what is left behind."""
    ways = [
        lambda v: v.send(headers() + part(RED)),
        lambda v: v.send(headers() + part(RED) + part(GREEN)[:90]),
        lambda v: (v.send(headers() + part(RED)), v.reset()),
        lambda v: v.send(b"HTTP/1.1 503 No\r\n\r\n"),
    ]
    behaviours = [ways[number % 4] for number in range(times)]
    at_once = Patience(first_wait=0.0, longest_wait=0.0)
    with BadCamera(*behaviours, well) as camera:
        handles = len(os.listdir("/proc/self/fd"))
        with Watch(camera.url, patience=at_once) as watch:
            watch.until(lambda: len(watch.reasons()) > 20)
            watch.until(lambda: BLUE in watch.seen)
            ours = [thread.name for thread in threading.enumerate() if thread.name in OURS]
            assert sorted(ours) == ["grabber", "preparer", "watchdog"]
            assert len(watch.reasons()) == times
            # The feed's connection and the camera's end of it.
            wait_for(lambda: len(os.listdir("/proc/self/fd")) <= handles + 2, "handles")
        wait_for(lambda: len(os.listdir("/proc/self/fd")) <= handles + 1, "handles")
    assert GREEN not in watch.seen


def test_a_hundred_reconnects_leave_nothing_behind() -> None:
    reconnect(100)


@pytest.mark.slow
def test_a_thousand_reconnects_leave_nothing_behind() -> None:
    reconnect(1000)


@pytest.mark.slow
def test_a_stall_of_a_minute() -> None:
    """With the waits that are the default: stalled after ten seconds, well again after a minute."""
    begun = time.monotonic()

    def stalled(visitor: Visitor) -> None:
        if time.monotonic() - begun < 60:
            visitor.send(headers() + part(RED))
            visitor.stay()
        well(visitor)

    with BadCamera(stalled) as camera, Watch(camera.url, 10.0, patience=None) as watch:
        end = time.monotonic() + 180
        while BLUE not in watch.seen:
            assert time.monotonic() < end
            watch.feed.next(0.5)
        assert len(watch.reasons()) >= 3
        assert {reason.partition(":")[0] for reason in watch.reasons()} == {"stalled"}
