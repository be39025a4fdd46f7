"""Logins, redirects, proxies and TLS on the way to a network camera."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import ssl
import subprocess
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from bad_camera import BadCamera, Visitor, headers, jpeg, part
from http_reading import LONG, answers, data, ends_when_closed, impatient, reader_of, slowly

from edge_runtime.sources.base import (
    SourceLost,
    SourceStalled,
)

__all__ = ["impatient"]  # a fixture, for every test here

RED, GREEN = jpeg("red"), jpeg("green", (40, 30))

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


@pytest.mark.parametrize(
    ("algorithm", "qop"),
    [
        ("", ""),
        ("", ', qop="auth"'),
        (", algorithm=MD5", ""),
        (", algorithm=MD5", ', qop="auth,auth-int"'),
        (", algorithm=SHA-256", ', qop="auth"'),
        (", algorithm=MD5-sess", ', qop="auth"'),
    ],
)
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


def test_a_proxy_that_is_no_url_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also not in a traceback: what follows the password's slash looks like a port to urllib."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://me:sec/ret@proxy")
    with pytest.raises(SourceLost, match="no proxy's URL") as caught:
        reader_of("http://camera.invalid:81/video").read(LONG)
    shown = "".join(traceback.format_exception(caught.type, caught.value, caught.tb))
    assert "'sec'" not in shown and "ret@" not in shown


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
