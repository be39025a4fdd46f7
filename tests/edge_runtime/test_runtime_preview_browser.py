"""The preview's page in a real browser: what people see, with mouse and keyboard, and after a restart.

``--basetemp`` keeps the screenshots; ``EDGE_CLASSIFY_AXE`` may name an ``axe.min.js`` (npm's axe-core),
with which the page is checked for accessibility, too.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from devtools import Browser, Page, check_accessibility, chromium
from preview_server import TOKEN, Running, plain, running, warm
from stream_results import label_event, make_result

from edge_runtime.stream.preview.output import PreviewSettings
from edge_runtime.stream.results import Event, FrameResult

pytestmark = pytest.mark.slow

SEEN = "!document.getElementById('picture').hidden"
FAST = PreviewSettings(fps=30)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(chromium(), tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture
def preview() -> Iterator[Running]:
    with running(settings=FAST) as started:
        tell(started, {"state": "open"})
        yield started


def tell(preview: Running, data: dict[str, object]) -> None:
    """A "source" event, as the loop tells it."""
    preview.status.event(Event("source", data))
    preview.outlet.event(Event("source", data))


def either(preview: Running, number: int) -> FrameResult:
    return warm(number) if preview.preview.wants_heatmaps else plain(number)


def pixel(page: Page, x: float, y: float) -> list[int]:
    """Red, green and blue of the picture that the page shows now, at a share of its size."""
    found: list[int] = page.evaluate(
        "(() => { const p = document.getElementById('picture'), c = document.createElement('canvas');"
        "c.width = p.naturalWidth; c.height = p.naturalHeight; const d = c.getContext('2d');"
        f"d.drawImage(p, 0, 0); return [...d.getImageData({x} * c.width, {y} * c.height, 1, 1).data];"
        " })()"
    )
    return found[:3]


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844), (360, 740)])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_what_is_seen(
    browser: Browser, preview: Running, tmp_path: Path, width: int, height: int, dark: bool
) -> None:
    preview.give_on(plain)
    preview.outlet.event(label_event("red"))
    page = browser.open(preview.url, width, height, dark)
    page.wait(SEEN)
    page.wait("document.getElementById('label').textContent === 'red'")
    page.wait("document.querySelectorAll('#history li').length === 2")
    assert page.text("link-text") == "Connected"
    shares = page.evaluate(
        "[...document.querySelectorAll('#scores .share')].map((e) => e.textContent)"
    )
    assert shares == ["90.0 %", "10.0 %"]
    bars = page.evaluate(
        "[...document.querySelectorAll('#scores .bar span')].map((e) => e.style.width)"
    )
    assert [round(float(bar.rstrip("%"))) for bar in bars] == [90, 10]
    red = pixel(page, 0.5, 0.2)
    assert red[0] > 200
    assert max(red[1:]) < 60
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(20, 23, 27)") == dark
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
        "wider than the screen"
    )
    page.screenshot(tmp_path / "page.png")
    check_accessibility(page)
    assert page.complaints == []
    assert page.hosts == {preview.url.rstrip("/")}, "something was asked for elsewhere"


def test_unknown_and_lost(browser: Browser, preview: Running, tmp_path: Path) -> None:
    page = browser.open(preview.url)
    preview.give(make_result("red", 0.2, unknown=True))
    page.wait("document.getElementById('label').textContent === 'unknown'")
    assert page.evaluate("document.getElementById('label').className") == "unknown"
    preview.give_on(lambda n: make_result("red", 0.2, frame=plain(n).frame, unknown=True))
    page.wait(SEEN)
    page.screenshot(tmp_path / "unknown.png")
    tell(
        preview,
        {"state": "lost", "reason": "connection refused.", "attempt": 3, "retry_in_s": 90.0},
    )
    page.wait("document.getElementById('link-text').textContent === 'Lost'")
    assert "(attempt 3)" in page.text("link-more")
    assert page.text("link-why") == "connection refused."
    for attempt in (4, 5):
        again = {
            "state": "lost",
            "reason": "connection refused.",
            "attempt": attempt,
            "retry_in_s": 90.0,
        }
        tell(preview, again)
    page.wait("document.getElementById('link-more').textContent.includes('(attempt 5)')")
    page.wait("document.querySelectorAll('#history li').length === 2")
    assert "attempt 5" in page.text("history")
    assert page.evaluate("document.getElementById('frame').className") == "stale"
    assert page.text("nothing") == "Lost"
    check_accessibility(page)
    page.screenshot(tmp_path / "lost.png")
    tell(preview, {"state": "open"})
    page.wait("document.getElementById('link-text').textContent === 'Connected'")
    page.wait("document.getElementById('frame').className === ''")
    assert page.complaints == []


def test_heat_map_and_pause_with_the_keyboard(
    browser: Browser, preview: Running, tmp_path: Path
) -> None:
    preview.give_on(lambda n: either(preview, n))
    page = browser.open(preview.url)
    page.wait(SEEN)
    assert not preview.preview.wants_heatmaps
    page.press("Tab", 9)
    assert page.evaluate("document.activeElement.id") == "pause"
    page.press("Tab", 9)
    assert page.evaluate("document.activeElement.id") == "heatmap"
    page.press(" ", 32)
    page.wait(lambda: preview.preview.wants_heatmaps)
    page.wait("document.getElementById('heatmap').getAttribute('aria-pressed') === 'true'")
    page.wait(lambda: pixel(page, 0.05, 0.05)[1] > 60)  # the hot corner of a red frame
    page.screenshot(tmp_path / "heat.png")
    page.click("heatmap")
    page.wait(lambda: not preview.preview.wants_heatmaps)
    page.click("pause")
    page.wait(lambda: not preview.preview._hub.wanted)
    assert page.text("nothing") == "Paused"
    assert not page.evaluate("document.getElementById('still').hidden"), "the last picture stays"
    check_accessibility(page)
    page.click("pause")
    page.wait(SEEN)
    assert page.complaints == []


def test_no_heat_map(browser: Browser) -> None:
    from edge_runtime.errors import ModelError

    def refuse() -> None:
        raise ModelError("this model has no heat map.")

    with running(try_heatmap=refuse) as preview:
        preview.give_on(plain)
        page = browser.open(preview.url)
        page.wait(SEEN)
        page.click("heatmap")
        page.wait("document.getElementById('heatmap').disabled")
        assert page.text("heatmap-why") == "this model has no heat map."
        page.wait(SEEN)


def test_first_visit_and_restart(browser: Browser) -> None:
    """The token leaves the address; the page finds a stream that was started again, by its cookie."""
    with running(token=True, settings=FAST) as preview:
        port = preview.port
        tell(preview, {"state": "open"})
        preview.give_on(plain)
        page = browser.open(f"{preview.url}?token={TOKEN}")
        page.wait("document.readyState === 'complete' && !!document.getElementById('picture')")
        page.wait(SEEN)
        assert page.evaluate("location.href") == preview.url
        assert page.evaluate("document.cookie") == "", "scripts do not see it"
        stranger = browser.open(preview.url.replace("127.0.0.1", "localhost"))
        stranger.wait("document.title === 'Token needed'")
        # Typing it opens the page as an address with it does.
        stranger.evaluate(
            f"document.querySelector('input').value = {TOKEN!r}, document.querySelector('button').click()"
        )
        stranger.wait("!!document.getElementById('picture')")
        stranger.wait(SEEN)
        assert "token" not in stranger.evaluate("location.href")
        page.to_front()
        page.wait(
            "!document.hidden && document.getElementById('link-text').textContent === 'Connected'"
        )
    page.wait("document.getElementById('link-text').textContent === 'No connection to the stream'")
    assert page.evaluate("document.getElementById('frame').className") == "stale"
    with running(token=True, settings=FAST, port=port) as again:
        tell(again, {"state": "open"})
        again.give_on(lambda n: plain(n, (96, 48)))
        page.wait("document.getElementById('link-text').textContent === 'Connected'")
        page.wait("document.getElementById('picture').naturalWidth === 96")
        page.wait("document.getElementById('frame').className === ''")


def test_pictures_start_again_when_they_were_cut_off(browser: Browser, preview: Running) -> None:
    preview.give_on(plain)
    page = browser.open(preview.url)
    page.wait(SEEN)
    wanted = preview.preview._hub
    looked: list[int] = []
    real = wanted.look

    def look(heatmap: bool, name: str) -> bool:
        looked.append(1)
        return real(heatmap, name)

    wanted.look = look  # type: ignore[method-assign]
    # As if the network had lost that connection and no other.
    connections = preview.preview._server._server.server_state.connections  # type: ignore[union-attr]

    def cut() -> None:
        for connection in list(connections):
            if connection.scope and connection.scope["path"] == "/picture.mjpg":
                connection.transport.abort()

    preview.preview._server.call(cut)
    page.wait(lambda: bool(looked))
    page.wait(SEEN)


def _proxy(listener: socket.socket, port: int) -> None:
    """Every path below /camera/ is one of the preview; a connection a request."""
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_pass_on, args=(client, port), daemon=True).start()


def _pass_on(client: socket.socket, port: int) -> None:
    with (
        client,
        socket.create_connection(("127.0.0.1", port)) as server,
        contextlib.suppress(OSError),
    ):
        request = client.recv(65536)
        method, path, rest = request.split(b" ", 2)
        if not path.startswith(b"/camera/"):
            client.sendall(
                b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
            return
        line, headers = rest.split(b"\r\n", 1)
        path = path.removeprefix(b"/camera")
        server.sendall(b" ".join([method, path, line]) + b"\r\nconnection: close\r\n")
        server.sendall(headers.replace(b"Connection: keep-alive\r\n", b""))
        while data := server.recv(65536):
            client.sendall(data)


def test_below_a_folder_of_a_proxy(browser: Browser) -> None:
    """Pictures, facts, token and cookie, all with addresses that are relative."""
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, running(token=True, settings=FAST) as preview:
        threading.Thread(target=_proxy, args=(listener, preview.port), daemon=True).start()
        tell(preview, {"state": "open"})
        preview.give_on(lambda n: either(preview, n))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/camera/"
        browser.send("Storage.clearCookies")  # of the tests before, for the same host
        page = browser.open(f"{url}?token={TOKEN}")
        page.wait(SEEN)
        assert page.evaluate("location.href") == url
        page.wait("document.getElementById('link-text').textContent === 'Connected'")
        page.click("heatmap")
        page.wait("document.getElementById('heatmap').getAttribute('aria-pressed') === 'true'")
        cookies = page.send("Network.getCookies", urls=[url])["cookies"]
        ours = [c["path"] for c in cookies if c["name"].endswith(f"_{preview.port}")]
        assert ours == ["/camera"], "seen by others on that host"
        assert page.complaints == []
