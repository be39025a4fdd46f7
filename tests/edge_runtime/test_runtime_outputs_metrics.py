"""Metrics can be read by Prometheus, and their server does not wait for slow clients."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
from collections.abc import Iterator

import pytest
from stream_results import PATIENCE, label_event, make_result, wait_for

from edge_runtime.errors import SystemFailure, UsageError
from edge_runtime.stream.outputs.base import Outlet, Output
from edge_runtime.stream.outputs.metrics import Metrics
from edge_runtime.stream.outputs.metrics_text import exposition
from edge_runtime.stream.results import Event
from edge_runtime.stream.status import Status

#: A sample line, by the grammar of the text format 0.0.4.
_SAMPLE = re.compile(
    r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)+)\})? '
    r"(-?[0-9.e+-]+|\+Inf|NaN)"
)


def filled() -> Status:
    """A status with something of everything."""
    status = Status('te"st\\:\n', "model")
    outlet = Outlet(Output(), status)
    status.enter("running")
    status.event(Event("source", {"state": "open"}))
    for _ in range(3):
        status.result(make_result('Crème "brûlée"\n\\ 牛乳'))
    status.event(label_event())
    status.count("frames", 5)
    status.count("collected_unknown", 4)
    status.dropped_by("csv", 2)
    status.failed_by("mqtt")
    outlet.close()
    return status


def parse(text: str) -> dict[tuple[str, str], float]:
    """Samples by name and labels; fails where the text breaks the format."""
    found: dict[tuple[str, str], float] = {}
    types: dict[str, str] = {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types, "one family, one group"
            types[name] = kind
        elif not line.startswith("# HELP "):
            match = _SAMPLE.fullmatch(line)
            assert match, line
            family = re.sub(r"_(bucket|sum|count)$", "", match[1])
            assert types.get(match[1]) or types.get(family) == "histogram", line
            key = (match[1], match[2] or "")
            assert key not in found, "each sample once"
            found[key] = float(match[3])
    return found


def test_the_text() -> None:
    found = parse(exposition(filled().snapshot()))
    assert found["edge_classify_frames_total", ""] == 5
    assert found["edge_classify_results_total", ""] == 3
    assert found["edge_classify_source_up", ""] == 1
    assert found["edge_classify_collected_unknown_total", ""] == 4
    assert not any("pid" in name for name, _ in found)
    assert found["edge_classify_output_drops_total", 'output="csv"'] == 2
    assert found["edge_classify_output_failures_total", 'output="mqtt"'] == 1
    assert found["edge_classify_output_queue_length", 'output="output"'] == 0
    assert found["edge_classify_events_total", 'kind="label"'] == 1
    label = r'label="Crème \"brûlée\"\n\\ 牛乳"'
    assert found["edge_classify_steady_info", label] == 1
    assert found["edge_classify_info", next(k[1] for k in found if k[0] == "edge_classify_info")]
    # 2 ms of inference each: in the bucket of 2 ms and in all above, in seconds
    assert found["edge_classify_inference_seconds_bucket", 'le="0.001"'] == 0
    assert found["edge_classify_inference_seconds_bucket", 'le="0.002"'] == 3
    assert found["edge_classify_inference_seconds_bucket", 'le="+Inf"'] == 3
    assert found["edge_classify_inference_seconds_count", ""] == 3
    assert found["edge_classify_inference_seconds_sum", ""] == pytest.approx(0.006)
    assert found["edge_classify_frame_age_seconds_sum", ""] == pytest.approx(0.036)
    assert found["process_resident_memory_bytes", ""] > 1e6


def test_the_text_by_prometheus_own_parser() -> None:
    parser = pytest.importorskip(
        "prometheus_client.parser", reason="prometheus_client is not installed"
    )
    families = {
        f.name: f for f in parser.text_string_to_metric_families(exposition(filled().snapshot()))
    }
    assert families["edge_classify_frame_age_seconds"].type == "histogram"
    assert families["edge_classify_frames"].type == "counter"
    steady = families["edge_classify_steady_info"].samples[0]
    assert steady.labels == {"label": 'Crème "brûlée"\n\\ 牛乳'}


def test_before_the_first_frame_and_on_a_board() -> None:
    snapshot = Status("test:", "m").snapshot()
    empty = parse(exposition(snapshot))
    assert empty["edge_classify_source_up", ""] == 0
    assert not any(name.startswith("edge_classify_steady") for name, _ in empty)
    board = snapshot | {
        "temperature": [{"zone": "cpu", "celsius": 61.5}, {"zone": "cpu", "celsius": 40.0}],
        "throttling": {"bits": "0x50001", "now": ["under-voltage"], "since_start": []},
    }
    found = parse(exposition(board))
    assert found["edge_classify_temperature_celsius", 'zone="cpu"'] == 61.5
    assert found["edge_classify_temperature_celsius", 'zone="cpu-2"'] == 40
    assert found["edge_classify_throttled", ""] == 1
    assert found["edge_classify_throttled_reason", 'reason="under-voltage"'] == 1
    assert found["edge_classify_throttled_since_start", ""] == 0


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    output = Metrics("0", filled(), connections=3, seconds=0.5)
    yield output
    output.close()


def port(metrics: Metrics) -> int:
    return int(metrics.url.rpartition(":")[2].partition("/")[0])


def get(metrics: Metrics, path: str = "/metrics", method: str = "GET", **headers: str):  # type: ignore[no-untyped-def]
    connection = http.client.HTTPConnection("127.0.0.1", port(metrics), timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read().decode()


def test_the_page(metrics: Metrics) -> None:
    status, kind, text = get(metrics)
    assert status == 200 and kind == "text/plain; version=0.0.4; charset=utf-8"
    assert parse(text)["edge_classify_frames_total", ""] == 5
    assert get(metrics, "/metrics?x=1")[0] == 200 and get(metrics, "/")[0] == 404
    assert get(metrics, method="HEAD")[::2] == (200, "")
    assert get(metrics, method="POST")[0] == 501
    assert get(metrics, Host="evil.example:80")[0] == 403  # DNS rebinding
    assert get(metrics, Host="localhost:1")[0] == 200


def test_slow_clients_are_cut_off(metrics: Metrics) -> None:
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port(metrics)), PATIENCE))
            for _ in range(3)
        ]
        for client in sockets:
            client.sendall(b"GET /metrics HTT")

        def answered() -> bool:
            with contextlib.suppress(OSError, http.client.HTTPException):
                return bool(get(metrics)[0] == 200)
            return False

        wait_for(answered)  # not by a longer limit than its own
        assert all(client.recv(100) == b"" for client in sockets)


def test_addresses_that_are_none(metrics: Metrics) -> None:
    with pytest.raises(SystemFailure, match="another program listens there"):
        Metrics(str(port(metrics)), Status("test:", "m"))
    for text in ("x:y", "127.0.0.1:99999", "http://127.0.0.1:80"):
        with pytest.raises(UsageError, match="--metrics"):
            Metrics(text, Status("test:", "m"))


def test_closed_with_the_stream() -> None:
    output = Metrics("127.0.0.1:0", Status("test:", "m"))
    closed = port(output)
    output.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", closed), 5)
