"""The server's page in a real browser, against the real server.

``--basetemp`` keeps the screenshots; ``EDGE_CLASSIFY_AXE`` may name an ``axe.min.js`` (npm's axe-core),
with which the page is checked for accessibility, too.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from color_model import ColorModels
from devtools import PATIENCE, Browser, Page, check_accessibility, chromium
from PIL import Image

from edge_runtime import Classifier
from edge_runtime.serving.app import Access
from edge_runtime.serving.service import Server
from edge_runtime.serving.settings import ServeSettings
from edge_runtime.web.address import Address, listen, resolve
from edge_runtime.web.token import Token

pytestmark = pytest.mark.slow

TOKEN = "correct-horse-battery-staple"
RED, GREEN, BLUE = (230, 20, 20), (20, 230, 20), (20, 20, 230)
ANSWERED = "['label', 'unknown'].includes(document.getElementById('label').className)"
READY = "!document.getElementById('about').disabled"


def photo(
    folder: Path, name: str, color: tuple[int, int, int], size: tuple[int, int] = (96, 64)
) -> Path:
    file = folder / name
    Image.new("RGB", size, color).save(file, quality=95)
    return file


@contextlib.contextmanager
def folder_proxy(url: str, folder: str) -> Iterator[str]:
    """What a reverse proxy does with ``location /folder/ { proxy_pass url; }``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if not self.path.startswith(f"/{folder}/"):
                self.send_error(404)
                return
            headers = {k: v for k, v in self.headers.items() if k.lower() not in ("connection",)}
            asked = f"{url}{self.path.removeprefix(f'/{folder}/')}"
            answer = httpx.request(
                self.command, asked, headers=headers, content=body, timeout=PATIENCE
            )
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name not in ("content-length", "content-encoding", "date", "connection"):
                    self.send_header(name, value)
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{proxy.server_address[1]}/"
        proxy.shutdown()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Its camera shows a green picture."""
    folder = tmp_path_factory.mktemp("browser")
    # Motion JPEG is JPEG after JPEG.
    frame = photo(folder, "frame.jpg", GREEN, (640, 480)).read_bytes()
    (folder / "camera.mjpeg").write_bytes(frame * 10)
    options = [
        "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={folder / 'camera.mjpeg'}",
    ]  # fmt: skip
    with Browser(chromium(), folder, options) as started:
        yield started


def serve(
    models: ColorModels,
    token: bool = False,
    max_body: int = 20 << 20,
    threshold: float | None = None,
) -> tuple[Server, str]:
    def opened() -> Classifier:
        classifier = Classifier.open(models.bundle)
        if threshold is not None:
            output = replace(classifier.info.output, unknown_threshold=threshold)
            classifier.info = replace(classifier.info, output=output)
        return classifier

    listener = listen(resolve(Address("127.0.0.1", 0), "--port"), "--port")
    access = Access(Token(TOKEN, "test") if token else None)
    settings = ServeSettings(max_body=max_body)
    lies = str(models.bundle)
    openers = {"colors": (lies, opened), "other": (lies, lambda: Classifier.open(models.bundle))}
    server = Server(openers, listener, settings, access)
    return server, f"http://127.0.0.1:{listener.getsockname()[1]}/"


@pytest.fixture
def url(color_models: ColorModels) -> Iterator[str]:
    server, found = serve(color_models)
    yield found
    server.close()


def ready(browser: Browser, url: str, **look: Any) -> Page:
    page = browser.open(url, **look)
    page.to_front()
    page.wait(READY)
    return page


def count(page: Page) -> int:
    return int(page.evaluate("document.querySelectorAll('#history li').length"))


def drop_or_paste(page: Page, kind: str, file: Path, more: str = "") -> None:
    """What a browser makes of a file that comes by mouse or keyboard, and of a text beside it."""
    data = base64.b64encode(file.read_bytes()).decode()
    page.evaluate(
        f"(() => {{ const bytes = Uint8Array.from(atob('{data}'), (c) => c.charCodeAt(0));"
        "const carried = new DataTransfer();"
        f"carried.items.add(new File([bytes], '{file.name}', {{ type: 'image/jpeg' }}));"
        f"if ('{more}') carried.items.add(new File(['words'], '{more}', {{ type: 'text/plain' }}));"
        f"const options = {{ bubbles: true, cancelable: true, dataTransfer: carried, clipboardData: carried }};"
        f"const made = '{kind}' === 'drop' ? new DragEvent('drop', options) : new ClipboardEvent('paste', options);"
        "document.getElementById('stage').dispatchEvent(made); })()"
    )


def intercept(page: Page, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
    """Answer what the page asks the API in the server's stead, until ``realFetch`` is put back."""
    page.evaluate(
        "(() => { const real = window.realFetch ?? window.fetch; window.realFetch = real; window.asked = 0;"
        "window.fetch = (address, options) => { if (!String(address).includes('classify')) return real(address, options);"
        f"window.asked += 1; return Promise.resolve(new Response({json.dumps(json.dumps({'detail': detail}))},"
        f"{{ status: {status}, headers: {json.dumps(headers or {})} }})); }}; }})()"
    )


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (360, 740)], ids=["desktop", "phone"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_photo_and_its_heat_map(
    browser: Browser, url: str, tmp_path: Path, width: int, height: int, dark: bool
) -> None:
    page = ready(browser, url, width=width, height=height, dark=dark)
    check_accessibility(page)
    before = page.evaluate("document.getElementById('stage').getBoundingClientRect().height")
    page.choose("choose", photo(tmp_path, "berry.jpg", RED))
    page.wait(ANSWERED)
    assert page.text("label") == "red"
    page.wait("document.getElementById('said').textContent.startsWith('red, ')")
    first = page.evaluate("document.querySelector('#scores .name').textContent")
    assert first == "red"
    assert page.text("infer").endswith(" ms")
    assert page.evaluate("document.getElementById('photo').naturalWidth") == 96
    page.click("heatmap")
    page.wait("!document.getElementById('heat').hidden")
    page.evaluate(
        "(() => { const o = document.getElementById('opacity'); o.value = 30;"
        "o.dispatchEvent(new Event('input')); })()"
    )
    assert page.evaluate("getComputedStyle(document.getElementById('heat')).opacity") == "0.3"
    drawn = page.evaluate(
        "(() => { const c = document.getElementById('heat'); return [c.width, c.height,"
        "c.getContext('2d').getImageData(c.width / 2, c.height / 2, 1, 1).data[3]]; })()"
    )
    assert drawn == [96, 64, 255], "of the photo's size, and not empty"
    after = page.evaluate("document.getElementById('stage').getBoundingClientRect().height")
    assert after == before, "the layout moved"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
        "wider than the screen"
    )
    page.click("about")
    page.wait("document.getElementById('card').open")
    assert page.text("card-title") == "colors"
    assert page.evaluate("document.querySelectorAll('#classes li').length") == 3
    assert page.evaluate("document.getElementById('card').contains(document.activeElement)")
    check_accessibility(page)
    page.press("Escape", 27)
    page.wait("!document.getElementById('card').open")
    page.wait("document.activeElement.id === 'about'")
    page.screenshot(tmp_path / "page.png")
    check_accessibility(page)
    assert page.complaints == []
    assert page.hosts <= {url.rstrip("/"), "data:", "blob:http:"} | {
        host for host in page.hosts if host.startswith(("data:", "blob:"))
    }, "something was asked for elsewhere"


def test_turned_by_its_exif(browser: Browser, url: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.new("RGB", (96, 64), BLUE).save(tmp_path / "turned.jpg", exif=exif)
    page = ready(browser, url)
    page.choose("choose", tmp_path / "turned.jpg")
    page.wait(ANSWERED)
    assert page.evaluate("document.getElementById('photo').naturalWidth") == 64
    page.click("heatmap")
    page.wait("!document.getElementById('heat').hidden")
    assert page.evaluate("document.getElementById('heat').width") == 64


def test_several_dropped_pasted_and_the_history(browser: Browser, url: str, tmp_path: Path) -> None:
    page = ready(browser, url)
    page.choose("choose", photo(tmp_path, "a.jpg", RED), photo(tmp_path, "b.jpg", GREEN))
    page.wait("document.querySelectorAll('#history .name').length === 2")
    page.wait(
        "[...document.querySelectorAll('#history .name')].every((e) => ['red', 'green'].includes(e.textContent))"
    )
    assert page.text("label") == "red", "the first of them is shown"
    drop_or_paste(page, "drop", photo(tmp_path, "c.jpg", BLUE))
    page.wait("document.getElementById('label').textContent === 'blue'")
    drop_or_paste(page, "paste", photo(tmp_path, "d.jpg", GREEN), "notes.txt")
    page.wait("document.getElementById('label').textContent === 'green'")
    assert page.text("trouble-text") == "notes.txt is no picture and was left out."
    assert page.evaluate("!document.getElementById('trouble').hidden"), "an answer leaves it there"
    page.click("dismiss")
    assert count(page) == 4
    page.evaluate("[...document.querySelectorAll('#history button')].at(-1).focus()")
    page.press("Enter", 13)
    page.evaluate("document.activeElement.click()")
    page.wait(
        "document.getElementById('of').textContent === 'b.jpg' || document.getElementById('of').textContent === 'a.jpg'"
    )
    assert page.evaluate("document.querySelectorAll('#history [aria-current]').length") == 1
    page.screenshot(tmp_path / "history.png")
    check_accessibility(page)
    page.click("clear")
    page.wait("document.querySelectorAll('#history li').length === 0")
    assert page.text("label") == "No photo yet"
    assert page.evaluate("document.activeElement.id") == "choose"
    assert page.complaints == []


def test_another_model(browser: Browser, url: str, tmp_path: Path) -> None:
    """The photo that is seen is asked about again, once."""
    page = ready(browser, url)
    page.evaluate(
        "(() => { const real = window.fetch; window.models = []; window.fetch = (address, options) => {"
        "if (options?.body) window.models.push(options.body.get('model'));"
        "return real(address, options); }; })()"
    )
    page.choose("choose", photo(tmp_path, "a.jpg", RED))
    page.wait(ANSWERED)
    page.evaluate(
        "(() => { const m = document.getElementById('model'); m.value = 'other';"
        "m.dispatchEvent(new Event('change')); })()"
    )
    page.wait("document.getElementById('model-name').textContent === 'other'")
    page.wait("window.models.length === 2")
    page.wait(ANSWERED)
    assert page.evaluate("window.models") == ["colors", "other"]
    assert page.complaints == []


def test_unknown(browser: Browser, color_models: ColorModels, tmp_path: Path) -> None:
    server, url = serve(color_models, threshold=0.99999999)
    try:
        page = ready(browser, url)
        page.choose("choose", photo(tmp_path, "grey.jpg", (128, 128, 128)))
        page.wait("document.getElementById('label').className === 'unknown'")
        assert page.text("label") == "unknown"
        assert "A name is given from 100.0 % on" in page.text("reason")
        assert page.text("said").startswith("Unknown. The nearest is ")
        page.screenshot(tmp_path / "unknown.png")
        check_accessibility(page)
    finally:
        server.close()


def test_the_webcam(browser: Browser, url: str, tmp_path: Path) -> None:
    page = ready(browser, url)
    page.click("webcam")
    page.wait("document.getElementById('label').textContent === 'green'")
    page.wait("document.getElementById('flow-text').textContent.includes('a second')")
    assert "ms from picture to answer" in page.text("flow-text")
    page.click("heatmap")
    page.wait("!document.getElementById('heat').hidden")
    page.screenshot(tmp_path / "webcam.png")
    check_accessibility(page)
    page.click("keep")
    page.wait("document.querySelectorAll('#history li').length === 1")
    page.wait(ANSWERED)
    assert page.text("label") == "green"
    assert page.evaluate("document.getElementById('video').srcObject === null"), "the camera is off"
    page.click("webcam")
    page.wait("document.getElementById('webcam').textContent === 'Stop webcam'")
    page.click("webcam")
    page.wait("document.getElementById('webcam').textContent === 'Webcam'")
    assert page.text("label") == "green", "the photo before is back"
    assert page.complaints == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("Object.defineProperty(window, 'isSecureContext', { value: false })", "--tls-cert"),
        (
            "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotAllowedError'); }",
            "Allow it",
        ),
        (
            "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotFoundError'); }",
            "No camera",
        ),
    ],
    ids=["plain HTTP", "denied", "none"],
)
def test_no_webcam(browser: Browser, url: str, change: str, said: str) -> None:
    page = ready(browser, url)
    page.evaluate(f"{change};0")
    page.click("webcam")
    page.wait("!document.getElementById('trouble').hidden")
    assert said in page.text("trouble-text")
    assert page.evaluate("document.getElementById('video').hidden")
    check_accessibility(page)


def test_a_webcam_that_does_not_play_is_let_go_of(browser: Browser, url: str) -> None:
    """Or the camera would stay lit; and who stops it himself is not told that it failed."""
    page = ready(browser, url)
    page.evaluate(
        "(() => { const media = navigator.mediaDevices, real = media.getUserMedia.bind(media);"
        "media.getUserMedia = async (wish) => window.stream = await real(wish);"
        "HTMLMediaElement.prototype.play = () => new Promise((_, fail) => { window.fail = fail; }); })()"
    )
    page.click("webcam")
    page.wait("Boolean(window.fail)")
    page.evaluate("window.fail(new DOMException('no such format', 'NotSupportedError'))")
    page.wait("document.getElementById('trouble-text').textContent.includes('no such format')")
    ended = "window.stream.getTracks().every((track) => track.readyState === 'ended')"
    assert page.evaluate(ended)
    page.evaluate("window.fail = null; document.getElementById('dismiss').click()")
    page.click("webcam")
    page.wait("Boolean(window.fail)")
    page.click("webcam")
    page.evaluate("window.fail(new DOMException('interrupted', 'AbortError'))")
    page.evaluate("new Promise((done) => setTimeout(done, 0))")
    assert page.evaluate(ended) and page.evaluate("document.getElementById('trouble').hidden")
    assert page.complaints == []


def test_the_focus_stays_on_the_page(browser: Browser, url: str, tmp_path: Path) -> None:
    """What is hidden with the focus inside hands it to the answer."""
    page = ready(browser, url)
    press = "(() => { const e = document.getElementById('%s'); e.focus(); e.click(); })()"
    intercept(page, 500, "No.")
    page.choose("choose", photo(tmp_path, "a.jpg", GREEN))
    page.wait("!document.getElementById('again').hidden")
    for button in ("dismiss", "again"):
        page.evaluate("document.querySelector('#history button').click()")
        page.wait("!document.getElementById('again').hidden")
        page.evaluate(press % button)
        assert page.evaluate("document.activeElement.id") == "answer"
        page.wait("document.getElementById('label').textContent === 'No answer'")
    page.evaluate("window.fetch = window.realFetch;0")
    page.click("webcam")
    page.wait("!document.getElementById('keep').hidden")
    page.evaluate(press % "keep")
    page.wait("document.querySelectorAll('#history li').length === 2")
    page.wait("document.activeElement.id === 'answer'")


def test_no_smaller_copy(browser: Browser, url: str, tmp_path: Path) -> None:
    """Of a HEIC picture, which browsers do not read."""
    page = ready(browser, url)
    intercept(page, 413, "Too large.")
    (tmp_path / "a.heic").write_bytes(b"no picture that a browser knows")
    page.choose("choose", tmp_path / "a.heic")
    page.wait("!document.getElementById('smaller').hidden")
    page.click("smaller")
    page.wait("document.getElementById('trouble-text').textContent.includes('no smaller copy')")
    assert page.evaluate("window.asked") == 1 and page.complaints == []


def test_a_late_heat_map_is_not_painted(browser: Browser, url: str, tmp_path: Path) -> None:
    """Over the photo that was chosen while it was decoded."""
    page = ready(browser, url)
    page.click("heatmap")
    page.evaluate(
        "(() => { const real = Image.prototype.decode; window.held = 0;"
        "Image.prototype.decode = async function () { await real.call(this);"
        "if (!this.src.startsWith('data:')) return; window.held += 1;"
        "await new Promise((go) => { window.go = go; }); }; })()"
    )
    page.choose("choose", photo(tmp_path, "a.jpg", GREEN))
    page.wait("window.held === 1")
    page.evaluate("window.fetch = () => new Promise(() => {});0")
    page.choose("choose", photo(tmp_path, "b.jpg", BLUE))
    page.wait("document.getElementById('photo').alt === 'Photo b.jpg'")
    page.evaluate("window.go(); new Promise((done) => setTimeout(done, 0))")
    assert page.evaluate("document.getElementById('heat').hidden")
    drawn = "document.getElementById('heat').width"
    assert page.evaluate(drawn) == 300, "the width of a canvas that nothing was drawn on"


def test_what_the_server_refuses(
    browser: Browser, color_models: ColorModels, tmp_path: Path
) -> None:
    server, url = serve(color_models, max_body=60_000)
    try:
        page = ready(browser, url)
        (tmp_path / "bad.jpg").write_bytes(b"no picture")
        page.choose("choose", tmp_path / "bad.jpg")
        page.wait("!document.getElementById('trouble').hidden")
        assert "bad.jpg: not an image" in page.text("trouble-text")
        assert page.text("label") == "No answer"
        page.screenshot(tmp_path / "refused.png")
        check_accessibility(page)
        # Compresses well as JPEG and hardly at all as it is: too large, and its copy is not.
        Image.new("RGB", (300, 300), RED).save(tmp_path / "large.bmp")
        page.choose("choose", tmp_path / "large.bmp")
        page.wait("!document.getElementById('smaller').hidden")
        assert "larger than the server takes" in page.text("trouble-text")
        page.click("smaller")
        page.wait(ANSWERED)
        assert page.text("label") == "red"
        assert "that the browser made" in page.text("of")
        intercept(page, 503, "16 wait already.", {"retry-after": "1"})
        page.choose("choose", photo(tmp_path, "a.jpg", GREEN))
        page.wait("window.asked > 1")
        page.wait(
            "document.getElementById('trouble-text').textContent.includes('Asked again in 1 s')"
        )
        page.evaluate("window.fetch = window.realFetch;0")
        page.wait("document.getElementById('label').textContent === 'green'")
        assert page.evaluate("document.getElementById('trouble').hidden")
        intercept(page, 422, "top_k: expected a whole number.")
        page.choose("choose", photo(tmp_path, "b.jpg", BLUE))
        page.wait("document.getElementById('trouble-text').textContent.includes('top_k: expected')")
    finally:
        server.close()


def test_a_server_that_is_gone(browser: Browser, color_models: ColorModels, tmp_path: Path) -> None:
    server, url = serve(color_models)
    page = ready(browser, url)
    ended = threading.Thread(target=server.close)
    ended.start()
    ended.join()
    page.choose("choose", photo(tmp_path, "a.jpg", GREEN))
    page.wait("document.getElementById('trouble-text').textContent.includes('not there')")
    assert not page.evaluate("document.getElementById('again').hidden")


def test_token_asked_for_in_the_page(
    browser: Browser, color_models: ColorModels, tmp_path: Path
) -> None:
    server, url = serve(color_models, token=True)
    try:
        page = ready(browser, f"{url}?token={TOKEN}")
        assert page.evaluate("location.href") == url
        page.send("Network.clearBrowserCookies")
        page.choose("choose", photo(tmp_path, "a.jpg", GREEN))
        page.wait("document.activeElement.id === 'token'")
        check_accessibility(page)
        page.send("Input.insertText", text="wrong-horse-battery-staple")
        page.evaluate("document.getElementById('token-form').requestSubmit()")
        page.wait("document.getElementById('trouble-text').textContent.includes('not the token')")
        page.evaluate("document.getElementById('token').value = ''")
        page.send("Input.insertText", text=TOKEN)
        page.evaluate("document.getElementById('token-form').requestSubmit()")
        page.wait("document.getElementById('label').textContent === 'green'")
        assert TOKEN not in page.evaluate("location.href")
    finally:
        server.close()


def test_below_a_folder_of_a_proxy(browser: Browser, url: str, tmp_path: Path) -> None:
    with folder_proxy(url, "shop") as outside:
        page = ready(browser, f"{outside}shop/")
        page.choose("choose", photo(tmp_path, "a.jpg", BLUE))
        page.wait("document.getElementById('label').textContent === 'blue'")
        assert page.complaints == []


def test_keyboard_alone(browser: Browser, url: str) -> None:
    page = ready(browser, url)
    order = []
    for _ in range(8):
        page.press("Tab", 9)
        order.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert order[:5] == ["skip", "choose", "webcam", "heatmap", "top-k"]
    assert "model" in order
    assert "about" in order
