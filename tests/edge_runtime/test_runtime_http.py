"""MJPEG over HTTP from a camera that behaves in every way a camera does."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bad_camera import BadCamera, Visitor, free_port, headers, jpeg, part, wait_for

from edge_runtime.errors import UsageError
from edge_runtime.sources import http
from edge_runtime.sources.base import (
    BadFrame,
    Frame,
    Grabbed,
    Source,
    SourceLost,
    SourceSettings,
    SourceStalled,
)
from edge_runtime.sources.grammar import parse_source
from edge_runtime.sources.http import HttpReader, open_reader

RED, GREEN, BLUE = jpeg("red"), jpeg("green", (40, 30)), jpeg("blue", (16, 16))

#: Seconds that a read may take where it is expected to succeed, on a busy machine.
LONG = 60.0


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking takes no longer than a test says."""
    monkeypatch.setattr(http, "_ASKING", 0.0)


def reader_of(url: str, stall_after: float = LONG, fps: float | None = None) -> HttpReader:
    """A reader, as the feed opens it."""
    return open_reader(parse_source(url), SourceSettings(stall_after=stall_after, fps=fps))


def data(grabbed: Grabbed | None) -> bytes:
    """The encoded picture."""
    assert grabbed is not None
    content = grabbed.data()
    assert isinstance(content, bytes)
    return content


def read_all(camera: BadCamera, count: int) -> list[bytes | str]:
    """So many pictures in a row, or why they were left out."""
    found: list[bytes | str] = []
    reader = reader_of(camera.url)
    try:
        while len(found) < count:
            try:
                found.append(data(reader.read(LONG)))
            except BadFrame as error:
                found.append(str(error))
    finally:
        reader.close()
    return found


def slowly(*pieces: bytes) -> Callable[[Visitor], None]:
    """Send pieces with a pause between them, so that each arrives alone, then stay."""

    def behave(visitor: Visitor) -> None:
        for piece in pieces:
            visitor.send(piece)
            time.sleep(0.05)
        visitor.stay()

    return behave


def chunked(payload: bytes) -> bytes:
    """A piece as chunked encoding has it."""
    return f"{len(payload):x}\r\n".encode() + payload + b"\r\n"


@pytest.mark.parametrize(
    "behaviour",
    [
        slowly(headers(), part(RED), part(GREEN), part(BLUE)),
        slowly(headers(), part(RED, None), part(GREEN, None), part(BLUE, None)),
        slowly(headers('multipart/x-mixed-replace;boundary="--frame"'), part(RED), part(GREEN), part(BLUE)),
        slowly(headers("multipart/x-mixed-replace"), part(RED), part(GREEN), part(BLUE)),
        slowly(headers("image/jpeg"), RED, GREEN, BLUE),
        slowly(headers("video/x-motion-jpeg"), RED, GREEN, BLUE),
        slowly(headers("application/octet-stream"), RED, GREEN, BLUE),
        slowly(headers("application/octet-stream"), part(RED), part(GREEN), part(BLUE)),
        slowly(b"HTTP/1.0 200 OK\nContent-Type: multipart/x-mixed-replace; boundary=frame\n\n", part(RED), part(GREEN), part(BLUE)),
        slowly(
            headers(extra="Transfer-Encoding: chunked\r\n"),
            chunked(part(RED)), chunked(part(GREEN)[:50]), chunked(part(GREEN)[50:]), chunked(part(BLUE)),
        ),
        slowly(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + headers(), part(RED), part(GREEN), part(BLUE)),
    ],
)  # fmt: skip
def test_dialects(behaviour: Callable[[Visitor], None]) -> None:
    with BadCamera(behaviour) as camera:
        assert read_all(camera, 3) == [RED, GREEN, BLUE]
    assert camera.requests[0].startswith("GET /video HTTP/1.1\r\nHost: 127.0.0.1")


def test_a_frame_is_decoded_as_its_own_size() -> None:
    with BadCamera(slowly(headers(), part(RED), part(GREEN))) as camera:
        reader = reader_of(camera.url)
        sizes = []
        for number in range(2):
            grabbed = reader.read(LONG)
            assert grabbed is not None and grabbed.index == number
            sizes.append(Frame(grabbed, number).pixels.shape)
        reader.close()
    assert sizes == [(24, 32, 3), (30, 40, 3)]


def test_a_reader_that_is_behind_goes_on_to_the_newest() -> None:
    """Fifty frames wait in the socket, and half of another: the fiftieth is given."""
    sent = threading.Event()

    def behave(visitor: Visitor) -> None:
        visitor.send(headers() + part(RED))
        visitor.send(part(GREEN) * 48 + part(BLUE) + part(RED)[:100])
        sent.set()
        visitor.stay()

    with BadCamera(behave) as camera:
        reader = reader_of(camera.url)
        reader.connect()
        assert sent.wait(LONG)
        time.sleep(0.2)  # from the camera's socket to the reader's
        grabbed = reader.read(LONG)
        assert data(grabbed) == BLUE
        assert grabbed is not None and grabbed.index == 49
        reader.close()


def test_captured_is_when_the_last_byte_came() -> None:
    times = []

    def behave(visitor: Visitor) -> None:
        visitor.send(headers() + part(RED)[:-10])
        time.sleep(0.3)
        times.append(time.monotonic())
        visitor.send(part(RED)[-10:])
        visitor.stay()

    with BadCamera(behave) as camera:
        reader = reader_of(camera.url)
        grabbed = reader.read(LONG)
        after = time.monotonic()
        reader.close()
    assert grabbed is not None and times[0] <= grabbed.captured <= after


def test_one_picture_is_polled_on_one_connection() -> None:
    def behave(visitor: Visitor) -> None:
        for picture in (RED, GREEN, BLUE):
            length = f"Content-Length: {len(picture)}\r\n"
            visitor.send(headers("image/jpeg", length) + picture)
            camera.requests.append("again")
            if not visitor.listen():
                return
        visitor.stay()

    with BadCamera(behave) as camera:
        reader = reader_of(camera.url, fps=50)
        assert [data(reader.read(LONG)) for _ in range(3)] == [RED, GREEN, BLUE]
        assert reader.fps == 50
        reader.close()
    assert len([request for request in camera.requests if request != "again"]) == 1


def test_one_picture_is_polled_on_many_connections() -> None:
    """Without a length, or with a connection that ends: what ends after one picture is one."""

    def give(picture: bytes, extra: str) -> Callable[[Visitor], None]:
        return lambda visitor: visitor.send(headers("image/jpeg", extra) + picture)

    closing = f"Content-Length: {len(BLUE)}\r\nConnection: close\r\n"
    broken = give(RED[:-5], "")
    with BadCamera(give(RED, ""), give(GREEN, ""), broken, give(BLUE, closing)) as camera:
        reader = reader_of(camera.url, fps=50)
        assert data(reader.read(LONG)) == RED
        assert data(reader.read(LONG)) == GREEN
        with pytest.raises(BadFrame, match="cut off"):
            reader.read(LONG)
        assert data(reader.read(LONG)) == BLUE
        assert data(reader.read(LONG)) == BLUE
        reader.close()


def test_polling_keeps_its_pace() -> None:
    with BadCamera(lambda visitor: visitor.send(headers("image/jpeg") + RED)) as camera:
        reader = reader_of(camera.url, fps=10)
        begun = time.monotonic()
        for _ in range(4):
            reader.read(LONG)
        assert time.monotonic() - begun >= 0.3  # the first one at once, then three intervals
        reader.close()


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (part(RED[:-40], None), "cut off"),
        (part(RED[: len(RED) // 2], len(RED)), "shorter than"),
        (part(RED, len(RED) // 2), "cut off"),
        (part(RED, 1 << 50), "announced"),
    ],
)
def test_a_damaged_frame_is_left_out(bad: bytes, said: str) -> None:
    with BadCamera(slowly(headers(), part(GREEN), bad, part(BLUE), part(BLUE))) as camera:
        first, damaged, *rest = read_all(camera, 3)
    assert first == GREEN and said in str(damaged) and rest == [BLUE]


def test_garbage_between_frames_is_skipped() -> None:
    garbage = os.urandom(5000).replace(b"\xff", b"\0")
    with BadCamera(slowly(headers(), part(RED), garbage, part(GREEN))) as camera:
        assert read_all(camera, 2) == [RED, GREEN]


def test_garbage_in_a_frame_is_for_the_decoder_to_judge() -> None:
    damaged = RED[:20] + b"\0" * 100 + RED[120:]  # the tables of the decoder
    with BadCamera(slowly(headers(), part(damaged))) as camera:
        reader = reader_of(camera.url)
        grabbed = reader.read(LONG)
        reader.close()
    assert grabbed is not None
    with pytest.raises(BadFrame, match="damaged"):
        _ = Frame(grabbed, 0).pixels


def loss(behaviour: Callable[[Visitor], None], stall_after: float = LONG, frames: int = 0) -> str:
    """Why a source is lost, after so many frames."""
    with BadCamera(behaviour) as camera:
        reader = reader_of(camera.url, stall_after)
        try:
            for _ in range(frames):
                reader.read(LONG)
            with pytest.raises(SourceLost) as error:
                reader.read(stall_after)
        finally:
            reader.close()
        assert reader._asker.wire._socket is None
    name = "stalled: " if isinstance(error.value, SourceStalled) else "lost: "
    return name + str(error.value)


def answers(code: str, extra: str = "", body: str = "no") -> Callable[[Visitor], None]:
    """Any other answer."""
    text = f"HTTP/1.1 {code}\r\nContent-Length: {len(body)}\r\n{extra}\r\n{body}"
    return lambda visitor: visitor.send(text.encode())


@pytest.mark.parametrize(
    ("behaviour", "frames", "said"),
    [
        (lambda v: v.send(headers() + part(RED) + part(GREEN)[:90]), 1, "lost: the server ended the stream in the middle"),
        (lambda v: v.send(headers() + part(RED)), 1, "lost: the server ended the stream."),
        (lambda v: v.send(b""), 0, "lost: the server hung up"),
        (lambda v: v.send(b"SSH-2.0-OpenSSH_9.2\r\n"), 0, "lost: the answer is not HTTP"),
        (lambda v: v.send(headers() + bytes(33 << 20)), 0, "lost: 32 MB came and no whole picture"),
        (lambda v: v.send(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000), 0, "lost: the headers of its answer do not end"),
        (lambda v: v.send(headers(extra="Transfer-Encoding: chunked\r\n") + b"nonsense\r\n"), 0, "lost: the chunked"),
        (lambda v: v.send(headers("image/jpeg", "Content-Encoding: gzip\r\n")), 0, "lost: the answer is compressed"),
        (lambda v: v.send(headers("text/html; charset=utf-8") + b"<html>"), 0, "lost: the URL gives a page (text/html)"),
        (answers("401 Unauthorized", 'WWW-Authenticate: Basic realm="x"\r\n'), 0, "lost: the camera asks for a login (401)"),
        (answers("403 Forbidden"), 0, "lost: the camera refuses this user the picture (403)"),
        (answers("404 Not Found"), 0, "lost: the camera knows no such path (404)"),
        (answers("503 Service Unavailable"), 0, "lost: the camera is busy (503)"),
        (answers("500 Oops"), 0, "lost: the camera answers with code 500"),
        (answers("302 Found", "Location: /video\r\n"), 0, "lost: more than 5 redirects"),
        (answers("302 Found", "Location: rtsp://127.0.0.1/\r\n"), 0, "lost: the answer is a redirect that is not followed ('rtsp')"),
        (answers("302 Found"), 0, "lost: the answer is a redirect (302) to nowhere"),
    ],
)  # fmt: skip
def test_losses_say_what_to_check(
    behaviour: Callable[[Visitor], None], frames: int, said: str
) -> None:
    assert loss(behaviour, frames=frames).startswith(said)


def test_a_reset_in_mid_frame() -> None:
    def behave(visitor: Visitor) -> None:
        visitor.send(headers() + part(RED))
        time.sleep(0.2)
        visitor.send(part(GREEN)[:90])
        time.sleep(0.2)
        visitor.reset()

    assert "connection broke" in loss(behave, frames=1)


@pytest.mark.parametrize(
    ("behaviour", "frames"),
    [
        (lambda v: v.stay(), 0),
        (lambda v: v.drip(headers() * 100, 0.05), 0),
        (lambda v: (v.send(headers()), v.stay()), 0),
        (lambda v: (v.send(headers() + part(RED)), v.stay()), 1),
        (lambda v: (v.send(headers() + part(RED)), v.drip(part(GREEN), 0.05)), 1),
        (
            lambda v: (v.send(headers() + part(RED)), v.drip(b"--frame\r\nX: " + b"y" * 500, 0.05)),
            1,
        ),
    ],
)
def test_stalls_and_slow_drips_end(behaviour: Callable[[Visitor], None], frames: int) -> None:
    """Half a second for what would take half a minute byte by byte."""
    assert loss(behaviour, stall_after=0.5, frames=frames).startswith("stalled: no ")


def test_nobody_there() -> None:
    port = free_port()
    with pytest.raises(SourceLost, match=f"127.0.0.1, port {port}: Connection refused. Check"):
        reader_of(f"http://127.0.0.1:{port}/").read(LONG)


def test_no_such_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(SourceLost, match=r"camera\.invalid: no such host .* DNS"):
        reader_of("http://camera.invalid/").read(LONG)


def test_a_host_that_does_not_answer() -> None:
    """A listening socket whose queue is full lets nobody in."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
            fillers.append(filler)
        with pytest.raises(SourceStalled, match="does not answer"):
            reader_of(f"http://127.0.0.1:{full.getsockname()[1]}/", 0.5).read(0.5)
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize(
    "url", ["http://user:se#cret@host/", "http://user:se/cret@host/", "http://", "http://host:x/"]
)
def test_an_unreadable_url_is_not_shown(url: str) -> None:
    source = Source("http", url, "camera", live=True)
    with pytest.raises(UsageError, match="%40 for @") as error:
        open_reader(source, SourceSettings())
    assert "cret" not in str(error.value) and "cret" not in repr(error.value.__context__ or "")


PASSWORD = "p@ss w:rd"
ENCODED = "me:p%40ss%20w%3Ard"


def login_url(camera: BadCamera, host: str = "127.0.0.1", login: str = ENCODED) -> str:
    """Its URL with a login."""
    return f"http://{login}@{host}:{camera.port}/video?x=1"


def demand(challenge: str) -> bytes:
    """An answer that asks for a login."""
    return f"HTTP/1.1 401 No\r\nContent-Length: 0\r\nWWW-Authenticate: {challenge}\r\n\r\n".encode()


def guarded(challenge: str, is_right: Callable[[str], bool]) -> Callable[[Visitor], None]:
    """A camera that wants a login."""

    def behave(visitor: Visitor) -> None:
        given = visitor.header("Authorization")
        if given is None or not is_right(given):
            visitor.send(demand(challenge))
        else:
            visitor.send(headers() + part(RED))
            visitor.stay()

    return behave


def test_basic_login() -> None:
    expected = "Basic " + base64.b64encode(f"me:{PASSWORD}".encode()).decode()
    with BadCamera(guarded('Basic realm="x"', expected.__eq__)) as camera:
        reader = reader_of(login_url(camera))
        assert data(reader.read(LONG)) == RED
        reader.close()
        assert "Authorization" not in camera.requests[0]  # not before it was asked for
        wrong = reader_of(login_url(camera, login="me:wrong"))
        with pytest.raises(SourceLost, match="refuses user and password") as error:
            wrong.read(LONG)
    assert "wrong" not in str(error.value) and len(camera.requests) == 4


@pytest.mark.parametrize("qop", [', qop="auth"', ""])
@pytest.mark.parametrize("algorithm", ["", ", algorithm=MD5", ", algorithm=SHA-256", ", algorithm=MD5-sess"])  # fmt: skip
def test_digest_login(algorithm: str, qop: str) -> None:
    def is_right(given: str) -> bool:
        fields = {name: quoted or token for name, quoted, token in re.findall(r'(\w+)=(?:"([^"]*)"|([^,]+))', given)}  # fmt: skip
        name = "sha256" if "SHA" in algorithm else "md5"
        digest = lambda text: hashlib.new(name, text.encode()).hexdigest()  # noqa: E731
        secret = digest(f"me:x:{PASSWORD}")
        if "sess" in algorithm:
            secret = digest(f"{secret}:abc:{fields['cnonce']}")
        asked = digest(f"GET:{fields['uri']}")
        middle = f"abc:{fields['nc']}:{fields['cnonce']}:auth" if qop else "abc"
        return fields["response"] == digest(f"{secret}:{middle}:{asked}")

    if "sess" in algorithm and not qop:
        pytest.skip("without qop there is no cnonce, and no session")
    challenge = f'Digest realm="x", nonce="abc"{algorithm}{qop}'
    with BadCamera(guarded(challenge, is_right)) as camera:
        reader = reader_of(login_url(camera))
        assert data(reader.read(LONG)) == RED
        reader.close()
        with pytest.raises(SourceLost, match="refuses user and password"):
            reader_of(login_url(camera, login="me:wrong")).read(LONG)


def test_a_stale_nonce_is_replaced_while_polling() -> None:
    nonces = iter(range(1000))
    current = ["none"]

    def behave(visitor: Visitor) -> None:
        given = visitor.header("Authorization") or ""
        if f'nonce="{current[0]}"' in given:
            visitor.send(headers("image/jpeg", f"Content-Length: {len(RED)}\r\nConnection: close\r\n") + RED)  # fmt: skip
            current[0] = "none"
        else:
            current[0] = f"n{next(nonces)}"
            visitor.send(demand(f'Digest realm="x", qop="auth", nonce="{current[0]}"'))

    with BadCamera(behave) as camera:
        reader = reader_of(login_url(camera), fps=50)
        assert [data(reader.read(LONG)) for _ in range(3)] == [RED] * 3
        reader.close()


def test_a_login_that_is_not_known() -> None:
    refused = pytest.raises(SourceLost, match=r"login that is not known here \(Negotiate\)")
    with BadCamera(lambda visitor: visitor.send(demand("Negotiate"))) as camera, refused:
        reader_of(login_url(camera)).read(LONG)


def test_credentials_follow_a_redirect_to_the_same_server_only() -> None:
    guard = guarded('Basic realm="x"', lambda _: True)
    with BadCamera(guard) as other:

        def home(visitor: Visitor) -> None:
            if visitor.request.startswith("GET /here"):
                guard(visitor)
            elif visitor.request.startswith("GET /video?x=1"):
                visitor.send(b"HTTP/1.1 302 x\r\nContent-Length: 0\r\nLocation: " + where + b"\r\n\r\n")  # fmt: skip

        with BadCamera(home) as camera:
            where = b"/here"
            reader = reader_of(login_url(camera))
            assert data(reader.read(LONG)) == RED
            reader.close()
            for host in ("127.0.0.1", "localhost"):
                where = f"http://{host}:{other.port}/".encode()
                with pytest.raises(SourceLost, match="asks for a login"):
                    reader_of(login_url(camera)).read(LONG)
    assert other.requests and not any("Authorization" in request for request in other.requests)


def test_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Used for other machines, never for this one; its login goes to it alone."""
    with BadCamera(slowly(headers(), part(RED))) as proxy:
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://u:p@127.0.0.1:{proxy.port}")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        reader = reader_of("http://camera.invalid:81/video")
        assert data(reader.read(LONG)) == RED
        reader.close()
        assert proxy.requests[0].startswith("GET http://camera.invalid:81/video HTTP/1.1\r\n")
        assert "Proxy-Authorization: Basic dTpw" in proxy.requests[0]
        with BadCamera(slowly(headers(), part(GREEN))) as camera:
            reader = reader_of(camera.url)
            assert data(reader.read(LONG)) == GREEN
            reader.close()
        assert len(proxy.requests) == 1


class PlainCamera(BadCamera):
    """Answers before it was asked, and not in TLS."""

    def _serve(self, connection: socket.socket, behaviour: Callable[[Visitor], None]) -> None:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        super()._serve(connection, behaviour)


def test_tls_where_there_is_none() -> None:
    failed = pytest.raises(SourceLost, match=r"TLS failed .* use http://")
    with PlainCamera(answers("")) as camera, failed:
        reader_of(camera.url.replace("http:", "https:")).read(LONG)
    with BadCamera(answers("")) as camera, pytest.raises(SourceStalled, match="no answer to TLS"):
        reader_of(camera.url.replace("http:", "https:"), 0.5).read(0.5)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key."""
    folder = tmp_path_factory.mktemp("tls")
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
        "-nodes", "-days", "2", "-subj", "/CN=camera", "-addext", "subjectAltName=IP:127.0.0.1",
        "-keyout", "key.pem", "-out", "certificate.pem",
    ]  # fmt: skip
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl command here")
    return folder


def test_tls(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "certificate.pem", certificate / "key.pem")

    def behave(visitor: Visitor) -> None:
        visitor.send(headers() + part(RED) + part(GREEN) * 20)
        visitor.stay()

    class SafeCamera(BadCamera):
        def _serve(self, connection: socket.socket, behaviour: Callable[[Visitor], None]) -> None:
            try:
                connection = context.wrap_socket(connection, server_side=True)
            except OSError:
                connection.close()
            else:
                super()._serve(connection, behaviour)

    with SafeCamera(behave) as camera:
        url = camera.url.replace("http:", "https:")
        with pytest.raises(SourceLost, match=r"certificate is not trusted .* SSL_CERT_FILE"):
            reader_of(url).read(LONG)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "certificate.pem"))
        reader = reader_of(url)
        while data(reader.read(LONG)) != GREEN:
            pass
        reader.close()
        closed = reader_of(url)
        closed.read(LONG)
        ends_when_closed(closed)


def ends_when_closed(reader: HttpReader) -> None:
    """A read under way on another thread ends with SourceLost when the reader is closed."""
    seen: list[BaseException] = []

    def work() -> None:
        try:
            while True:
                reader.read(LONG)
        except BaseException as error:
            seen.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(reader._using.locked, "the read")
    reader.close()
    reader.close()
    thread.join(LONG)
    assert not thread.is_alive() and isinstance(seen[0], SourceLost)
    assert reader._asker.wire._socket is None
    with pytest.raises(SourceLost):
        reader.read(LONG)


@pytest.mark.parametrize(
    "behaviour",
    [
        lambda v: v.stay(),
        lambda v: (v.send(headers()), v.stay()),
        lambda v: (v.send(headers() + part(RED)[:50]), v.stay()),
        lambda v: v.drip(headers() + part(RED), 0.01),
    ],
)
def test_close_ends_a_read(behaviour: Callable[[Visitor], None]) -> None:
    with BadCamera(behaviour) as camera:
        ends_when_closed(reader_of(camera.url))


def test_other_streams_go_to_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        fps: float | None = 25.0
        closed = False

        def read(self, timeout: float) -> Grabbed | None:
            pixels = np.zeros((2, 2, 3), np.uint8)
            return Grabbed(time.monotonic(), lambda: pixels)

        def close(self) -> None:
            self.closed = True

    other = Other()
    opened: list[str] = []

    def open_other(source: Source, settings: SourceSettings) -> Other:
        opened.append(source.address)
        return other

    monkeypatch.setattr(http, "open_other", open_other)
    for kind in ("video/mp4", "application/vnd.apple.mpegurl", "application/octet-stream"):
        with BadCamera(slowly(headers(kind) + b"\0\0\0 ftypisom" + bytes(500))) as camera:
            reader = reader_of(camera.url)
            grabbed = reader.read(LONG)
            assert grabbed is not None and isinstance(grabbed.data(), np.ndarray)
            assert reader.fps == 25 and opened[-1] == camera.url
            reader.close()
            assert other.closed


def test_it_loads_neither_opencv_nor_tls() -> None:
    """What a plain camera does not need costs a board its start."""
    program = (
        "import sys\n"
        "from edge_runtime.sources import SourceSettings, parse_source\n"
        "from edge_runtime.sources.opening import open_reader\n"
        "reader = open_reader(parse_source(sys.argv[1]), SourceSettings())\n"
        "reader.connect(); assert reader.read(60).data(); reader.close()\n"
        "print([m for m in ('cv2', 'ssl', 'http.client', 'urllib.request') if m in sys.modules])\n"
    )
    with BadCamera(slowly(headers(), part(RED))) as camera:
        environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        environment["PYTHONPATH"] = str(Path(__file__).parents[2])
        found = subprocess.run(
            [sys.executable, "-c", program, camera.url],
            capture_output=True, text=True, check=True, env=environment,
        )  # fmt: skip
    assert found.stdout.strip() == "[]"
