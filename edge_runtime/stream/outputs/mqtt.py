"""``--mqtt``: state, events and, by option, results, published to an MQTT 3.1.1 broker.

The broker may be away, from the start or in between, for as long as it likes: events wait in the
output's bounded queue, results of frames are dropped meanwhile, and the retained state is that of
the end. PREFIX/availability says ``offline`` by the broker's own hand (last will) when the stream
dies.
"""

from __future__ import annotations

import json
import logging
import ssl
import sys
import threading
import time
from typing import Any

from ...errors import EdgeError, UsageError, missing_package
from ..results import Event, FrameResult
from ..status import Status
from .base import Output
from .messages import message, state_of
from .mqtt_address import Address
from .mqtt_topics import Topics

_log = logging.getLogger("edge_runtime")

#: Seconds between two attempts to connect: doubled from the first to the second.
_FIRST, _LONGEST = 1, 60

#: Seconds after which a silent broker is asked whether it lives, and given up after 1.5 times that.
_KEEPALIVE = 30

#: Seconds for a connection, and for one message to be on its way (QoS 0) or acknowledged.
_CONNECT, _PUBLISH = 5.0, 15.0

#: Seconds that the answer of a frame may wait here at least before it is too old to be told.
_STALE = 1.0

#: Seconds that the farewell may take.
_FAREWELL = 2.0


class Mqtt(Output):
    """Publishes."""

    name = "mqtt"
    wants_pictures = False
    capacity = 1000

    def __init__(
        self,
        address: Address,
        status: Status,
        *,
        qos: int = 1,
        every: float | None = None,
        ca_file: str | None = None,
        discovery: str | None = None,
    ) -> None:
        """Begin to connect, in the background.

        Args:
            address: The broker.
            status: Of the stream, for names and drops.
            qos: Quality of service of all messages: 0, 1 or 2.
            every: Seconds between two results that are published; None for no results.
            ca_file: Certificates that are trusted, in PEM; None for the system's.
            discovery: Prefix of Home Assistant's discovery; None for no such messages.

        Raises:
            MissingComponent: paho-mqtt 2 is not installed.
            UsageError: Certificates that cannot be read, or for a connection without TLS.
        """
        self._address, self._status, self._qos = address, status, qos
        self._topics = Topics(address.prefix)
        self._every, self._next = every, float("-inf")
        self._discovery = discovery
        self._state: dict[str, Any] = {
            "state": None, "label": None, "unknown": False, "score": None, "since": None,
            "source": status.source, "source_state": "opening", "model": status.model,
        }  # fmt: skip
        self._changed = threading.Condition()
        self._connected, self._hurried = False, False
        self._said: str | None = None
        self._client = self._make_client(ca_file)
        self._client.connect_async(address.host, address.port, _KEEPALIVE)
        self._client.loop_start()

    @property
    def wants_results(self) -> bool:  # type: ignore[override]  # changes with time
        """Whether an answer is due; the loop asks before each frame, and a yes is this one's turn.

        So one in :attr:`_every` seconds waits in the queue, also while an event there waits for the
        broker.
        """
        now = time.monotonic()
        if self._every is None or now < self._next:
            return False
        self._next = now + self._every
        return True

    def result(self, result: FrameResult) -> None:
        """Publish one answer, if the broker is there and it did not wait here for long."""
        took = result.age_ms + (result.prediction.ms or {}).get("total", 0.0)
        waited = time.monotonic() - result.frame.captured - took / 1000
        late = waited > max(self._every or 0.0, _STALE)
        if late or not self._connected:  # an old answer is of no use later
            self._status.dropped_by(self.name)
            return
        self._publish(self._topics.result, result.to_dict())

    def event(self, event: Event) -> None:
        """Publish an event, and what stands after it, as soon as the broker is there.

        Raises:
            EdgeError: The stream ends, and it is not; or it does not take the message.
        """
        self._take_over(event)
        with self._changed:
            self._changed.wait_for(lambda: self._connected or self._hurried)
            if not self._connected:
                raise EdgeError(f"{self._address.name} is not there; an event was given up.")
        self._publish(self._topics.event, message(event, self._status.source))
        self._publish(self._topics.state, self._state, retain=True)

    def hurry(self) -> None:
        """Wait for a broker no longer."""
        with self._changed:
            self._hurried = True
            self._changed.notify_all()

    def close(self) -> None:
        """Say goodbye, so that the last will stays unsaid."""
        connected = self._connected
        try:
            if connected:
                self._client.publish(
                    self._topics.availability, "offline", self._qos, retain=True
                ).wait_for_publish(_FAREWELL)
        finally:  # waiting fails where the connection broke meanwhile
            self._client.disconnect()
            # Its thread may be in the middle of an attempt, after which it has to end.
            ending = threading.Thread(target=self._client.loop_stop, daemon=True)
            ending.start()
            if connected:
                ending.join(_FAREWELL)

    def _make_client(self, ca_file: str | None) -> Any:
        try:
            from paho.mqtt import client as paho
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError as error:
            raise missing_package("paho-mqtt 2", "mqtt", "publish to an MQTT broker") from error
        client = paho.Client(CallbackAPIVersion.VERSION2)
        if self._address.user is not None:
            client.username_pw_set(self._address.user, self._address.password)
        if self._address.tls:
            client.tls_set_context(_trusted(ca_file))
        elif ca_file is not None:
            raise UsageError("--mqtt-ca: needs mqtts://, since mqtt:// is not encrypted.")
        client.will_set(self._topics.availability, "offline", self._qos, retain=True)
        client.reconnect_delay_set(_FIRST, _LONGEST)
        client.connect_timeout = _CONNECT
        client.max_queued_messages_set(self.capacity)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_connect_fail = self._on_connect_fail
        return client

    def _publish(self, topic: str, data: dict[str, Any], retain: bool = False) -> None:
        info = self._client.publish(topic, json.dumps(data), self._qos, retain)
        try:
            info.wait_for_publish(_FAREWELL if self._hurried else _PUBLISH)
        except (ValueError, RuntimeError) as error:
            raise EdgeError(f"{self._address.name}: {error}") from error
        if not info.is_published():
            raise EdgeError(f"{self._address.name}: does not take messages.")

    def _take_over(self, event: Event) -> None:
        """Keep what stands, for now and for the next connection."""
        with self._changed:
            state = dict(self._state)
            if event.kind == "label":
                state["state"] = state_of(event)
                for key in ("label", "unknown", "score", "since"):
                    state[key] = event.data.get(key)
            elif event.kind == "source":
                state["source_state"] = event.data.get("state")
            self._state = state

    # What follows is called by the client's own thread.

    def _on_connect(self, client: Any, _: Any, flags: Any, reason: Any, *rest: Any) -> None:
        if reason.is_failure:
            self._say(f"refused us ({reason}). Check user and password. Trying on.")
            return
        with self._changed:
            state = self._state
        client.publish(self._topics.availability, "online", self._qos, retain=True)
        client.publish(self._topics.state, json.dumps(state), self._qos, retain=True)
        if self._discovery is not None:
            from .mqtt_discovery import discovery

            for topic, config in discovery(
                self._topics, self._status.model, self._discovery
            ).items():
                client.publish(topic, json.dumps(config), self._qos, retain=True)
        if self._said is not None:
            self._said = None
            _log.info("mqtt: %s is there again.", self._address.name)
        with self._changed:
            self._connected = True
            self._changed.notify_all()

    def _on_disconnect(self, client: Any, _: Any, flags: Any, reason: Any, *rest: Any) -> None:
        with self._changed:
            was, self._connected = self._connected, False
        if was and not self._hurried:
            self._status.count("mqtt_reconnects")
            self._say("is gone. Trying to reach it again.")

    def _on_connect_fail(self, *_: Any) -> None:
        error = sys.exc_info()[1]  # paho calls this while it handles the exception
        reason = getattr(error, "strerror", None) or str(error or "no connection")
        self._say(f"cannot be reached ({reason}). Trying on, every {_LONGEST} s at last.")

    def _say(self, text: str) -> None:
        """Once, until something else is wrong or it is right again."""
        if text != self._said:
            self._said = text
            _log.warning("mqtt: %s %s", self._address.name, text)


def _trusted(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror if type(error) is FileNotFoundError else "no certificates in PEM"
        raise UsageError(f"--mqtt-ca {ca_file}: {reason}.") from error
