"""deploy/: the service's command line is one that edge-classify takes; files and links are sound."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from edge_runtime import __version__, errors
from edge_runtime.commands.serve import _VARIABLE as TOKEN_VARIABLE
from edge_runtime.commands.serve import serve
from edge_runtime.commands.stream import stream
from edge_runtime.commands.stream_options.source import VARIABLE
from edge_runtime.serving.settings import ServeSettings

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "edge-classify.service"


def unit() -> dict[str, list[str]]:
    """``Section.Key`` to its values, in order; a unit file may repeat a key."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, equals, value = line.partition("=")
            assert section and equals, line
            found.setdefault(f"{section}.{key}", []).append(value)
    return found


def environment() -> dict[str, str]:
    """The variables of the environment file."""
    lines = (DEPLOY / "edge-classify.env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def command_line(variables: dict[str, str]) -> list[str]:
    """What systemd makes of ExecStart: ``${NAME}`` is one word, ``$NAME`` as many as it holds."""
    words: list[str] = []
    for word in shlex.split(unit()["Service.ExecStart"][0]):
        if bare := re.fullmatch(r"\$(\w+)", word):
            words += variables[bare[1]].split()
        else:
            words.append(re.sub(r"\$\{(\w+)\}", lambda match: variables[match[1]], word))
    return words


@pytest.mark.parametrize("options", ["", "--format tflite-int8 --threads 2 --top-k 3"])
def test_command_line_is_taken(options: str) -> None:
    """With the file as it is, and with the options that its comment offers."""
    text = (DEPLOY / "edge-classify.env").read_text(encoding="utf-8")
    assert f"OPTIONS={options}" in text
    program, command, *arguments = command_line(environment() | {"OPTIONS": options})
    assert Path(program).name == "edge-classify" and command == "stream"
    context = stream.make_context("stream", arguments)
    assert context.params["output_as_json"] and context.params["model"] == environment()["MODEL"]
    # Where every user could read it; it comes by the variable.
    assert context.params["source_address"] is None and VARIABLE in environment()
    folder = unit()["Service.RuntimeDirectory"][0]
    assert context.params["state_path"] == f"/run/{folder}/state.json"
    if options:
        assert context.params["fmt"] == "tflite-int8" and context.params["threads"] == 2


def test_an_option_that_is_gone_would_be_noticed() -> None:
    arguments = command_line(environment() | {"OPTIONS": "--frobnicate"})[2:]
    with pytest.raises(click.NoSuchOption):
        stream.make_context("stream", arguments)


def test_restarts_only_where_that_helps() -> None:
    found = unit()
    hopeless = {int(code) for code in found["Service.RestartPreventExitStatus"][0].split()}
    kinds = (errors.UsageError, errors.DataError, errors.MissingComponent)
    assert hopeless == {kind.exit_code for kind in kinds}
    assert errors.SystemFailure.exit_code not in hopeless  # a full disk, a camera given up
    assert found["Service.Restart"] == ["on-failure"]
    assert found["Unit.StartLimitIntervalSec"] == ["0"]


def test_service_says_how_it_is() -> None:
    """What edge_runtime.stream.systemd tells is listened to, and SIGHUP is what reloads."""
    found = unit()
    assert found["Service.Type"] == ["notify"] and int(found["Service.WatchdogSec"][0]) > 0
    assert found["Service.ExecReload"] == ["/bin/kill -HUP $MAINPID"]


def test_service_may_do_little() -> None:
    found = unit()
    assert found["Service.User"] == ["edge-classify"]
    assert found["Service.NoNewPrivileges"] == ["yes"]
    assert found["Service.ProtectSystem"] == ["strict"]
    assert found["Service.DeviceAllow"] == ["char-video4linux rw"]
    assert found["Service.CapabilityBoundingSet"] == [""]
    cache = found["Service.CacheDirectory"][0]  # all that it may write
    assert found["Service.Environment"] == [f"EDGE_CLASSIFY_CACHE=/var/cache/{cache}"]
    assert found["Service.EnvironmentFile"] == ["/etc/edge-classify/edge-classify.env"]


@pytest.mark.parametrize("name", ["edge-classify.service", "edge-classify-serve.service"])
def test_systemd_accepts_the_unit(tmp_path: Path, name: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    # It looks the program up, which is not installed where the unit expects it.
    text = (DEPLOY / name).read_text(encoding="utf-8")
    copy = tmp_path / name
    copy.write_text(text.replace("/opt/edge-classify/venv/bin/edge-classify", "/bin/true"))
    command = ["systemd-analyze", "verify", "--man=no", copy]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and name not in done.stderr, done.stderr


def serve_unit() -> dict[str, str]:
    """``Key`` to its last value."""
    text = (DEPLOY / "edge-classify-serve.service").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if "=" in line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


@pytest.mark.parametrize("options", ["", "--format tflite-int8 --threads 2 --max-queue 4"])
def test_serve_command_line_is_taken(options: str) -> None:
    """With the file as it is, and with the options that its comment offers."""
    text = (DEPLOY / "edge-classify-serve.env").read_text(encoding="utf-8")
    assert f"OPTIONS={options}" in text
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    variables = dict(line.split("=", 1) for line in lines) | {"OPTIONS": options}
    words: list[str] = []
    for word in serve_unit()["ExecStart"].split():
        words += variables[word[1:]].split() if word.startswith("$") else [word]
    assert words[1] == "serve"
    context = serve.make_context("serve", words[2:])
    assert context.params["models"] == ("/opt/edge-classify/bundle",)
    assert context.params["host"] == "127.0.0.1" and context.params["token_file"] is None
    assert TOKEN_VARIABLE in variables  # not where every user could read it
    if options:
        assert context.params["max_queue"] == 4


def test_serve_service_is_hardened_and_says_how_it_is() -> None:
    found = serve_unit()
    assert found["Type"] == "notify" and found["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert found["RestartPreventExitStatus"] == "2 3 5" and found["User"] == "edge-classify"
    for key in ("NoNewPrivileges", "PrivateDevices", "ProtectHome", "PrivateTmp"):
        assert found[key] == "yes"
    assert found["ProtectSystem"] == "strict" and found["CapabilityBoundingSet"] == ""
    # What is in flight may be finished before systemd loses its patience.
    assert int(found["TimeoutStopSec"]) > ServeSettings().stop + 5
    # A connection is a file, and the server needs some for itself.
    assert int(found["LimitNOFILE"]) > 2 * ServeSettings().connections


def test_proxies_take_what_the_server_takes() -> None:
    limit = ServeSettings().max_body >> 20
    nginx = (DEPLOY / "edge-classify-serve.nginx").read_text(encoding="utf-8")
    caddy = (DEPLOY / "edge-classify-serve.Caddyfile").read_text(encoding="utf-8")
    assert f"client_max_body_size {limit}m;" in nginx and f"max_size {limit}MiB" in caddy
    for text in (nginx, caddy):
        assert "127.0.0.1:8080" in text and text.count("{") == text.count("}")


def test_proxies_keep_the_token_out_of_their_logs() -> None:
    """nginx has the query of a request in what it says of errors, too, but of the worst."""
    nginx = (DEPLOY / "edge-classify-serve.nginx").read_text(encoding="utf-8")
    assert re.search(r"^ *error_log \S+ crit;$", nginx, re.M)
    assert "$request_uri" not in nginx and '$request"' not in nginx
    caddy = (DEPLOY / "edge-classify-serve.Caddyfile").read_text(encoding="utf-8")
    assert "delete token" in caddy


def test_camera_rule() -> None:
    """One rule, of matches and two assignments, that names what the service opens."""
    text = (DEPLOY / "70-edge-classify-camera.rules").read_text(encoding="utf-8")
    (rule,) = (line for line in text.splitlines() if line and not line.startswith("#"))
    parts = [part.strip() for part in rule.split(",")]
    assert all(re.fullmatch(r'\w+(\{\w+\})?(==|\+=)"[^"]+"', part) for part in parts)
    link = next(part for part in parts if part.startswith("SYMLINK+="))
    assert environment()[VARIABLE] == "/dev/" + link.split('"')[1]


def test_note_names_every_file() -> None:
    note = (DEPLOY / "README.md").read_text(encoding="utf-8")
    for path in DEPLOY.iterdir():
        assert path.name == "README.md" or f"`{path.name}`" in note


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "deploy/README.md",
        *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")),
    ],
)
def test_links_lead_somewhere(page: str) -> None:
    """Files, and headings as GitHub names them."""
    path = ROOT / page
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            name, _, anchor = target.partition("#")
            other = path.parent / name if name else path
            assert other.is_file(), target
            assert not anchor or anchor in anchors(other), target


def anchors(page: Path) -> set[str]:
    """What the headings of a page are called in links."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_install_page_names_this_version() -> None:
    text = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    assert set(re.findall(r"edge_classify-([\w.]+)-py3", text)) == {__version__}
