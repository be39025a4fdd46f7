"""The preview of a stream: pictures, facts, limits, and its end."""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from preview_server import Running, connect, parts, plain, read_all, running, warm
from stream_results import PATIENCE, label_event, make_frame, make_result, wait_for

from edge_runtime.errors import ModelError
from edge_runtime.stream.preview import pictures
from edge_runtime.stream.preview.facts import happening, state
from edge_runtime.stream.preview.hub import HISTORY, MAX_VIEWERS
from edge_runtime.stream.preview.output import PreviewSettings
from edge_runtime.stream.results import Event, FrameResult
from edge_runtime.stream.status import Status
from edge_runtime.web.protocol import Limits


def picture_of(jpeg: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(jpeg))
    image.load()  # raises for one that is not whole
    assert image.format == "JPEG"
    return image


@contextlib.contextmanager
def looking(preview: Running, query: str = "") -> Iterator[Iterator[bytes]]:
    """The pictures that a client gets."""
    with httpx.stream("GET", f"{preview.url}picture.mjpg{query}", timeout=PATIENCE) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("multipart/x-mixed-replace")
        yield parts(answer.iter_raw())


def events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    """Server-sent events as (kind, data)."""
    kind = ""
    for line in lines:
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield kind, json.loads(line.removeprefix("data: "))


def test_pictures_are_whole_and_new() -> None:
    with running(settings=PreviewSettings(fps=60)) as preview:
        preview.give_on(lambda n: plain(n, (64 + n % 2, 48)))
        with looking(preview) as found:
            sizes = {picture_of(next(found)).size for _ in range(6)}
    assert sizes == {(64, 48), (65, 48)}, "six pictures in a row are of more than one frame"


def test_nothing_is_encoded_while_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """And once for all who do."""
    made = []
    real = pictures.annotated
    monkeypatch.setattr(
        pictures, "annotated", lambda r, h: made.append(r.frame.number) or real(r, h)
    )
    with running(settings=PreviewSettings(fps=60)) as preview:
        for number in range(5):
            preview.give(plain(number))
        assert not preview.preview.wants_results
        assert made == []
        preview.give_on(plain)
        with looking(preview) as one, looking(preview) as two:
            for _ in range(5):
                next(one), next(two)
        assert len(made) == len(set(made)), "a frame was encoded twice"
        wait_for(lambda: not preview.preview.wants_results)


def test_rate_is_capped() -> None:
    """At 2 a second, ten results in a row are not ten pictures."""
    with running(settings=PreviewSettings(fps=2)) as preview, looking(preview) as found:
        wait_for(lambda: preview.preview.wants_results)
        preview.give(plain(0))
        first = next(found)
        assert not preview.preview.wants_results, "the next one is due half a second later"
        wait_for(lambda: preview.preview.wants_results)
        preview.give(plain(1, (32, 32)))
        second = next(found)
        assert picture_of(first).size != picture_of(second).size
        # Results that are not due are not dropped by the output: they never reach its queue.
        assert preview.status.snapshot()["output_drops"] == {}


def test_big_frames_are_shrunk_before_they_are_drawn_on() -> None:
    result = make_result(frame=make_frame(3, (640, 480)))
    smaller = pictures.shrunk(result, 160)
    assert smaller.frame.pixels.shape == (120, 160, 3)
    assert (smaller.frame.number, smaller.frame.captured) == (3, result.frame.captured)
    assert pictures.shrunk(result, 640) is result
    found = pictures.encode(result, 160, {False})
    assert picture_of(found[False]).size == (160, 120)


def test_heat_map_is_for_who_wants_it() -> None:
    """Two encodings at most; the loop is asked for heat maps only while somebody wants one."""
    with running(settings=PreviewSettings(fps=60)) as preview:
        preview.give_on(lambda n: warm(n) if preview.preview.wants_heatmaps else plain(n))
        with looking(preview) as cold:
            next(cold)
            assert not preview.preview.wants_heatmaps
            with looking(preview, "?heatmap=1") as hot:
                wait_for(lambda: preview.preview.wants_heatmaps)
                # A red frame; the hot corner of its map is not red any more.
                wait_for(lambda: np.asarray(picture_of(next(hot)))[2, 2, 1] > 60)
                assert np.asarray(picture_of(next(cold)))[2, 2, 1] < 60
            wait_for(lambda: not preview.preview.wants_heatmaps)


def test_model_without_heat_map() -> None:
    """It is tried once, and never asked of the loop."""
    tried = []

    def refuse() -> None:
        tried.append(1)
        raise ModelError("this model has no heat map.")

    with running(try_heatmap=refuse) as preview:
        answer = httpx.get(f"{preview.url}heatmap").json()
        assert answer == {"possible": False, "why": "this model has no heat map."}
        for path in ("picture.mjpg", "picture.jpg"):
            refused = httpx.get(f"{preview.url}{path}?heatmap=1")
            assert (refused.status_code, refused.text) == (409, "this model has no heat map.\n")
        assert tried == [1]
        assert not preview.preview.wants_heatmaps
        preview.outlet.event(Event("reload", {"ok": True}))
        wait_for(lambda: httpx.get(f"{preview.url}heatmap").json() and len(tried) == 2)


def test_one_picture() -> None:
    with running(settings=PreviewSettings(fps=60)) as preview:
        preview.give_on(plain)
        answer = httpx.get(f"{preview.url}picture.jpg", timeout=PATIENCE)
        assert answer.headers["content-type"] == "image/jpeg"
        assert picture_of(answer.content).size == (64, 48)
        assert httpx.get(f"{preview.url}picture.jpg?heatmap=maybe").status_code == 422


def test_facts_and_history() -> None:
    with running() as preview:
        preview.outlet.event(Event("source", {"state": "open"}))
        preview.status.event(Event("source", {"state": "open"}))
        preview.give(make_result("red", 0.75))
        lost = {"state": "lost", "reason": "refused.", "attempt": 2, "retry_in_s": 60.0}
        with httpx.stream("GET", f"{preview.url}events?viewer=me", timeout=PATIENCE) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            found = events(answer.iter_lines())
            kind, data = next(found)
            assert kind == "history"
            assert [line["text"] for line in data] == ["open"]
            assert next(found) == ("picture", False)
            kind, data = next(found)
            assert kind == "state"
            assert data["label"]["text"] == "red"
            assert data["label"]["score"] == 0.75
            assert data["model"] == "colors.tflite", "not where it lies"
            assert data["numbers"]["results"] == 1
            preview.outlet.event(label_event("blue"))
            data = next(data for kind, data in found if kind == "happened")
            assert (data["kind"], data["text"], data["score"]) == ("label", "blue", 0.9)
            with looking(preview, "?viewer=me"):
                assert next(data for kind, data in found if kind == "picture") is True
            assert next(data for kind, data in found if kind == "picture") is False
            preview.status.event(Event("source", lost))
            preview.outlet.event(Event("source", lost))
            data = next(data for kind, data in found if kind == "happened")
            assert data["text"] == "lost: refused, attempt 2, retry in 60.0 s"
            source = next(d for k, d in found if k == "state" and d["source"]["state"] == "lost")[
                "source"
            ]
            assert (source["reason"], source["attempt"]) == ("refused.", 2)
            assert 0 <= source["retry_s"] <= 60
        # Who comes back gets the history whole, and no line twice.
        with httpx.stream("GET", f"{preview.url}events", timeout=PATIENCE) as answer:
            texts = [line["text"] for line in next(events(answer.iter_lines()))[1]]
            assert texts == ["open", "blue", "lost: refused, attempt 2, retry in 60.0 s"]
        assert httpx.get(f"{preview.url}state").json()["source"]["state"] == "lost"


def test_history_is_bounded() -> None:
    with running() as preview:
        for number in range(HISTORY + 5):
            preview.preview.event(label_event(f"label {number}"))
        with httpx.stream("GET", f"{preview.url}events", timeout=PATIENCE) as answer:
            data = next(events(answer.iter_lines()))[1]
    assert [line["text"] for line in data] == [f"label {n}" for n in range(5, HISTORY + 5)]


def test_history_of_a_source_that_is_lost_for_long() -> None:
    """One line, which tells of the last attempt; labels stay in sight."""

    def lost(attempt: int) -> Event:
        data = {"state": "lost", "reason": "refused.", "attempt": attempt, "retry_in_s": 1.2345}
        return Event("source", data)

    with running() as preview:
        preview.preview.event(label_event("blue"))
        for attempt in (1, 2):
            preview.preview.event(lost(attempt))
        with httpx.stream("GET", f"{preview.url}events", timeout=PATIENCE) as answer:
            found = events(answer.iter_lines())
            before = next(found)[1]
            texts = [line["text"] for line in before]
            assert texts == ["blue", "lost: refused, attempt 2, retry in 1.2 s"]
            preview.preview.event(lost(3))
            line = next(data for kind, data in found if kind == "happened")
            assert line["place"] == before[-1]["place"], "it takes the place of the one before"
            preview.preview.event(Event("source", {"state": "open"}))
            line = next(data for kind, data in found if kind == "happened")
            assert line["place"] != before[-1]["place"]


def test_states_of_the_label() -> None:
    status = Status("test:", "model")
    assert state(status.snapshot(), 0)["label"]["state"] == "none"
    status.result(make_result("red", unknown=True))
    assert state(status.snapshot(), 0)["label"] | {"since": None} == {
        "text": "unknown", "state": "unknown", "score": 0.9, "since": None,
    }  # fmt: skip
    status.result(make_result("red", steady=False))
    assert state(status.snapshot(), 0)["label"]["text"] == "red"
    long = happening(Event("source", {"state": "lost", "reason": "x" * 9999}))
    assert len(long["text"]) == 300, "a page stays small whatever a server says"


def test_page_and_assets() -> None:
    with running() as preview:
        page = httpx.get(preview.url)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        # Behind a proxy the page may lie anywhere: no address of it begins with a slash.
        for name in ("page.css", "page.js", "icon.svg"):
            assert f'"assets/{name}"' in page.text
            found = httpx.get(f"{preview.url}assets/{name}")
            assert found.status_code == 200
            tag = {"if-none-match": found.headers["etag"]}
            assert httpx.get(f"{preview.url}assets/{name}", headers=tag).status_code == 304
        assert "http" not in page.text, "nothing from elsewhere"
        assert 'href="/' not in page.text
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        for name in ("../../pages.css", "..%2fapp.py", "nothing.js"):
            assert httpx.get(f"{preview.url}assets/{name}").status_code == 404
        assert httpx.head(preview.url).status_code == 200
        missing = httpx.get(f"{preview.url}openapi.json")
        assert missing.status_code == 404
        assert missing.headers["x-content-type-options"] == "nosniff"


def test_too_many_viewers() -> None:
    """One more than 32 gets 503, of pictures and of facts; a place that is free is taken again."""
    with running() as preview, contextlib.ExitStack() as stack:
        for path in ("picture.mjpg", "events"):
            clients = [
                stack.enter_context(connect(preview.port, f"GET /{path} HTTP/1.1"))
                for _ in range(MAX_VIEWERS)
            ]
            for client in clients:
                assert client.recv(64).startswith(b"HTTP/1.1 200")
            refused = httpx.get(f"{preview.url}{path}")
            assert refused.status_code == 503
            assert refused.headers["retry-after"] == "5"
            clients[0].close()

            def again(path: str = path) -> bool:
                with connect(preview.port, f"GET /{path} HTTP/1.1") as client:
                    return client.recv(64).startswith(b"HTTP/1.1 200")

            wait_for(again)


def test_slow_client_holds_nobody_up() -> None:
    """It takes nothing; the other one gets its pictures, and it is cut off in the end."""
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)  # 300 kB as JPEG

    def noisy(number: int) -> FrameResult:
        result = make_result(frame=make_frame(number, (640, 480)))
        result.frame.pixels[:] = np.roll(noise, number, axis=0)
        return result

    limits = Limits(stall_s=1.0)
    with running(settings=PreviewSettings(fps=60), limits=limits, send_buffer=1 << 16) as preview:
        preview.give_on(noisy)
        with connect(preview.port, "GET /picture.mjpg HTTP/1.1", 4096) as slow:
            with looking(preview) as fast:
                for _ in range(20):
                    assert len(next(fast)) > 100_000
            wait_for(lambda: httpx.get(f"{preview.url}state").json()["viewers"] == 0)
            got = len(read_all(slow))
        # The kernel's buffers, uvicorn's 64 kB and one picture: not the seconds of pictures meanwhile.
        assert got < 2_000_000


def test_request_that_trickles_in_is_cut_off() -> None:
    with running(limits=Limits(request_s=1.0)) as preview, socket.socket() as client:
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", preview.port))
        client.sendall(b"GET / HTTP/1.1\r\nhost: ")
        assert read_all(client) == b""


def test_too_many_connections() -> None:
    with running(limits=Limits(connections=3)) as preview, contextlib.ExitStack() as stack:
        idle = [
            stack.enter_context(socket.create_connection(("127.0.0.1", preview.port)))
            for _ in range(3)
        ]
        with socket.create_connection(("127.0.0.1", preview.port), PATIENCE) as client:
            assert read_all(client).startswith(b"HTTP/1.1 503")
        idle[0].close()

        def let_in() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(preview.url, timeout=PATIENCE).status_code == 200
            return False

        wait_for(let_in)


def test_end_leaves_nothing() -> None:
    """Neither threads nor sockets, with viewers of every kind that do not go by themselves."""
    threads, files = set(threading.enumerate()), len(os.listdir("/proc/self/fd"))
    with contextlib.ExitStack() as stack:
        with running() as preview:
            preview.give_on(plain)
            clients = [
                stack.enter_context(connect(preview.port, f"GET /{path} HTTP/1.1", 4096))
                for path in ("picture.mjpg", "picture.mjpg?heatmap=1", "events", "", "picture.jpg")
            ]
            for client in clients:
                assert client.recv(16).startswith(b"HTTP/1.1 200")
        for client in clients:
            read_all(client)  # to its end
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", preview.port), 1).close()
    wait_for(lambda: not [t for t in set(threading.enumerate()) - threads if t.is_alive()])
    wait_for(lambda: len(os.listdir("/proc/self/fd")) <= files)
