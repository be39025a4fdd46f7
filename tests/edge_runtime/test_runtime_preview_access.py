"""Who is let in to a preview: token, cookie, host, origin."""

from __future__ import annotations

import socket

import httpx
import pytest
from preview_server import TOKEN, Running, connect, plain, read_all, running
from stream_results import PATIENCE

COOKIE = "edge_classify_preview_{port}"
PATHS = (
    "", "assets/page.js", "assets/page.css", "assets/icon.svg", "picture.mjpg", "picture.jpg",
    "picture.mjpg?heatmap=1", "events", "state", "heatmap", "nothing", "assets/nothing", "docs",
    "openapi.json", "..%2f..", "%00", "?token=", "?token=wrong-wrong-wrong-wrong", "?token",
    f"?xtoken={TOKEN}", f"?token={TOKEN[:-1]}", f"?token={TOKEN}x", f"?token={TOKEN.upper()}",
    f"?token=x&token={TOKEN[:-1]}",
)  # fmt: skip


@pytest.fixture(scope="module")
def guarded() -> object:
    with running(token=True) as preview:
        preview.give_on(plain)
        yield preview


@pytest.fixture(scope="module")
def unguarded() -> object:
    with running() as preview:
        yield preview


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS", "DELETE", "PROPFIND"])
def test_nothing_but_401_without_the_token(guarded: Running, path: str, method: str) -> None:
    answer = httpx.request(method, f"{guarded.url}{path}", timeout=PATIENCE)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert "set-cookie" not in answer.headers
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "headers",
    [
        "authorization: Bearer", "authorization: Bearer wrong", f"authorization: Basic {TOKEN}",
        f"authorization: {TOKEN}", f"authorization: Bearer {TOKEN}x", f"cookie: token={TOKEN}",
        f"cookie: {COOKIE}={TOKEN}", f"cookie: {COOKIE}=", "cookie: ;;;===", "authorization: \xff",
        "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        "accept: text/event-stream", "origin: http://127.0.0.1", "x-forwarded-for: 127.0.0.1",
    ],
)  # fmt: skip
def test_nothing_but_401_with_something_else(guarded: Running, headers: str) -> None:
    headers = headers.format(port=guarded.port)
    with socket.create_connection(("127.0.0.1", guarded.port), PATIENCE) as client:
        request = f"GET /events HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n\r\n"
        client.sendall(request.replace("connection: close\r\nupgrade", "upgrade").encode("latin-1"))
        assert client.recv(12) == b"HTTP/1.1 401"


def test_first_visit_becomes_a_cookie(guarded: Running) -> None:
    with httpx.Client(timeout=PATIENCE) as client:
        first = client.get(f"{guarded.url}?heatmap=1&token={TOKEN}&x=2")
        assert first.status_code == 303
        # Relative, so that it holds below a proxy's folder, and without the token.
        assert first.headers["location"] == "./?heatmap=1&x=2"
        cookie = first.headers["set-cookie"]
        assert cookie.startswith(COOKIE.format(port=guarded.port) + "=")
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert "Secure" not in cookie, "the browser would not send it over plain HTTP"
        assert TOKEN not in cookie
        for path in ("", "assets/page.js", "state", "picture.jpg"):
            assert client.get(f"{guarded.url}{path}").status_code == 200
        # An address with a token in it is cleaned, known or not, right or not.
        again = client.get(f"{guarded.url}?token=whatever")
        assert (again.status_code, again.headers["location"]) == (303, "./")
        asset = client.get(f"{guarded.url}assets/page.js?token={TOKEN}")
        assert (asset.status_code, asset.headers["location"]) == (303, "./page.js")
    secure = httpx.get(f"{guarded.url}?token={TOKEN}", headers={"x-forwarded-proto": "https"})
    assert "; Secure" in secure.headers["set-cookie"]


def test_link_on_the_page_of_somebody_else(guarded: Running) -> None:
    """After a redirect a browser would keep the strict cookie back; a page of ours goes on itself."""
    headers = {
        "sec-fetch-site": "cross-site",
        "sec-fetch-mode": "navigate",
        "sec-fetch-dest": "document",
    }
    answer = httpx.get(f"{guarded.url}?token={TOKEN}&a=%22%3E", headers=headers)
    assert answer.status_code == 200
    assert "SameSite=Strict" in answer.headers["set-cookie"]
    assert 'url=./?a=%22%3E"' in answer.text
    assert TOKEN not in answer.text


def test_bearer(guarded: Running) -> None:
    for scheme in ("Bearer", "bearer"):
        answer = httpx.get(f"{guarded.url}state", headers={"authorization": f"{scheme} {TOKEN}"})
        assert answer.status_code == 200
        assert "set-cookie" not in answer.headers


def test_token_host_may_have_any_name(guarded: Running) -> None:
    """A proxy's name: the cookie belongs to a name, so that rebinding it gains nothing."""
    headers = {"authorization": f"Bearer {TOKEN}", "host": "camera.example"}
    assert httpx.get(f"{guarded.url}state", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200), ("127.0.0.1:9999", 200), ("localhost", 200), ("LOCALHOST:80", 200),
        ("[::1]:8090", 200), ("127.8.9.1", 200),
        ("evil.example", 403), ("evil.example:8090", 403), ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403), ("192.168.1.5", 403), ("0.0.0.0", 403), ("[::]", 403),
        ("", 403), ("evil@127.0.0.1", 403),
    ],
)  # fmt: skip
def test_host_on_loopback(unguarded: Running, host: str, status: int) -> None:
    """Else a page whose name points to 127.0.0.1 could read it: DNS rebinding."""
    for path in ("state", "assets/page.js", "nothing"):
        with socket.create_connection(("127.0.0.1", unguarded.port), PATIENCE) as client:
            client.sendall(
                f"GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode()
            )
            answer = read_all(client)
        expected = 404 if status == 200 and path == "nothing" else status
        assert answer.startswith(f"HTTP/1.1 {expected} ".encode()), answer[:200]


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        (
            {
                "sec-fetch-site": "same-origin",
                "sec-fetch-mode": "no-cors",
                "sec-fetch-dest": "image",
            },
            True,
        ),
        (
            {"sec-fetch-site": "none", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"},
            True,
        ),
        (
            {
                "sec-fetch-site": "cross-site",
                "sec-fetch-mode": "navigate",
                "sec-fetch-dest": "document",
            },
            True,
        ),
        (
            {
                "sec-fetch-site": "cross-site",
                "sec-fetch-mode": "no-cors",
                "sec-fetch-dest": "image",
            },
            False,
        ),
        (
            {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"},
            False,
        ),
        (
            {
                "sec-fetch-site": "cross-site",
                "sec-fetch-mode": "navigate",
                "sec-fetch-dest": "iframe",
            },
            False,
        ),
    ],
)
def test_pages_of_other_origins(unguarded: Running, headers: dict[str, str], allowed: bool) -> None:
    answer = httpx.get(f"{unguarded.url}state", headers=headers)
    assert answer.status_code == (200 if allowed else 403)
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ({}, False),
        ({"origin": "http://127.0.0.1:{port}"}, False),
        ({"origin": "http://evil.example"}, True),
        ({"origin": "null"}, True),
        ({"origin": "http://127.0.0.1:1"}, True),
        ({"origin": "http://[::1", "host": "127.0.0.1"}, True),
        ({"origin": "https://cam.example", "x-forwarded-host": "cam.example"}, False),
        ({"origin": "http://127.0.0.1:{port}", "sec-fetch-site": "cross-site"}, True),
        ({"origin": "http://127.0.0.1:{port}", "sec-fetch-site": "same-origin"}, False),
    ],
)
def test_changing_anything_needs_the_same_origin(
    unguarded: Running, headers: dict[str, str], foreign: bool
) -> None:
    """Nothing here changes anything; whoever is let in is told that there is no such method."""
    filled = {key: value.format(port=unguarded.port) for key, value in headers.items()}
    answer = httpx.post(f"{unguarded.url}state", headers=filled)
    assert answer.status_code == (403 if foreign else 405)


def test_token_is_never_logged(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level("DEBUG"), running(token=True) as preview:
        httpx_log = len(caplog.records)
        with connect(preview.port, f"GET /?token={TOKEN} HTTP/1.1") as client:
            assert client.recv(12) == b"HTTP/1.1 303"
        with connect(
            preview.port, f"GET /nothing HTTP/1.1\r\nauthorization: Bearer {TOKEN}"
        ) as client:
            assert client.recv(12) == b"HTTP/1.1 404"
        with socket.create_connection(("127.0.0.1", preview.port), PATIENCE) as client:
            client.sendall(f"GET /?token={TOKEN} NONSENSE\r\n\r\n".encode())
            assert read_all(client).startswith(b"HTTP/1.1 400")
        with connect(
            preview.port,
            f"GET /?token={TOKEN} HTTP/1.1\r\nupgrade: websocket\r\nconnection: upgrade",
        ) as client:
            assert client.recv(9) == b"HTTP/1.1 "
    out, err = capfd.readouterr()
    said = [record.getMessage() for record in caplog.records[httpx_log:]]
    assert not [text for text in [out, err, *said] if TOKEN in text]
