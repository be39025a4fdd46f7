"""``edge-classify stream --preview``: the command, its errors, its end."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result
from color_model import ColorModels
from preview_server import TOKEN, parts
from stream_results import PATIENCE, wait_for

from edge_runtime.cli import cli

OPTIONS = ("--preview-token-file", "--preview-fps", "--preview-width")


def run(models: ColorModels, *arguments: str) -> Result:
    command = ["stream", "--model", str(models.tflite), "--source", "test:", "--max-frames", "3"]
    return CliRunner().invoke(cli, [*command, *arguments])


class Command:
    """The command as a process of its own."""

    def __init__(self, models: ColorModels, folder: Path, *arguments: str) -> None:
        self.errors = folder / "stderr"
        with self.errors.open("wb") as stream:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "edge_runtime.cli", "stream", "--model", str(models.tflite),
                    "--source", "test:", "--print", "events", *arguments,
                ],
                stdout=subprocess.DEVNULL,
                stderr=stream,
            )  # fmt: skip

    @property
    def url(self) -> str:
        """As it is printed."""
        found: list[str] = []

        def printed() -> bool:
            assert self.process.poll() is None, self.errors.read_text()
            found[:] = re.findall(r"preview: (http://\S+/)", self.errors.read_text())
            return bool(found)

        wait_for(printed)
        return found[0]


@pytest.fixture
def command(color_models: ColorModels, tmp_path: Path) -> Iterator[Command]:
    """With a token, on a port that the system chooses."""
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    started = Command(color_models, tmp_path, "--preview", ":0", "--preview-token-file", str(token))
    yield started
    started.process.kill()
    started.process.wait()


def test_stream_is_seen_until_it_is_stopped(command: Command) -> None:
    """A real stream: pictures, facts, and with SIGTERM an end of everything, with code 0."""
    url = command.url
    assert httpx.get(url, timeout=PATIENCE).status_code == 401
    with httpx.Client(headers={"authorization": f"Bearer {TOKEN}"}, timeout=PATIENCE) as client:
        wait_for(
            lambda: client.get(f"{url}state").json()["label"]["text"] in ("red", "green", "blue")
        )
        with client.stream("GET", f"{url}picture.mjpg?heatmap=1") as answer:
            found = parts(answer.iter_raw())
            for _ in range(3):
                assert next(found).startswith(b"\xff\xd8\xff")
            command.process.send_signal(signal.SIGTERM)
            assert command.process.wait(PATIENCE) == 0
            # What was under way ends as it should, or is cut off, but does not hang.
            try:
                for _ in found:
                    pass
            except httpx.RemoteProtocolError:
                pass
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)
    said = command.errors.read_text()
    assert TOKEN not in said
    assert "Traceback" not in said


def test_other_addresses_need_a_token(
    color_models: ColorModels, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("EDGE_CLASSIFY_PREVIEW_TOKEN", raising=False)
    for address in ("0.0.0.0:0", "[::]:0"):
        result = run(color_models, "--preview", address)
        assert result.exit_code == 2
        assert "needs a token" in result.stderr
        assert "secrets.token_urlsafe" in result.stderr, "how to make one"
        assert "EDGE_CLASSIFY_PREVIEW_TOKEN" in result.stderr
        assert result.stdout == ""
    monkeypatch.setenv("EDGE_CLASSIFY_PREVIEW_TOKEN", TOKEN)
    result = run(color_models, "--preview", "0.0.0.0:0")
    assert result.exit_code == 0, result.stderr
    assert f"preview: http://{socket.gethostname()}:" in result.stderr
    assert "token" in result.stderr
    assert TOKEN not in result.stderr + result.stdout
    monkeypatch.setenv("EDGE_CLASSIFY_PREVIEW_TOKEN", "short")
    result = run(color_models, "--preview", "0.0.0.0:0")
    assert result.exit_code == 3
    assert "at least 16" in result.stderr


def test_without_an_address(color_models: ColorModels, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option stands alone; another one behind it is not taken for its address."""
    monkeypatch.setattr("edge_runtime.commands.stream_options.preview._DEFAULT", "127.0.0.1:0")
    seen = []
    monkeypatch.setattr(
        "edge_runtime.web.address.resolve", lambda a, o: seen.append(str(a)) or 1 / 0
    )
    run(color_models, "--preview", "--json")
    assert seen == ["127.0.0.1:8090"]


def test_what_makes_no_sense(color_models: ColorModels, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for arguments, code, said in (
            (["--preview", "nonsense:port"], 2, "--preview nonsense:port: expected HOST:PORT"),
            (["--preview", "no-such-host.invalid"], 2, "no such host"),
            (["--preview", f":{port}"], 6, "another program listens there"),
            (["--preview", ":0", "--preview-token-file", str(tmp_path / "no")], 2, "no such file"),
            (["--preview", ":0", "--preview-fps", "0"], 2, "--preview-fps"),
            (["--preview-fps", "5"], 2, "--preview-fps: has no effect without --preview"),
            (["--preview-token-file", "x"], 2, "--preview-token-file: has no effect without"),
        ):
            result = run(color_models, *arguments)
            assert (result.exit_code, result.stdout) == (code, ""), result.stderr
            assert said in result.stderr


@pytest.mark.parametrize(("module", "package"), [("fastapi", "FastAPI"), ("uvicorn", "uvicorn")])
def test_missing_extra(
    color_models: ColorModels, monkeypatch: pytest.MonkeyPatch, module: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    result = run(color_models, "--preview", ":0")
    assert result.exit_code == 5
    assert f"{package} is needed to show a preview" in result.stderr
    assert "edge-classify[serve]" in result.stderr


def test_nothing_is_loaded_without_the_option(color_models: ColorModels) -> None:
    code = (
        "import sys\nfrom edge_runtime.cli import cli\n"
        f"cli(['stream', '--model', {str(color_models.tflite)!r}, '--source', 'test:', "
        "'--max-frames', '2'], standalone_mode=False)\n"
        "print(sorted({'fastapi', 'starlette', 'uvicorn', 'pydantic', 'asyncio', 'edge_runtime.web'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_names_the_options() -> None:
    said = CliRunner().invoke(cli, ["stream", "--help"]).stdout
    for option in ("--preview [HOST:PORT]", *OPTIONS):
        assert option in said


def test_page_is_packaged(tmp_path: Path) -> None:
    """Every file of the page is in the patterns of setup.cfg, or an installed one would lack it."""
    import configparser

    root = Path(__file__).parents[2]
    config = configparser.ConfigParser()
    config.read(root / "setup.cfg")
    patterns = [p.strip() for p in config["options.package_data"]["edge_runtime"].split(",")]
    packaged = {file for pattern in patterns for file in (root / "edge_runtime").glob(pattern)}
    for place in ("stream/preview/page", "serving/page", "web/page"):
        files = set((root / "edge_runtime" / place).iterdir())
        assert len(files) >= 3 and files <= packaged
