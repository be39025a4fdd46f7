"""MQTT against a real mosquitto: what is published, and what becomes of it when the broker dies."""

from __future__ import annotations

import contextlib
import getpass
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stream_results import PATIENCE, label_event, make_frame, make_result, wait_for

from edge_runtime.errors import SystemFailure, UsageError
from edge_runtime.stream.outputs.base import Outlet
from edge_runtime.stream.outputs.mqtt import Mqtt
from edge_runtime.stream.outputs.mqtt_address import parse_address
from edge_runtime.stream.outputs.mqtt_discovery import discovery
from edge_runtime.stream.outputs.mqtt_topics import Topics
from edge_runtime.stream.results import Event
from edge_runtime.stream.status import Status

pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed")
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
needs_broker = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")


class Broker:
    """A mosquitto of one's own, which can be stopped and started again at its port."""

    def __init__(self, folder: Path, password: bool = False) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        config = f"listener {self.port} 127.0.0.1\nallow_anonymous {str(not password).lower()}\n"
        config += f"user {getpass.getuser()}\n"  # else root becomes one that cannot read the folder
        if password:
            names = folder / "passwords"
            names.touch(0o600)
            subprocess.run(
                ["mosquitto_passwd", "-b", names, "cam", "right"], check=True, capture_output=True
            )
            config += f"password_file {names}\n"
        self._config = folder / "mosquitto.conf"
        self._config.write_text(config)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert MOSQUITTO is not None
        self._process = subprocess.Popen(
            [MOSQUITTO, "-c", self._config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for(self._listens)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _listens(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        return False


class Listener:
    """Remembers what is published."""

    def __init__(self, port: int, user: tuple[str, str] | None = None) -> None:
        from paho.mqtt import client as paho
        from paho.mqtt.enums import CallbackAPIVersion

        self.heard: list[tuple[str, str, bool]] = []
        self.subscribed = threading.Event()
        self.client = paho.Client(CallbackAPIVersion.VERSION2)
        if user is not None:
            self.client.username_pw_set(*user)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_message = lambda _, __, m: self.heard.append(
            (m.topic, m.payload.decode(), m.retain)
        )
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self.subscribed.wait(PATIENCE)

    def last(self, topic: str) -> Any:
        found = [text for heard, text, _ in self.heard if heard == topic]
        if not found:
            return None
        return json.loads(found[-1]) if found[-1].startswith("{") else found[-1]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    found = Broker(tmp_path)
    yield found
    found.stop()


@pytest.fixture
def open_mqtt(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Opens an output at the broker, with its queue; closed at the end."""
    monkeypatch.setattr("edge_runtime.stream.outputs.mqtt._LONGEST", 1)
    opened: list[Outlet] = []

    def make(user: str = "", **options: Any) -> tuple[Outlet, Status]:
        status = Status("test:", "model")
        address = parse_address(f"mqtt://{user}127.0.0.1:{broker.port}/home/cam")
        opened.append(Outlet(Mqtt(address, status, **options), status))
        return opened[-1], status

    yield make
    for outlet in opened:
        outlet.close(PATIENCE)


@needs_broker
def test_what_is_published(broker: Broker, open_mqtt: Callable[..., Any]) -> None:
    broker.start()
    ears = Listener(broker.port)
    outlet, _ = open_mqtt(every=3600.0, discovery="homeassistant")
    wait_for(lambda: ears.last("home/cam/availability") == "online")
    outlet.event(Event("source", {"state": "open"}))
    event = label_event("Crème\n牛乳")
    outlet.event(event)
    outlet.result(make_result("red"))
    outlet.result(make_result("green"))  # an hour too early
    wait_for(lambda: ears.last("home/cam/result") is not None)
    state = ears.last("home/cam/state")
    assert state["state"] == state["label"] == "Crème\n牛乳" and state["source_state"] == "open"
    assert state["score"] == 0.9 and state["unknown"] is False
    told = ears.last("home/cam/event")
    assert told["event"] == "label" and told["label"] == "Crème\n牛乳" and told["source"] == "test:"
    outlet.event(Event("stop", {"reason": "test"}))  # behind the results
    wait_for(lambda: ears.last("home/cam/event")["event"] == "stop")
    results = [json.loads(text) for topic, text, _ in ears.heard if topic == "home/cam/result"]
    assert [result["label"] for result in results] == ["red"]
    assert outlet.close(PATIENCE)
    wait_for(lambda: ears.last("home/cam/availability") == "offline")
    ears.close()
    late = Listener(broker.port)  # what is retained
    wait_for(lambda: late.last("home/cam/state") is not None)
    wait_for(lambda: sum("config" in topic for topic, _, _ in late.heard) == 4)
    assert {topic for topic, _, kept in late.heard if kept} >= {
        "home/cam/availability", "home/cam/state",
    }  # fmt: skip
    assert late.last("home/cam/event") is None
    late.close()


@needs_broker
def test_last_will(broker: Broker, open_mqtt: Callable[..., Any]) -> None:
    """The broker says that a stream is gone which could not say so itself."""
    broker.start()
    ears = Listener(broker.port)
    outlet, _ = open_mqtt()
    wait_for(lambda: ears.last("home/cam/availability") == "online")
    outlet.output._client._sock_close()
    wait_for(lambda: ears.last("home/cam/availability") == "offline")
    ears.close()


@needs_broker
def test_broker_dead_from_the_start_and_restarted(
    broker: Broker, open_mqtt: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    outlet, status = open_mqtt(every=0.001)
    outlet.event(label_event("red"))
    outlet.result(make_result("red"))
    outlet.event(label_event("green"))
    wait_for(lambda: any("cannot be reached (Connection refused)" in m for m in caplog.messages))
    broker.start()
    ears = Listener(broker.port)
    wait_for(lambda: (ears.last("home/cam/state") or {}).get("state") == "green")
    # The answer of a frame was too old to be told; events were kept.
    assert ears.last("home/cam/result") is None or status.snapshot()["output_drops"] == {}
    broker.stop()
    wait_for(lambda: any("is gone" in message for message in caplog.messages))
    outlet.event(label_event("blue"))
    broker.start()
    ears.close()
    ears = Listener(broker.port)
    wait_for(lambda: (ears.last("home/cam/state") or {}).get("state") == "blue")
    wait_for(lambda: ears.last("home/cam/availability") == "online")
    assert status.snapshot()["output_failures"] == {}
    ears.close()


def test_one_result_in_so_many_seconds_is_dropped_without_a_broker(
    broker: Broker, open_mqtt: Callable[..., Any]
) -> None:
    """Not every frame; also not while an event at the head of the queue waits for the broker."""
    idle, status = open_mqtt(every=3600.0)
    waiting, _ = open_mqtt(every=3600.0)
    waiting.event(label_event("red"))
    wait_for(lambda: not waiting._queue)  # its thread holds the event
    for number in range(300):
        for outlet in (idle, waiting):
            outlet.result(make_result("red", frame=make_frame(number)))
    assert len(waiting._queue) == 1
    assert idle.close(PATIENCE)
    assert status.snapshot()["output_drops"] == {"mqtt": 1}


def test_a_result_that_waited_for_long_is_not_published(
    broker: Broker, open_mqtt: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    outlet, status = open_mqtt(every=10.0)
    output, published = outlet.output, []
    monkeypatch.setattr(output, "_publish", lambda topic, data: published.append(data["frame"]))
    monkeypatch.setattr(output, "_connected", True)
    now = time.monotonic()
    for number, age in enumerate((3600.0, 5.0)):
        output.result(make_result(frame=make_frame(number, captured=now - age)))
    assert published == [1] and status.snapshot()["output_drops"] == {"mqtt": 1}
    slow = replace(make_result(frame=make_frame(2, captured=now - 60.0)), age_ms=59_000.0)
    output.result(slow)  # of a model that takes a minute, and told at once
    assert published == [1, 2]


def test_queue_is_bounded_and_the_end_is_quick(
    broker: Broker, open_mqtt: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Mqtt, "capacity", 5)
    outlet, status = open_mqtt()
    for number in range(20):
        outlet.event(label_event("red", number))
    snapshot = status.snapshot()
    assert snapshot["output_queues"]["mqtt"] <= 5
    assert snapshot["output_drops"]["mqtt"] >= 14  # of 20, less 5 that wait and 1 at work
    assert outlet.close(PATIENCE)
    snapshot = status.snapshot()
    assert snapshot["output_drops"]["mqtt"] + snapshot["output_failures"]["mqtt"] == 20


@needs_broker
def test_passwords(
    tmp_path: Path, open_mqtt: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    guarded = Broker(tmp_path, password=True)
    guarded.start()
    try:
        status = Status("test:", "model")
        wrong = parse_address(f"mqtt://cam:wr%6fng@127.0.0.1:{guarded.port}/x")
        outlet = Outlet(Mqtt(wrong, status), status)
        outlet.event(label_event())
        wait_for(lambda: any("refused us" in message for message in caplog.messages))
        assert not any("wrong" in message for message in caplog.messages)
        assert outlet.close(PATIENCE) and status.snapshot()["output_failures"] == {"mqtt": 1}
        ears = Listener(guarded.port, ("cam", "right"))
        right = parse_address(f"mqtt://cam:right@127.0.0.1:{guarded.port}/x")
        outlet = Outlet(Mqtt(right, status, qos=2), status)
        outlet.event(label_event())
        wait_for(lambda: ears.last("x/event") is not None)
        assert outlet.close(PATIENCE)
        ears.close()
    finally:
        guarded.stop()


def test_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGE_CLASSIFY_MQTT_PASSWORD", raising=False)
    full = parse_address("mqtts://us%40er:p%2Fw@[::1]:99/a/b%20c/")
    assert (full.host, full.port, full.tls) == ("::1", 99, True)
    assert (full.user, full.password, full.prefix) == ("us@er", "p/w", "a/b c")
    assert full.name == "mqtts://[::1]:99" and "p/w" not in repr(full)
    plain = parse_address("mqtt://broker")
    assert (plain.port, plain.user) == (1883, None) and plain.prefix.startswith("edge-classify/")
    assert parse_address("mqtts://broker").port == 8883
    monkeypatch.setenv("EDGE_CLASSIFY_MQTT_PASSWORD", "env")
    assert parse_address("mqtt://u@broker").password == "env"
    secret = tmp_path / "secret"
    secret.write_text("file\nrest\n")
    assert parse_address("mqtt://u:url@broker", str(secret)).password == "file"
    with pytest.raises(SystemFailure, match="No such file"):
        parse_address("mqtt://u@broker", str(tmp_path / "none"))
    with pytest.raises(UsageError, match="no user"):
        parse_address("mqtt://broker")


@pytest.mark.parametrize(
    "url",
    ["", "broker", "http://b", "mqtt://", "mqtt://u:secret@b:x", "mqtt://u:secret@b/a/#",
     "mqtt://u:secret@b/a+b", "mqtt://u:secret@b/a?b=c", "mqtt://u:secret@b:99999"],
)  # fmt: skip
def test_bad_addresses(url: str) -> None:
    with pytest.raises(UsageError, match="--mqtt: ") as caught:
        parse_address(url)
    assert "secret" not in str(caught.value)


def test_certificates(tmp_path: Path) -> None:
    status = Status("test:", "model")
    with pytest.raises(UsageError, match="No such file"):
        Mqtt(parse_address("mqtts://b"), status, ca_file=str(tmp_path / "none"))
    (tmp_path / "text").write_text("no certificate")
    with pytest.raises(UsageError, match="PEM"):
        Mqtt(parse_address("mqtts://b"), status, ca_file=str(tmp_path / "text"))
    with pytest.raises(UsageError, match="mqtts://"):
        Mqtt(parse_address("mqtt://b"), status, ca_file=str(tmp_path / "text"))


def test_discovery_is_stable_and_tells_prefixes_apart() -> None:
    first = discovery(Topics("home/cam"), "m")
    assert first == discovery(Topics("home/cam"), "m")
    assert not set(first) & set(discovery(Topics("home_cam"), "m"))
    unique = [config["unique_id"] for config in first.values()]
    assert len(set(unique)) == len(unique) == 4
    for topic, config in first.items():
        prefix, component, node, name, last = topic.split("/")
        assert (prefix, last) == ("homeassistant", "config")
        assert component in ("sensor", "binary_sensor")
        assert config["unique_id"] == f"{node}_{name}" and config["state_topic"]
        assert config["device"]["identifiers"] == [node] and config["origin"]["name"]
        assert "object_id" not in config  # refused from Home Assistant 2026.4 on
    connection = next(c for c in first.values() if c["unique_id"].endswith("connection"))
    assert "availability_topic" not in connection and connection["payload_off"] == "offline"


def test_a_silent_broker_is_given_up_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that accepts a connection and never speaks: the end of the stream does not wait."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        status = Status("test:", "model")
        address = parse_address(f"mqtt://127.0.0.1:{server.getsockname()[1]}/x")
        outlet = Outlet(Mqtt(address, status), status)
        outlet.event(label_event())
        begun = time.monotonic()
        assert outlet.close(PATIENCE) and time.monotonic() - begun < PATIENCE
        assert status.snapshot()["output_failures"] == {"mqtt": 1}
