"""Who is let in, slow clients, HTTPS, the command with its options and signals."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from color_model import ColorModels
from serve_parts import PATIENCE, TOKEN, picture, serving, talk, until

from edge_runtime import Classifier
from edge_runtime.backends.litert import LiteRtBackend
from edge_runtime.cli import cli
from edge_runtime.errors import UsageError
from edge_runtime.serving.app import Access
from edge_runtime.serving.naming import named_models
from edge_runtime.serving.problems import without_paths
from edge_runtime.serving.service import Server
from edge_runtime.serving.settings import ServeSettings
from edge_runtime.web.protocol import Limits
from edge_runtime.web.token import Token

HELD = {"authorization": f"Bearer {TOKEN}"}


def test_token_is_asked_for_everything_but_health(color_models: ColorModels) -> None:
    access = Access(Token(TOKEN, "test"))
    with serving({"colors": color_models.tflite}, access=access) as running:
        get, post = running.http.get, running.http.post
        for path in ("/", "/docs", "/v1/models", "/v2", "/metrics", "/openapi.json", "/nothing"):
            answer = get(path)
            assert answer.status_code == 401, path
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert get(path, headers=HELD).status_code in (200, 307, 404)
        for path in ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"):
            assert get(path).status_code == 200
        wrong = {"authorization": f"Bearer {TOKEN}x"}
        assert post("/v1/classify", content=picture(), headers=wrong).status_code == 401
        assert post("/v1/classify", content=picture(), headers=HELD).status_code == 200
        page = get("/", headers={"accept": "text/html"})  # a person can type it
        assert page.status_code == 401 and "<form" in page.text
        first = get(f"/docs?token={TOKEN}")
        assert first.status_code == 303 and TOKEN not in first.headers["location"]
        assert get("/docs").status_code == 200  # by the cookie
        foreign = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
        assert post("/v1/classify", content=picture(), headers=foreign).status_code == 403
        assert "securitySchemes" in get("/openapi.json").json()["components"]


def test_another_name_of_this_machine_is_refused(color_models: ColorModels) -> None:
    """DNS rebinding: the page of anybody must not read what is here."""
    evil = {"host": "evil.example"}
    with serving({"colors": color_models.tflite}) as running:
        answer = running.http.get("/v1/models", headers=evil)
        assert answer.status_code == 403 and answer.json()["status"] == 403
        assert running.http.get("/v1/models", headers={"host": "localhost:1"}).status_code == 200
    with serving({"colors": color_models.tflite}, access=Access(any_host=True)) as running:
        assert running.http.get("/v1/models", headers=evil).status_code == 200


def test_cors_is_for_named_origins(color_models: ColorModels) -> None:
    ours, theirs = "https://ours.example", "https://theirs.example"
    access = Access(origins=(ours,))
    with serving({"colors": color_models.tflite}, access=access) as running:

        def preflight(origin: str) -> httpx.Response:
            headers = {"origin": origin, "access-control-request-method": "POST"}
            return running.http.options("/v1/classify", headers=headers)

        assert preflight(ours).status_code == 204
        assert preflight(ours).headers["access-control-allow-origin"] == ours
        assert "access-control-allow-origin" not in preflight(theirs).headers
        headers = {"origin": ours, "sec-fetch-site": "cross-site"}
        answer = running.http.post("/v1/classify", content=picture(), headers=headers)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == ours
        headers["origin"] = theirs
        answer = running.http.post("/v1/classify", content=picture(), headers=headers)
        assert answer.status_code == 403
        assert answer.headers["content-type"] == "application/problem+json"


def test_refusals_can_be_read_by_pages_of_named_origins(color_models: ColorModels) -> None:
    """Without the header a browser hides them, and with them Retry-After."""
    ours = {"origin": "https://ours.example", "sec-fetch-site": "cross-site"}
    access = Access(origins=(ours["origin"],))
    with serving({"colors": color_models.tflite}, access=access) as running:
        found = [
            running.http.post("/v1/classify?model=none", content=picture(), headers=ours),
            running.http.get("/nothing", headers=ours),
            running.http.post("/v1/classify", content=b"no photo", headers=ours),
        ]
        running.server.serving.stopping = True
        found.append(running.http.get("/v1/models", headers=ours))
        assert [answer.status_code for answer in found] == [404, 404, 422, 503]
        for answer in found:
            assert answer.headers["access-control-allow-origin"] == ours["origin"]
            assert "retry-after" in answer.headers["access-control-expose-headers"]
            assert answer.headers["content-type"] == "application/problem+json"
        assert found[-1].headers["retry-after"] == "5"


def test_security_headers_are_on_everything(color_models: ColorModels) -> None:
    with serving({"colors": color_models.tflite}) as running:
        for path in ("/healthz", "/nothing", "/docs", "/v1/models"):
            headers = running.http.get(path).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "server" not in headers


def test_slow_clients_are_cut_off(
    color_models: ColorModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Headers that do not end, and a body that does not."""

    def quick(**values: object) -> Limits:
        return Limits(**{**values, "request_s": 1.0, "body_s": 1.0})  # type: ignore[arg-type]

    monkeypatch.setattr("edge_runtime.serving.service.Limits", quick)
    with serving({"colors": color_models.tflite}) as running:
        head = b"POST /v1/classify HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        assert talk(running.port, head) == b""
        assert talk(running.port, head + b"content-length: 100\r\n\r\nabc") == b""
        until(lambda: running.server.serving.metrics.in_flight == 0)
        assert running.classify(("a", picture())).status_code == 200


def test_connections_are_few(color_models: ColorModels) -> None:
    settings = ServeSettings(connections=3)
    with serving({"colors": color_models.tflite}, settings) as running:
        held = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(3)]
        answer = b""
        while b"503" not in answer:  # the server may not have seen the first three yet
            answer = talk(running.port, b"GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n")
        for one in held:
            one.close()
        until(lambda: running.http.get("/healthz").status_code == 200)


def test_long_headers_are_refused(color_models: ColorModels) -> None:
    """h11 counts what has not come to its end: more than one read of the socket."""
    with serving({"colors": color_models.tflite}) as running:
        line = b"x: " + b"y" * 400_000 + b"\r\n"
        found = talk(running.port, b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n" + line + b"\r\n")
        assert found == b"" or found.startswith(b"HTTP/1.1 4")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Of 127.0.0.1, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    subject = ["-subj", "/CN=127.0.0.1", "-keyout", key, "-out", cert]
    try:
        subprocess.run([*command, *subject], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    return cert, key


def test_https(color_models: ColorModels, certificate: tuple[str, str]) -> None:
    with serving({"colors": color_models.tflite}, tls=certificate) as running:
        assert running.classify(("a", picture())).json()["results"][0]["label"] == "red"
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://127.0.0.1:{running.port}/healthz", timeout=PATIENCE)
        context = ssl.create_default_context(cafile=certificate[0])
        context.check_hostname = False
        assert httpx.get(f"{running.url}/healthz", verify=context).status_code == 200
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        assert httpx.get(f"{running.url}/healthz", verify=context).status_code == 200
        # What older releases of uvicorn ask OpenSSL for, where Python would not.
        usual = {cipher["name"] for cipher in ssl.create_default_context().get_ciphers()}
        context.set_ciphers("TLSv1:@SECLEVEL=0")
        weak = [c["name"] for c in context.get_ciphers() if c["name"] not in usual]
        if weak:
            context.set_ciphers(":".join([*weak, "@SECLEVEL=0"]))
            with pytest.raises(httpx.HTTPError):
                httpx.get(f"{running.url}/healthz", verify=context)


def test_connections_without_a_handshake_are_counted(
    color_models: ColorModels, certificate: tuple[str, str]
) -> None:
    settings = ServeSettings(connections=3)
    with serving({"colors": color_models.tflite}, settings, tls=certificate) as running:

        def answers() -> bool:
            try:
                return httpx.get(f"{running.url}/healthz", verify=False).status_code == 200
            except httpx.HTTPError:
                return False

        held = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(3)]
        until(lambda: not answers())
        for one in held:
            one.close()
        until(answers)
        held.append(socket.create_connection(("127.0.0.1", running.port)))
    held[-1].close()  # the server ended in spite of it


def test_a_request_in_the_packet_of_its_handshake(
    color_models: ColorModels, certificate: tuple[str, str]
) -> None:
    with serving({"colors": color_models.tflite}, tls=certificate) as running:
        context = ssl._create_unverified_context()
        arriving, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context.wrap_bio(arriving, leaving)
        found = b""
        with socket.create_connection(("127.0.0.1", running.port), PATIENCE) as connection:
            with pytest.raises(ssl.SSLWantReadError):
                client.do_handshake()
            while True:
                connection.sendall(leaving.read())
                arriving.write(connection.recv(65536))
                try:
                    client.do_handshake()
                except ssl.SSLWantReadError:
                    continue
                break
            client.write(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")
            connection.sendall(leaving.read())  # the end of the handshake, and the request
            while b'"live"' not in found:
                data = connection.recv(65536)
                assert data, found
                arriving.write(data)
                with contextlib.suppress(ssl.SSLWantReadError):
                    while b'"live"' not in found:  # a read gives one record, and more may have come
                        found += client.read(65536)
        assert found.startswith(b"HTTP/1.1 200")


def test_names() -> None:
    assert named_models(("a/b.tflite", "c/b.onnx", "x=d", "e/f g.zip")) == {
        "b": "a/b.tflite", "b-2": "c/b.onnx", "x": "d", "f-g": "e/f g.zip",
    }  # fmt: skip
    for words in (("a=b", "a=c"), ("a b=c",), ("a=",)):
        with pytest.raises(UsageError):
            named_models(words)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/me/model.tflite: bad", "model.tflite: bad"),
        ("see '/a/b c' and /x", "see 'b c' and x"),
        ("https://host/path is an address, a/b no absolute path",) * 2,
        ("~/runs/one", "one"),
        ("C:\\models\\one.onnx: bad", "one.onnx: bad"),
        ("/a//b/", "b/"),
        *((piece * 5000, piece * 5000) for piece in ("/", "\\/", "/ ")),
        ("-/" * 5000, "--/"),
    ],
)
def test_paths_stay_here(text: str, expected: str) -> None:
    assert without_paths(text) == expected


@pytest.mark.parametrize(
    ("options", "code", "word"),
    [
        (["--host", "0.0.0.0"], 2, "--token-file"),
        (["--token-file", "missing"], 2, "no such file"),
        (["--cors", "*"], 2, "wildcard"),
        (["--tls-cert", "a"], 2, "--tls-key"),
        (["--tls-cert", "a", "--tls-key", "b"], 2, "no such file"),
        (["--host", "no.such.host.invalid"], 2, "no such host"),
        (["--max-queue", "0"], 2, "max-queue"),
    ],
)
def test_options_that_cannot_be(
    color_models: ColorModels,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    code: int,
    word: str,
) -> None:
    monkeypatch.delenv("EDGE_CLASSIFY_TOKEN", raising=False)
    done = CliRunner().invoke(cli, ["serve", str(color_models.tflite), *options])
    shown = f"{done.output}{done.exception}"
    assert word in shown and getattr(done.exception, "exit_code", done.exit_code) == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_command_until_a_signal(color_models: ColorModels, tmp_path: Path, number: int) -> None:
    """It answers, loads anew on SIGHUP, ends with 0, and its log tells neither token nor query."""
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    command = [sys.executable, "-m", "edge_runtime.cli", "serve", f"colors={color_models.bundle}"]
    command += ["--port", "0", "--token-file", str(token), "--verbose"]
    log = tmp_path / "log"
    with open(log, "wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=os.environ)
    try:
        until(lambda: "serving colors: " in log.read_text() or process.poll() is not None)
        found = re.search(r"http://127\.0\.0\.1:\d+/", log.read_text())
        assert found is not None, log.read_text()
        url = f"{found[0]}v1/classify?token={TOKEN}"
        answer = httpx.post(url, content=picture(), headers=HELD, timeout=PATIENCE)
        assert answer.json()["label"] == "red"
        process.send_signal(signal.SIGHUP)
        until(lambda: "loaded anew" in log.read_text())
        process.send_signal(number)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
    text = log.read_text()
    assert TOKEN not in text and "token=" not in text and "stopped after" in text


def test_serving_needs_no_fastapi() -> None:
    """Nor pydantic: half a second and 14 MB on a PC."""
    script = (
        "import sys; from edge_runtime.web import require_server; require_server('serve models');"
        "import edge_runtime.serving.service;"
        "print(sorted({'fastapi', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_command_keeps_models_that_nobody_overwrites(
    color_models: ColorModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that it maps, cut short by cp, would end the server (SIGBUS)."""
    opened: list[Classifier] = []

    def run(make: Callable[[], Server], *_: object) -> None:
        server = make()
        opened.extend(model.classifier for model in server.models)
        server.close()

    monkeypatch.setattr("edge_runtime.serving.service.run", run)
    monkeypatch.delenv("EDGE_CLASSIFY_TOKEN", raising=False)
    done = CliRunner().invoke(cli, ["serve", str(color_models.tflite), "--port", "0"])
    assert done.exit_code == 0, done.output
    backend = opened[0].backend
    assert isinstance(backend, LiteRtBackend) and isinstance(backend._source, bytes)


def test_stop_finishes_what_is_in_flight(color_models: ColorModels) -> None:
    """A request whose body is on its way when the server is told to stop gets its answer."""
    with serving({"colors": color_models.tflite}) as running:
        photo = picture()
        with socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE) as client:
            head = (
                f"POST /v1/classify HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(photo)}\r\n"
            )
            client.sendall(f"{head}\r\n".encode())
            until(lambda: running.server.serving.metrics.in_flight == 1)
            running.server._web._server.should_exit = True  # type: ignore[union-attr]
            until(lambda: running.server.serving.stopping)
            client.sendall(photo)
            found = b""
            end = time.monotonic() + PATIENCE
            while b'"label":"red"' not in found and time.monotonic() < end:
                data = client.recv(65536)
                assert data, found
                found += data
        assert found.startswith(b"HTTP/1.1 200")


def test_answers_do_not_wait_for_acknowledgements(color_models: ColorModels) -> None:
    """asyncio sets TCP_NODELAY on sockets that are inherited from one whose protocol is named."""
    with serving({"colors": color_models.tflite}) as running:
        assert running.server._web._listener.proto == socket.IPPROTO_TCP


def test_memory_is_given_back_when_idle(color_models: ColorModels) -> None:
    with serving({"colors": color_models.tflite}) as running:
        trimmed: list[int] = []
        running.server._trim = lambda: trimmed.append(1)
        running.server.tidy()
        assert trimmed == []  # nothing was asked yet
        running.classify(("a", picture()))
        until(lambda: running.server.serving.metrics.in_flight == 0)
        running.server.tidy()
        running.server.tidy()
        assert trimmed == [1]
