"""Encrypted connections are made to servers whose certificate is trusted, and to no others."""

from __future__ import annotations

import http.server
import shutil
import ssl
import subprocess
import threading
from pathlib import Path

import pytest
from stream_results import PATIENCE, label_event, wait_for

from edge_runtime.stream.outputs.base import Outlet
from edge_runtime.stream.outputs.mqtt import Mqtt
from edge_runtime.stream.outputs.mqtt_address import parse_address
from edge_runtime.stream.outputs.webhook import NotDelivered, Patience, Webhook
from edge_runtime.stream.status import Status

OPENSSL = shutil.which("openssl")
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_webhook(certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with http.server.HTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        url, status = f"https://127.0.0.1:{server.server_port}/x", Status("test:", "m")
        stranger = Webhook(url, status, ("label",), patience=Patience(give_up=0.0))
        with pytest.raises(NotDelivered, match=r"CERTIFICATE_VERIFY_FAILED|certificate verify"):
            stranger.event(label_event())
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        Webhook(url, status, ("label",), patience=Patience(give_up=0.0)).event(label_event())
        server.shutdown()


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_mqtt(
    certificate: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import getpass
    import socket

    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = tmp_path / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nuser {getpass.getuser()}\n"
        f"certfile {certificate[0]}\nkeyfile {certificate[1]}\n"
    )
    assert MOSQUITTO is not None
    with subprocess.Popen(
        [MOSQUITTO, "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as broker:
        try:
            status = Status("test:", "m")
            address = parse_address(f"mqtts://127.0.0.1:{port}/x")
            stranger = Outlet(Mqtt(address, status), status)
            wait_for(lambda: any("certificate verify failed" in m for m in caplog.messages))
            assert stranger.close(PATIENCE)
            friend = Outlet(Mqtt(address, status, ca_file=str(certificate[0])), status)
            friend.event(label_event())
            output = friend.output
            wait_for(lambda: output._connected)  # type: ignore[attr-defined]
            assert friend.close(PATIENCE)
            assert status.snapshot()["output_failures"] == {}
        finally:
            broker.kill()
