"""The options of outputs: what they make, what they refuse, and what is left when one fails."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from color_model import ColorModels

from edge_runtime.cli import cli


def run(model: Path, *arguments: object) -> Result:
    """Run edge-classify stream in this process."""
    given = ["stream", "--model", model, "--source", "test:", "--max-frames", 3, *arguments]
    return CliRunner().invoke(cli, list(map(str, given)))


def test_several_at_once(color_models: ColorModels, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    result = run(
        color_models.tflite,
        *("--json", "--csv", tmp_path / "a.csv", "--snapshots", tmp_path / "shots"),
        *("--metrics", "127.0.0.1:0", "--hold", 1, "--smooth", "none"),
        *("--exec", f"sh -c 'cat >> {ran}'", "--tell", "label", "--tell", "stop"),
        *("--webhook", "http://127.0.0.1:1/x", "--mqtt", "mqtt://127.0.0.1:1/x"),
    )
    assert result.exit_code == 0, result.stderr
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["label"] for answer in answers if "frame" in answer and "top" in answer] == [
        "red"
    ] * 3
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 4
    assert len(list((tmp_path / "shots").iterdir())) == 3
    told = [json.loads(line) for line in ran.read_text().splitlines()]
    assert [event["event"] for event in told] == ["label", "stop"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--video-fps", "5"], "--video-fps: says something about --video"),
        (["--heatmap"], "--window or --video"),
        (["--tell", "all"], "--webhook or --exec"),
        (["--overwrite"], "--video or --csv"),
        (["--mqtt-discovery"], "about --mqtt"),
        (["--video", "x.mp4", "--video-max-mb", "5"], "--video-minutes"),
        (["--video", "x.gif"], "a name that ends in"),
        (["--metrics", "nowhere:x"], "--metrics nowhere:x"),
        (["--mqtt", "tcp://x"], "--mqtt: mqtt://"),
        (["--webhook", "x"], "--webhook: a URL"),
        (["--exec", "no-such-program-here"], "no program"),
        (["--csv-rows", "x"], "Invalid value"),
    ],
)
def test_refused(color_models: ColorModels, options: list[str], said: str) -> None:
    result = run(color_models.tflite, *options)
    assert result.exit_code == 2 and said in result.stderr and result.stdout == ""


def test_what_is_open_is_closed_when_a_later_one_fails(
    color_models: ColorModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_runtime.stream.outputs.csv_file import CsvFile

    closed: list[CsvFile] = []
    close = CsvFile.close
    monkeypatch.setattr(CsvFile, "close", lambda self: (closed.append(self), close(self)))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run(
            color_models.tflite,
            *("--csv", tmp_path / "a.csv", "--metrics", taken.getsockname()[1]),
        )
    assert result.exit_code == 6 and "another program listens there" in result.stderr
    assert len(closed) == 1


def test_nothing_is_loaded_without_an_option(color_models: ColorModels) -> None:
    code = (
        "import sys; from edge_runtime.cli import cli\n"
        f"cli(['stream', '--model', {str(color_models.tflite)!r}, '--source', 'test:', "
        "'--max-frames', '2'], standalone_mode=False)\n"
        "dear = {'cv2', 'fastapi', 'uvicorn', 'paho', 'ssl', 'http.server', 'socketserver', 'csv'}\n"
        "print(sorted(dear & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"
