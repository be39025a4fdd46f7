"""A webhook is tried until its server has taken the message, within limits that hold."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate

import pytest
from stream_results import PATIENCE, label_event, wait_for

from edge_runtime.errors import UsageError
from edge_runtime.stream.outputs.base import Outlet
from edge_runtime.stream.outputs.http_post import Target
from edge_runtime.stream.outputs.webhook import NotDelivered, Patience, Webhook
from edge_runtime.stream.results import Event
from edge_runtime.stream.status import Status

QUICK = Patience(connect=5, whole=10, first=0.01, longest=0.02, give_up=30)


class Server(http.server.ThreadingHTTPServer):
    """Remembers requests, and answers with what it is told to, then with 204."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.requests: list[tuple[dict[str, str], bytes, str, float]] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((headers, body, self.path, time.monotonic()))
        status, extra = self.server.answers.pop(0) if self.server.answers else (204, {})
        self.send_response(status)
        for name, value in extra.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as found:
        threading.Thread(target=found.serve_forever, args=(0.05,), daemon=True).start()
        yield found
        found.shutdown()


def webhook(url: str, kinds: tuple[str, ...] = ("label",), **options: object) -> Webhook:
    options.setdefault("patience", QUICK)
    return Webhook(url, Status("rtsp://***@cam/1", "m"), kinds, **options)  # type: ignore[arg-type]


def test_what_is_posted(server: Server) -> None:
    output = webhook(f"{server.url}/a%20b?c=d")
    output.event(label_event("牛乳"))
    output.event(Event("source", {"state": "lost"}))  # not asked for
    ((headers, body, path, _),) = server.requests
    told = json.loads(body)
    assert told["event"] == "label" and told["label"] == "牛乳"
    assert told["source"] == "rtsp://***@cam/1" and told["host"] == socket.gethostname()
    assert path == "/a%20b?c=d" and headers["content-type"] == "application/json"
    assert headers["webhook-id"] == headers["idempotency-key"]
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    assert "webhook-signature" not in headers and "authorization" not in headers


@pytest.mark.parametrize(
    ("secret", "key"),
    [("plain", b"plain"), ("whsec_" + base64.b64encode(b"\x00key").decode(), b"\x00key")],
)
def test_signature(server: Server, secret: str, key: bytes) -> None:
    """As Standard Webhooks verifies it."""
    webhook(server.url, secret=secret).event(label_event())
    ((headers, body, _, _),) = server.requests
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_credentials_are_sent_and_not_shown(server: Server) -> None:
    url = server.url.replace("http://", "http://me%40x:p%3Aw@") + "/hooks/T0KEN"
    server.answers = [(401, {})]
    with pytest.raises(NotDelivered, match="401") as caught:
        webhook(url).event(label_event())
    assert (
        server.requests[0][0]["authorization"] == "Basic " + base64.b64encode(b"me@x:p:w").decode()
    )
    assert "p:w" not in str(caught.value) and "T0KEN" not in str(caught.value)


def test_tried_again_with_the_same_id(server: Server) -> None:
    server.answers = [(500, {}), (503, {}), (429, {})]
    webhook(server.url).event(label_event())
    assert len(server.requests) == 4
    assert len({headers["webhook-id"] for headers, *_ in server.requests}) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 410, 301])
def test_a_refusal_is_final(server: Server, status: int) -> None:
    server.answers = [(status, {"Location": f"{server.url}/elsewhere"})]
    output = webhook(server.url)
    with pytest.raises(NotDelivered, match=f"answered {status}"):
        output.event(label_event())
    assert len(server.requests) == 1
    output.event(label_event())  # the next one has its own chance
    assert len(server.requests) == 2


@pytest.mark.parametrize("header", [lambda: "1", lambda: formatdate(time.time() + 2, usegmt=True)])
def test_retry_after(server: Server, header: Callable[[], str]) -> None:
    server.answers = [(429, {"Retry-After": header()})]
    webhook(server.url).event(label_event())
    first, second = (moment for *_, moment in server.requests)
    assert second - first > 0.9  # a date is cut to whole seconds


@pytest.mark.parametrize(
    "header",
    ["9" * 400, "9" * 5000, "1e400", "soon", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
     "Mon, 01 Jan 0001 00:00:00 +2359"],
)  # fmt: skip
def test_a_retry_after_that_is_none_is_no_refusal(server: Server, header: str) -> None:
    server.answers = [(503, {"Retry-After": header})]
    webhook(server.url).event(label_event())
    assert len(server.requests) == 2


def test_given_up_after_a_while(server: Server) -> None:
    server.answers = [(500, {})] * 1000
    patience = Patience(first=0.01, longest=0.02, give_up=0.2)
    with pytest.raises(NotDelivered, match="answered 500"):
        webhook(server.url, patience=patience).event(label_event())
    assert 1 < len(server.requests) < 1000


def test_connection_refused_and_back(server: Server) -> None:
    url = server.url
    server.shutdown()
    server.server_close()
    output, done = webhook(url), threading.Event()
    thread = threading.Thread(target=lambda: (output.event(label_event()), done.set()))
    thread.start()
    assert not done.wait(0.2)
    again = Server.__new__(Server)
    again.answers, again.requests = [], []
    http.server.ThreadingHTTPServer.__init__(again, server.server_address, _Handler)
    with again:
        threading.Thread(target=again.serve_forever, args=(0.05,), daemon=True).start()
        assert done.wait(PATIENCE) and len(again.requests) == 1
        again.shutdown()
    thread.join()


@pytest.mark.parametrize("drip", [b"", b"HTTP/1.1 200 OK\r\nX: "])
def test_a_server_that_hangs_or_drips(drip: bytes) -> None:
    """The limit is one of the whole, not of each read."""
    stop = threading.Event()

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            try:
                connection.sendall(drip)
                while drip and not stop.wait(0.05):
                    connection.sendall(b"x")
            except OSError:
                pass
            stop.wait(PATIENCE)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        target = Target(f"http://127.0.0.1:{listener.getsockname()[1]}/", "--webhook")
        begun = time.monotonic()
        with pytest.raises(TimeoutError, match=r"no answer within 0\.4 s"):
            target.post(b"{}", {}, 5.0, 0.4)
        assert time.monotonic() - begun < PATIENCE / 2  # not until the server stops
        stop.set()


def test_a_look_up_that_hangs(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts, too; and attempts do not pile one hanging look-up upon the other."""
    go_on, asked, real = threading.Event(), [], socket.getaddrinfo

    def slow(*args: object, **options: object) -> object:
        asked.append(args)
        go_on.wait(PATIENCE)
        return real("127.0.0.1", server.server_port, type=socket.SOCK_STREAM)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    target = Target("http://slow.invalid/", "--webhook")
    for _ in range(3):
        with pytest.raises(TimeoutError, match=r"not found within 0\.05 s"):
            target.post(b"{}", {}, 5.0, 0.05)
    assert len(asked) == 1
    go_on.set()
    assert target.post(b"{}", {}, 5.0, PATIENCE).status == 204 and len(asked) == 1
    assert target.post(b"{}", {}, 5.0, PATIENCE).status == 204 and len(asked) == 2


def test_all_addresses_share_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []

    def silent(self: socket.socket, where: object) -> None:
        if where != address[-1]:  # somebody else's
            raise ConnectionRefusedError
        given.append(self.gettimeout() or 0.0)
        time.sleep(given[-1])
        raise TimeoutError("timed out")

    address = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("192.0.2.1", 80))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [address] * 8)
    monkeypatch.setattr(socket.socket, "connect", silent)
    with pytest.raises(TimeoutError):
        Target("http://many.invalid/", "--webhook").post(b"{}", {}, 5.0, 0.4)
    assert sum(given) < 0.41 and all(given)


def test_the_next_address_where_one_refuses(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        dead = closed.getsockname()
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 0, "", where)
        for where in (dead, server.server_address)
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    target = Target("http://two.invalid/", "--webhook")
    assert target.post(b"{}", {}, PATIENCE, PATIENCE).status == 204


def test_the_end_of_the_stream_does_not_wait(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers = [(500, {})] * 1000
    status = Status("test:", "m")
    patience = Patience(first=1000, longest=1000, give_up=10**6)
    outlet = Outlet(Webhook(server.url, status, ("label",), patience=patience), status)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            outlet.event(label_event())
        wait_for(lambda: len(server.requests) == 1)
        assert outlet.close(PATIENCE)
    assert len(server.requests) == 4  # a last attempt for each
    assert status.snapshot()["output_failures"] == {"webhook": 3}
    assert any("An event was given up" in message for message in caplog.messages)


def test_queue_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Webhook, "capacity", 4)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        status = Status("test:", "m")
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        patience = Patience(whole=0.5, first=0.01, longest=0.01, give_up=0.0)
        outlet = Outlet(Webhook(url, status, ("label",), patience=patience), status)
        for _ in range(30):
            outlet.event(label_event())
        assert status.snapshot()["output_drops"]["webhook"] >= 20
        assert outlet.close(PATIENCE)


@pytest.mark.parametrize(
    "url", ["", "host", "ftp://host", "http://", "http://u:secret@h:x", "http://h/secret b",
            "http://h/secret\u00e9"],
)  # fmt: skip
def test_bad_urls(url: str) -> None:
    with pytest.raises(UsageError, match="--webhook: ") as caught:
        webhook(url)
    assert "secret" not in str(caught.value)


def test_a_secret_that_is_no_base64() -> None:
    with pytest.raises(UsageError, match="EDGE_CLASSIFY_WEBHOOK_SECRET") as caught:
        webhook("http://h", secret="whsec_???")
    assert "???" not in str(caught.value)
