"""The parts of the web server: addresses, tokens, answers that fail."""

from __future__ import annotations

import logging
import os
import socket
import threading
from pathlib import Path

import httpx
import pytest
from stream_results import PATIENCE, wait_for

from edge_runtime.errors import DataError, EdgeError, SystemFailure, UsageError
from edge_runtime.web.address import Address, is_loopback, listen, parse_address, resolve, url_of
from edge_runtime.web.asgi import Receive, Scope, Send, respond
from edge_runtime.web.server import WebServer
from edge_runtime.web.token import read_token

DEFAULT = Address("127.0.0.1", 8090)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8090", "127.0.0.1:8090"), ("0.0.0.0", "0.0.0.0:8090"), ("9000", "127.0.0.1:9000"),
        (":9000", "127.0.0.1:9000"), (":0", "127.0.0.1:0"), ("camera.local:80", "camera.local:80"),
        ("[::1]:80", "[::1]:80"), ("[::]", "[::]:8090"), ("::1", "[::1]:8090"),
        ("localhost", "localhost:8090"),
    ],
)  # fmt: skip
def test_addresses(text: str, expected: str) -> None:
    assert str(parse_address(text, DEFAULT, "--preview")) == expected


@pytest.mark.parametrize(
    "text", ["host:port", "host:-1", "host:65536", "[::1", "[::1]80", "[host]:80", "a b:1", "1::2::3",
             "http://host:80", "user@host:80", "host:80/path", "host:²"],
)  # fmt: skip
def test_no_addresses(text: str) -> None:
    with pytest.raises(UsageError, match="expected HOST:PORT"):
        parse_address(text, DEFAULT, "--preview")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True), ("127.255.0.3", True), ("::1", True), ("localhost", True),
        ("localhost.", True), ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False), ("::", False), ("192.168.0.1", False), ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False), ("localhost.example", False), ("", False), ("example.org", False),
        ("fe80::1%eth0", False), ("0x7f000001", False), ("127.1", False),
    ],
)  # fmt: skip
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_loopback_is_decided_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by a name, which may point anywhere."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.1.2.3", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert not resolve(Address("localhost", 80), "--preview").loopback


def test_where_nobody_can_listen() -> None:
    with pytest.raises(UsageError, match="no such host"):
        resolve(Address("no-such-host.invalid", 80), "--preview")
    with pytest.raises(UsageError, match="no such host"):
        resolve(Address("a" * 70, 80), "--preview")  # no label of a name is that long
    with listen(resolve(Address("127.0.0.1", 0), "--preview"), "--preview") as taken:
        port = taken.getsockname()[1]
        assert url_of(taken, Address("127.0.0.1", 0)) == f"http://127.0.0.1:{port}/"
        assert url_of(taken, Address("0.0.0.0", 0)) == f"http://{socket.gethostname()}:{port}/"
        with pytest.raises(SystemFailure, match=f"--preview 127.0.0.1:{port}: another program"):
            listen(resolve(Address("127.0.0.1", port), "--preview"), "--preview")
    with pytest.raises(SystemFailure, match="no address of this machine"):
        listen(resolve(Address("192.0.2.1", 0), "--preview"), "--preview")  # TEST-NET-1 of RFC 5737


def test_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "token"
    file.write_text(" correct-horse-battery \n")
    file.chmod(0o600)
    monkeypatch.delenv("THE_TOKEN", raising=False)
    assert read_token(None, "--token-file", "THE_TOKEN") is None
    monkeypatch.setenv("THE_TOKEN", "  ")
    assert read_token(None, "--token-file", "THE_TOKEN") is None
    monkeypatch.setenv("THE_TOKEN", "another-horse-battery")
    for path, text in ((None, b"another-horse-battery"), (str(file), b"correct-horse-battery")):
        token = read_token(path, "--token-file", "THE_TOKEN")
        assert token is not None
        assert token.is_token(text)
        assert not token.is_token(text + b"x")
        assert not token.is_token(token.cookie.encode()), "what a cookie jar holds is not the token"
        assert token.is_cookie(token.cookie.encode())
        assert not token.is_cookie(text)
        assert text.decode() not in repr(vars(token))
    assert not caplog.records
    file.chmod(0o644)
    read_token(str(file), "--token-file", "THE_TOKEN")
    assert "chmod 600" in caplog.text


@pytest.mark.parametrize("text", ["", "?short", "fifteen-letters", "with blanks in between", "ünïcödé-ünïcödé-ü",
                                  "sixteen-letters;bad", "line\nbreak-line-break"])  # fmt: skip
def test_no_tokens(tmp_path: Path, text: str) -> None:
    file = tmp_path / "token"
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    with pytest.raises(DataError) as caught:
        read_token(str(file), "--token-file", "THE_TOKEN")
    assert not text or text not in str(caught.value).partition(":")[2], (
        "a wrong token may be a right one with a slip"
    )


def test_no_token_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(UsageError, match="token_urlsafe"):
            read_token(os.fspath(path), "--token-file", "THE_TOKEN")


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/fail":
        raise ValueError("secret\nof the second line")
    await respond(scope, send, 200, "fine\n")


def _serve(app: object = _app) -> tuple[WebServer, str]:
    listener = listen(resolve(Address("127.0.0.1", 0), "--x"), "--x")
    server = WebServer(app, listener, name="web-test")  # type: ignore[arg-type]
    url = url_of(listener, Address("127.0.0.1", 0))
    server.start()
    return server, url


def test_server_goes_on_after_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    server, url = _serve()
    with caplog.at_level(logging.WARNING, "edge_runtime"):
        assert httpx.get(f"{url}fail", timeout=PATIENCE).status_code == 500
    assert httpx.get(url, timeout=PATIENCE).text == "fine\n"
    assert server.stop(PATIENCE)
    assert server.stop(), "twice is safe"
    said = [record.getMessage() for record in caplog.records if record.name == "edge_runtime"]
    assert said == ["web server: Exception in ASGI application: ValueError: secret"]
    assert not logging.getLogger("uvicorn").propagate, "or the traceback would reach stderr"
    server.call(lambda: None)  # nothing, once it has stopped


def test_server_calls_on_its_thread() -> None:
    server, _ = _serve()
    found: list[str] = []
    server.call(lambda: found.append(threading.current_thread().name))
    wait_for(lambda: found == ["web-test"])
    server.stop(PATIENCE)


def test_server_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise OSError("no more of anything")

    monkeypatch.setattr("uvicorn.Server.startup", fail)
    with pytest.raises(EdgeError, match="OSError: no more of anything"):
        _serve()
    assert not [t for t in threading.enumerate() if t.name == "web-test"]


def test_headers_without_end() -> None:
    """16 kB of them are kept, not more."""
    server, url = _serve()
    port = int(url.rpartition(":")[2].strip("/"))
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        client.sendall(b"GET / HTTP/1.1\r\nx: " + b"y" * 20_000)
        assert client.recv(12) == b"HTTP/1.1 400"
    server.stop(PATIENCE)
