"""A real RTSP server: both transports, a login, and reasons that help."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_runtime.sources import SourceSettings, parse_source
from edge_runtime.sources.base import Frame, SourceLost
from edge_runtime.sources.opencv import open_opencv
from edge_runtime.sources.opening import open_reader

#: The Python that GStreamer's bindings are installed for, by Debian's packages
#: gir1.2-gst-rtsp-server-1.0 and python3-gi.
PYTHON = "/usr/bin/python3"

SERVER = Path(__file__).with_name("rtsp_server.py")

#: What a password may hold that means something in a URL.
PASSWORD = "p@s/s?w"

LONG = 60.0


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """An RTSP server, and its port."""
    with subprocess.Popen(
        [PYTHON, SERVER, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            process.wait()
            pytest.skip("GStreamer's RTSP server is not installed")
        try:
            yield int(line), process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Port of a server that wants a login."""
    if not Path(PYTHON).exists():
        pytest.skip(f"no {PYTHON}")
    with serving(f"me:{PASSWORD}") as (number, _):
        yield number


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_frames_of_a_camera(port: int, transport: str) -> None:
    """Its password typed as it is; frames in colour, stamped when they came."""
    source = parse_source(f"rtsp://me:{PASSWORD}@127.0.0.1:{port}/test")
    assert source.name == f"rtsp://***@127.0.0.1:{port}/test"
    reader = open_reader(source, SourceSettings(transport=transport))
    stamps = []
    for _ in range(5):
        grabbed = reader.read(LONG)
        assert grabbed is not None
        stamps.append(grabbed.captured)
        pixels = Frame(grabbed, 0).pixels
        red, green, blue = pixels.reshape(-1, 3).mean(0)
        assert pixels.shape == (120, 160, 3) and red > 200 and green < 60 and blue < 60
    assert stamps == sorted(set(stamps)) and stamps[-1] <= time.monotonic()
    assert reader.fps == 25
    reader.close()


@pytest.mark.parametrize(
    ("user", "path", "said"),
    [
        ("me:secretword", "test", "refuses the login (401)"),
        (f"me:{PASSWORD}", "none", "nothing at this address (404)"),
    ],
)
def test_refusals_say_what_to_do(port: int, user: str, path: str, said: str) -> None:
    reader = open_reader(parse_source(f"rtsp://{user}@127.0.0.1:{port}/{path}"), SourceSettings())
    with pytest.raises(SourceLost) as caught:
        reader.read(LONG)
    reader.close()
    assert said in str(caught.value) and "secretword" not in str(caught.value)


def test_nobody_listens() -> None:
    """Port 1 is no service's; the same for URLs of other kinds, which the HTTP reader hands on."""
    reader = open_reader(parse_source("rtsp://me:secretword@127.0.0.1:1/x"), SourceSettings())
    with pytest.raises(SourceLost, match="connection refused"):
        reader.read(LONG)
    reader.close()
    other = open_opencv(parse_source("http://127.0.0.1:1/live.m3u8"), SourceSettings())
    with pytest.raises(SourceLost, match="connection refused"):
        other.read(LONG)
    other.close()


def test_server_that_dies_is_a_loss() -> None:
    with serving() as (port, process):
        source = parse_source(f"rtsp://127.0.0.1:{port}/test")
        reader = open_reader(source, SourceSettings(stall_after=5))
        assert reader.read(LONG) is not None
        process.kill()
        with pytest.raises(SourceLost):
            while True:
                reader.read(LONG)
        reader.close()
