"""What a user types: the grammar of sources, their options, and passwords that nobody sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from color_model import ColorModels

from edge_runtime.cli import cli
from edge_runtime.commands.stream_options.source import VARIABLE, SourceChoice, source_options
from edge_runtime.errors import UsageError
from edge_runtime.sources import Source, SourceSettings, hide_credentials, parse_source
from edge_runtime.sources.credentials import Scrub, shown_source, with_quoted_user


@pytest.mark.parametrize(
    ("text", "kind", "address", "live"),
    [
        ("0", "camera", "0", True),
        ("/dev/video2", "camera", "/dev/video2", True),
        ("/dev/v4l/by-id/usb-cam", "camera", "/dev/v4l/by-id/usb-cam", True),
        ("rtsp://cam/x", "rtsp", "rtsp://cam/x", True),
        ("RTSPS://cam/x", "rtsp", "RTSPS://cam/x", True),
        ("http://cam/x", "http", "http://cam/x", True),
        ("https://cam/x", "http", "https://cam/x", True),
        ("picamera", "picamera", "", True),
        ("picamera:1", "picamera", "1", True),
        ("screen:", "screen", "", True),
        ("screen:1", "screen", "1", True),
        ("test:", "pattern", "", True),
        ("test:red,blue", "pattern", "red,blue", True),
        ("frames/*.jpg", "pictures", "frames/*.jpg", False),
        ("frames/f_%04d.jpg", "pictures", "frames/f_%04d.jpg", False),
    ],
)
def test_kinds(text: str, kind: str, address: str, live: bool) -> None:
    source = parse_source(text)
    assert (source.kind, source.address, source.live, source.name) == (kind, address, live, text)


def test_kinds_of_what_exists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is what it is, whatever its name looks like."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.mp4", "b.JPG", "test:", "0", "c[1].avi", "d%03d.mp4"):
        Path(name).touch()
    kinds = {"a.mp4": "video", "b.JPG": "pictures", "test:": "video", "./0": "video"}
    kinds |= {"c[1].avi": "video", "d%03d.mp4": "video", ".": "pictures"}
    for name, kind in kinds.items():
        assert (parse_source(name).kind, parse_source(name).live) == (kind, False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ftp://me:pw@host/x", "begins with ftp://"),
        ("none.mp4", "no such video file"),
        ("picamera:front", "expected a number"),
        ("screen:left", "expected a number"),
        ("", "no such video file"),
    ],
)
def test_what_is_no_source(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        parse_source(text)
    assert "pw" not in str(caught.value)


#: Address, the same as shown, and the same as programs take it.
URLS = [
    ("rtsp://host/x", "rtsp://host/x", "rtsp://host/x"),
    ("rtsp://me:pw@host:554/x", "rtsp://***@host:554/x", "rtsp://me:pw@host:554/x"),
    ("rtsp://me@host/x", "rtsp://***@host/x", "rtsp://me@host/x"),
    ("rtsp://me:p%40w@host/x", "rtsp://***@host/x", "rtsp://me:p%40w@host/x"),
    ("rtsp://me:p@w@host/x", "rtsp://***@host/x", "rtsp://me:p%40w@host/x"),
    ("rtsp://me:p/w@host/x", "rtsp://***@host/x", "rtsp://me:p%2Fw@host/x"),
    ("rtsp://me:p?w#1@host/x", "rtsp://***@host/x", "rtsp://me:p%3Fw%231@host/x"),
    ("rtsp://me:p:w@host/x", "rtsp://***@host/x", "rtsp://me:p%3Aw@host/x"),
    ("rtsp://me:p w@host/x", "rtsp://***@host/x", "rtsp://me:p%20w@host/x"),
    ("rtsp://me:50%@host/x", "rtsp://***@host/x", "rtsp://me:50%25@host/x"),
    ("rtsp://me:p@a/b@10.0.0.2/x", "rtsp://***@10.0.0.2/x", "rtsp://me:p%40a%2Fb@10.0.0.2/x"),
    ("rtsp://me:pw@[fe80::1]:554/", "rtsp://***@[fe80::1]:554/", "rtsp://me:pw@[fe80::1]:554/"),
    ("http://[fe80::1]/@x", "http://[fe80::1]/@x", "http://[fe80::1]/@x"),
    ("http://host/users/@me", "http://host/users/@me", "http://host/users/@me"),
    # doubtful: the name hides too much, the address is taken as it stands
    ("http://host:80/users/@me", "http://***@me", "http://host:80/users/@me"),
    ("http://h/v?user=a&pwd=b&x=1", "http://h/v?user=***&pwd=***&x=1", "http://h/v?user=a&pwd=b&x=1"),
    ("http://h/v?x=1&TOKEN=b#k", "http://h/v?x=1&TOKEN=***#k", "http://h/v?x=1&TOKEN=b#k"),
    ("http://h/v?password=a;auth=b", "http://h/v?password=***;auth=***", "http://h/v?password=a;auth=b"),
    ("http://h/v?access_token=b", "http://h/v?access_token=***", "http://h/v?access_token=b"),
    ("http://h/v?api_key=b&keyframe=1", "http://h/v?api_key=***&keyframe=1", "http://h/v?api_key=b&keyframe=1"),
    ("rtsp://h/user=a_password=b.sdp", "rtsp://h/user=***", "rtsp://h/user=a_password=b.sdp"),
]  # fmt: skip


@pytest.mark.parametrize(("address", "shown", "taken"), URLS)
def test_credentials_are_hidden(address: str, shown: str, taken: str) -> None:
    assert shown_source(address) == shown == parse_source(address).name
    assert with_quoted_user(address) == taken
    assert "secret" not in repr(Source("rtsp", "rtsp://me:secret@host", "x", True))
    if " " not in address:
        assert hide_credentials(f"error: {address} failed") == f"error: {shown} failed"


def test_files_have_no_credentials() -> None:
    assert shown_source("video@home.mp4") == "video@home.mp4"
    assert hide_credentials("user=1 is no URL") == "user=1 is no URL"


@pytest.mark.parametrize("password", ["pa@ss", "pa/ss w", "p%C3%A4ss", "pass%word"])
def test_other_libraries_messages_are_scrubbed(password: str) -> None:
    """As the password was typed, encoded, decoded, alone, and within a URL."""
    from urllib.parse import quote, unquote

    address = f"rtsp://admin:{password}@cam:554/live?token=tok123"
    scrub = Scrub(parse_source(address))
    forms = {password, quote(password, safe=""), unquote(password), "tok123"}
    for form in (*forms, address, with_quoted_user(address), f"rtsp://admin:{password}@cam"):
        said = scrub(f"cannot open {form}: refused (admin)")
        assert said.startswith("cannot open ") and ": refused" in said
        assert not any(secret in said for secret in (*forms, "admin"))
    assert scrub("Connection refused") == "Connection refused"


def parsed(*arguments: str) -> tuple[Source, SourceSettings]:
    """What the options of ``edge-classify stream`` make of arguments."""
    found: list[Any] = []

    @click.command()
    @source_options
    def command(source: SourceChoice) -> None:
        found.append(source.parse())

    command.main(list(arguments), standalone_mode=False)
    return found[0]  # type: ignore[no-any-return]


def test_options_become_settings() -> None:
    _, settings = parsed(
        "--source", "0", "--size", "1280x720", "--fps", "15", "--pixel-format", "mjpeg",
        "--rotate", "90", "--flip", "h", "--stall-after", "2.5", "--max-reconnects", "0",
    )  # fmt: skip
    assert settings == SourceSettings((1280, 720), 15.0, "MJPG", 90, "h", "tcp", False, 2.5, 0)
    assert parsed("--source", "0")[1] == SourceSettings()
    assert parsed("--source", "rtsp://x", "--rtsp-transport", "udp")[1].transport == "udp"
    assert parsed("--source", "*.jpg", "--realtime", "--fps", "2")[1].realtime


def test_which_source_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option, then the file, then the environment."""
    file = tmp_path / "source.txt"
    file.write_text("\n  rtsp://me:pw@file/x \n\n")
    monkeypatch.setenv(VARIABLE, "http://variable")
    assert parsed()[0].address == "http://variable"
    assert parsed("--source-file", str(file))[0].address == "rtsp://me:pw@file/x"
    assert parsed("--source-file", str(file), "--source", "3")[0].address == "3"
    monkeypatch.setenv(VARIABLE, " ")
    with pytest.raises(UsageError, match=f"--source-file or {VARIABLE}"):
        parsed()
    file.write_text("a\nrtsp://me:pw@b/x\n")
    with pytest.raises(UsageError, match="expected one line with a source, found 2"):
        parsed("--source-file", str(file))
    with pytest.raises(UsageError, match="No such file"):
        parsed("--source-file", str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("source", "option", "said"),
    [
        ("test:", ["--pixel-format", "MJPG"], "--pixel-format does not go with test:"),
        ("*.jpg", ["--size", "64x64"], "--size does not go with"),
        ("rtsp://me:pw@h", ["--size", "64x64"], "--roi chooses a part of it"),
        ("rtsp://me:pw@h", ["--fps", "5"], "--max-fps limits the answers"),
        ("0", ["--rtsp-transport", "udp"], "for rtsp:// alone"),
        ("0", ["--realtime"], "live already"),
        ("*.jpg", ["--stall-after", "3"], "a file is not waited for"),
        ("*.jpg", ["--max-reconnects", "0"], "a file is opened once"),
    ],
)
def test_options_that_do_not_go_together(source: str, option: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        parsed("--source", source, *option)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--size", "640"], "expected WIDTHxHEIGHT"),
        (["--size", "0x5"], "expected WIDTHxHEIGHT"),
        (["--pixel-format", "JPEGS"], "expected four characters"),
        (["--rotate", "45"], "90"),
        (["--flip", "x"], "hv"),
        (["--fps", "0"], "range"),
        (["--stall-after", "0"], "range"),
    ],
)
def test_values_that_are_none(option: list[str], said: str) -> None:
    result = CliRunner().invoke(cli, ["stream", "--model", "m", "--source", "0", *option])
    assert result.exit_code == 2 and said in result.stderr and option[0] in result.stderr


def test_no_password_on_any_stream(color_models: ColorModels, tmp_path: Path) -> None:
    """The whole command, with a source that refuses; exit code 6, no traceback."""
    file = tmp_path / "source"
    file.write_text("rtsp://me:secretword@127.0.0.1:1/x?token=tok123")  # no service has port 1
    command = ["stream", "--model", str(color_models.tflite), "--source-file", str(file)]
    result = CliRunner().invoke(cli, [*command, "--verbose", "--max-reconnects", "0"])
    assert result.exit_code == 6 and "connection refused" in result.stderr.lower()
    for secret in ("secretword", "tok123"):
        assert secret not in result.output and secret not in result.stderr
