"""A stream as a service: signals, pipes that end, systemd, the state file and its check."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from color_model import ColorModels, write_manifest
from stream_parts import LONG, wait_for, write_video

from edge_runtime.alive import check_state
from edge_runtime.cli import cli
from edge_runtime.errors import SystemFailure, UsageError
from edge_runtime.stream.results import Event
from edge_runtime.stream.state_file import StateFile
from edge_runtime.stream.status import Status
from edge_runtime.stream.systemd import Notifier

REPO = Path(__file__).parents[2]

#: fcntl(2); the module has it from Python 3.10 on, on Linux alone.
_F_SETPIPE_SZ = 1031

#: Runs the command as the installed program does; a shell that starts the tests in the background
#: hands down an ignored SIGINT.
PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
{before}
from edge_runtime.cli import cli
sys.argv[0] = "edge-classify"
cli()
"""


@contextlib.contextmanager
def started(
    tmp_path: Path, *arguments: object, before: str = "", **more: Any
) -> Iterator[subprocess.Popen[str]]:
    """``edge-classify stream`` in a process of its own."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(before=before))
    environment = os.environ | {"PYTHONPATH": str(REPO)} | more.pop("env", {})
    with subprocess.Popen(
        [sys.executable, program, "stream", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **more,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_cleanly(
    color_models: ColorModels, tmp_path: Path, number: signal.Signals
) -> None:
    """Exit code 0, whole lines, and the last one says why."""
    model = ("--model", color_models.tflite, "--source", "test:", "--json", "--print", "all")
    with started(tmp_path, *model) as process:
        first = first_line(process)
        process.send_signal(number)
        rest, errors = process.communicate(timeout=LONG)
    assert process.returncode == 0, errors
    told = [json.loads(line) for line in [first, *rest.splitlines()]]
    assert told[-1]["event"] == "stop" and told[-1]["reason"] == number.name
    assert "answered" in errors and "Traceback" not in errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_while_the_model_loads(
    color_models: ColorModels, tmp_path: Path, number: signal.Signals
) -> None:
    before = (
        "import time, edge_runtime.classifier as c\n"
        "def slow(*a, **k):\n"
        "    print('loading', flush=True)\n"
        "    time.sleep(60)\n"
        "c.open_model = slow\n"
    )
    model = ("--model", color_models.tflite, "--source", "test:")
    with started(tmp_path, *model, before=before) as process:
        assert first_line(process) == "loading\n"
        process.send_signal(number)
        out, errors = process.communicate(timeout=LONG)
    assert (process.returncode, out) == (0, "") and "stopped before it began" in errors


def test_signal_while_the_source_is_away(color_models: ColorModels, tmp_path: Path) -> None:
    """Nobody listens at the address; the feed tries again and again."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/video"
        model = ("--model", color_models.tflite, "--source", address, "--print", "all", "--json")
        with started(tmp_path, *model) as process:
            event = json.loads(first_line(process))
            assert event["event"] == "source" and event["state"] != "open"
            process.send_signal(signal.SIGTERM)
            out, errors = process.communicate(timeout=LONG)
    assert process.returncode == 0, errors
    assert json.loads(out.splitlines()[-1])["event"] == "stop"


#: A camera so fast that a pipe which nobody reads is soon full.
FAST = (
    "import edge_runtime.sources.pattern as p\n"
    "p.open_reader = lambda *_: p.TestPattern(['red'], (8, 8), 2000)\n"
)


@pytest.mark.parametrize("twice", [False, True])
def test_a_reader_that_does_not_read(
    color_models: ColorModels, tmp_path: Path, twice: bool
) -> None:
    """What waits for a full pipe is given up after some seconds, on a second Ctrl-C at once."""
    state = tmp_path / "state.json"
    model = ("--model", color_models.tflite, "--source", "test:", "--json", "--state", state)

    def drops() -> int:
        with contextlib.suppress(OSError, ValueError):
            return int(json.loads(state.read_text())["output_drops"].get("stdout", 0))
        return 0

    with started(tmp_path, *model, before=FAST) as process:
        wait_for(drops, "a full pipe")
        process.send_signal(signal.SIGINT)
        if twice:
            wait_for(lambda: json.loads(state.read_text())["state"] == "stopped")
            process.send_signal(signal.SIGINT)
        process.wait(LONG)
        assert process.stderr is not None
        errors = process.stderr.read()
    assert process.returncode == (-signal.SIGINT if twice else 0), errors
    assert "Traceback" not in errors
    assert twice or "stdout: did not take in time" in errors


def pictures(folder: Path, count: int) -> Path:
    from PIL import Image

    folder.mkdir()
    for number in range(count):
        Image.new("RGB", (8, 8), (255, 0, 0)).save(folder / f"{number:03d}.png")
    return folder


def test_a_slow_reader_gets_all_of_a_recorded_source(
    color_models: ColorModels, tmp_path: Path
) -> None:
    """More waits when the source ends than a pipe holds; other outputs have a moment at the end."""
    state, source = tmp_path / "state.json", pictures(tmp_path / "photos", 50)
    impatient = (
        "from edge_runtime.stream.outputs import base\nbase.close_all.__defaults__ = (0.1,)\n"
    )
    wish = ("--model", color_models.tflite, "--source", source, "--json", "--state", state)
    with started(tmp_path, *wish, before=impatient) as process:
        assert process.stdout is not None and process.stderr is not None
        fcntl.fcntl(process.stdout, _F_SETPIPE_SZ, 4096)

        def stopped() -> bool:
            with contextlib.suppress(OSError, ValueError):
                return json.loads(state.read_text())["state"] == "stopped"
            return False

        wait_for(stopped, "the end of the loop")
        time.sleep(0.5)
        answers = [json.loads(line) for line in process.stdout]
        assert process.wait(LONG) == 0, process.stderr.read()
    assert [answer["frame"] for answer in answers if "frame" in answer] == list(range(50))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")
def test_the_last_answer_cannot_be_written(color_models: ColorModels, tmp_path: Path) -> None:
    """The loop has ended when it fails."""
    source = pictures(tmp_path / "photos", 1)
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "edge_runtime.cli", "stream", "--json",
             "--model", color_models.tflite, "--source", source],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=LONG, check=False,
            env=os.environ | {"PYTHONPATH": str(REPO)},
        )  # fmt: skip
    assert done.returncode == 6 and "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_has_seen_enough(color_models: ColorModels, tmp_path: Path) -> None:
    """As ``| head``."""
    model = ("--model", color_models.tflite, "--source", "test:")
    with started(tmp_path, *model) as process:
        assert process.stdout is not None and process.stderr is not None
        assert first_line(process).startswith("frame 0: ")
        process.stdout.close()
        assert process.wait(LONG) == 0
        assert "Traceback" not in process.stderr.read()


def test_sighup_reloads_the_bundle(color_models: ColorModels, bundle: Path, tmp_path: Path) -> None:
    """First a broken one, which changes nothing, then one with another default file."""
    model = ("--model", bundle, "--source", "test:", "--json", "--print", "events")
    with started(tmp_path, *model) as process:
        assert process.stdout is not None
        first_line(process)
        manifest = (bundle / "manifest.json").read_text()
        (bundle / "manifest.json").write_text("{")
        process.send_signal(signal.SIGHUP)
        reloads = (line for line in map(json.loads, process.stdout) if line["event"] == "reload")
        assert next(reloads)["ok"] is False
        (bundle / "manifest.json").write_text(manifest)
        files = {
            "tflite-fp32": bundle / color_models.tflite.name,
            "tflite-int8": bundle / color_models.tflite_int8.name,
        }
        write_manifest(bundle, files, "tflite-int8")
        process.send_signal(signal.SIGHUP)
        found = next(reloads)
        assert found["ok"] is True and found["format"] == "tflite-int8"
        process.send_signal(signal.SIGTERM)
        out, errors = process.communicate(timeout=LONG)
    assert process.returncode == 0, errors
    told = [json.loads(line) for line in out.splitlines()]
    assert told[-1]["reconnects"] == 0  # the camera was not touched


class Manager:
    """The side of systemd: a datagram socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(LONG)

    def next(self) -> dict[str, str]:
        message = self.socket.recv(4096).decode()
        return dict(line.split("=", 1) for line in message.splitlines())

    def until(self, name: str) -> dict[str, str]:
        while True:
            message = self.next()
            if name in message:
                return message


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    kind = request.param
    address = str(tmp_path / "notify") if kind == "path" else f"@edge-classify-test-{os.getpid()}"
    opened = Manager(address)
    yield opened
    opened.socket.close()


def test_systemd_is_told(
    color_models: ColorModels, bundle: Path, tmp_path: Path, manager: Manager
) -> None:
    """Ready after the first answer, alive, reloading with the time, ready again, stopping."""
    environment = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "100000"}
    model = ("--model", bundle, "--source", "test:")
    with started(tmp_path, *model, env=environment) as process:
        assert "READY" in manager.next()
        assert manager.until("WATCHDOG")["WATCHDOG"] == "1"
        assert "running" in manager.until("STATUS")["STATUS"]
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        process.send_signal(signal.SIGHUP)
        message = manager.until("RELOADING")
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        assert before <= int(message["MONOTONIC_USEC"]) <= after
        assert manager.until("READY")["READY"] == "1"
        process.send_signal(signal.SIGTERM)
        assert manager.until("STOPPING")["STOPPING"] == "1"
        process.communicate(timeout=LONG)
    assert process.returncode == 0


def notifier(manager: Manager, **more: str) -> Notifier:
    environment = {"NOTIFY_SOCKET": manager.address, **more}
    made = Notifier.from_environment(Status("test:", "model"), environment)
    assert made is not None and environment == {}  # no child shall speak for the service
    return made


def test_watchdog_stops_when_the_loop_does(manager: Manager) -> None:
    """A pulse now and then is told at half of the time that systemd gives; no pulse, nothing."""
    found = notifier(manager, WATCHDOG_USEC="40000", WATCHDOG_PID=str(os.getpid()))
    for _ in range(6):
        found.pulse()
        time.sleep(0.02)
    manager.socket.setblocking(False)
    beats = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            beats += "WATCHDOG" in manager.next()
    assert beats >= 3
    time.sleep(0.1)
    with pytest.raises(BlockingIOError):
        manager.next()


def test_the_watchdog_of_another_process_is_left_alone(manager: Manager) -> None:
    found = notifier(manager, WATCHDOG_USEC="1000", WATCHDOG_PID="1")
    found.pulse()
    assert "WATCHDOG" not in manager.next()


def test_a_manager_that_takes_nothing_costs_nothing(manager: Manager) -> None:
    """Its queue is full, then empty: what was to be told is told then."""
    found = notifier(manager)
    blocker = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    blocker.setblocking(False)
    address = "\0" + manager.address[1:] if manager.address.startswith("@") else manager.address
    with contextlib.suppress(BlockingIOError):
        while True:
            blocker.sendto(b"X=1", address)
    found.pulse()
    manager.socket.settimeout(0.2)
    with contextlib.suppress(TimeoutError):
        while True:
            assert "READY" not in manager.next()
    found.pulse()
    assert manager.next()["READY"] == "1"
    blocker.close()


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative"])
def test_no_notifier_without_a_socket(address: str) -> None:
    environment = {"NOTIFY_SOCKET": address} if address else {}
    assert Notifier.from_environment(Status("test:", "model"), environment) is None


def test_state_file_of_a_run(color_models: ColorModels, tmp_path: Path) -> None:
    state, video = tmp_path / "state.json", write_video(tmp_path / "v.avi")
    command = ["stream", "--model", color_models.tflite, "--source", video, "--state", state]
    result = CliRunner().invoke(cli, list(map(str, command)))
    assert result.exit_code == 0, result.stderr
    found = json.loads(state.read_text())
    assert found["state"] == "stopped" and found["pid"] == os.getpid()
    assert (found["results"], found["steady"]["label"]) == (30, "blue")
    assert found["source"] == str(video) and found["last_age_ms"] >= 0
    assert "histograms" not in found and "temperature" in found and "throttling" in found
    assert [file.name for file in tmp_path.iterdir() if "state" in file.name] == ["state.json"]


def test_state_file_follows_events_and_time(tmp_path: Path) -> None:
    state, status = tmp_path / "state.json", Status("test:", "model")

    def found() -> dict[str, Any]:
        read: dict[str, Any] = json.loads(state.read_text())
        return read

    with StateFile(str(state), status, period=0.05):
        assert found()["state"] == "starting"
        begun = found()["updated"]
        wait_for(lambda: found()["updated"] > begun)
        status.enter("running")
        wait_for(lambda: found()["state"] == "waiting for source")
        status.event(Event("source", {"state": "open"}))
        wait_for(lambda: found()["state"] == "running")
        status.event(Event("source", {"state": "stalled"}))
        wait_for(lambda: found()["state"] == "waiting for source")
        assert found()["source_state"] == "stalled"
        status.enter("stopped")
    assert found()["state"] == "stopped"


def test_state_file_survives_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Told once; when there is room again, it is written again."""
    state, status = tmp_path / "state.json", Status("test:", "model")
    write, full = Path.write_text, True
    tried = 0

    def refuse(self: Path, *arguments: Any, **more: Any) -> int:
        nonlocal tried
        tried += 1
        if full:
            raise OSError(28, "No space left on device")
        return write(self, *arguments, **more)

    with StateFile(str(state), status, period=0.01):
        monkeypatch.setattr(Path, "write_text", refuse)
        wait_for(lambda: tried >= 3)
        full = False
        status.enter("running")
        wait_for(lambda: json.loads(state.read_text())["state"] == "waiting for source")


@pytest.mark.parametrize("place", ["", "/dev/null", "missing/state.json"])
def test_state_file_that_is_none(tmp_path: Path, place: str) -> None:
    """A folder, a device (which would be replaced by a file), a folder that is not there."""
    expected = SystemFailure if place.startswith("missing") else UsageError
    with pytest.raises(expected, match="--state"):
        StateFile(os.path.join(tmp_path, place), Status("test:", "model"))
    assert Path("/dev/null").is_char_device()


def written(tmp_path: Path, **changes: Any) -> Path:
    """A state file of a run that works, but for some changes."""
    status = Status("test:", "model")
    status.enter("running")
    status.event(Event("source", {"state": "open"}))
    file = tmp_path / "state.json"
    StateFile(str(file), status).close()
    data = json.loads(file.read_text()) | {"last_result_s": 0.1} | changes
    file.write_text(json.dumps(data))
    return file


@pytest.mark.parametrize(
    ("changes", "works", "said"),
    [
        ({}, True, "running"),
        ({"state": "starting"}, True, "starting"),
        ({"steady": {"label": None, "unknown": True}}, True, "running: unknown"),
        ({"state": "stopped"}, False, "stopped"),
        ({"state": "waiting for source", "source_state": "stalled"}, False, "stalled"),
        ({"updated": "2020-01-01T00:00:00+00:00"}, False, "last written"),
        ({"updated": "2100-01-01T00:00:00+00:00"}, False, "last written"),
        ({"last_result_s": 11}, False, "no frame answered for 11 s"),
        ({"last_result_s": None}, True, "no frame answered yet"),
        ({"last_result_s": None, "source_state_s": 11}, False, "no frame answered yet"),
        ({"updated": 5}, False, "not a state file"),
    ],
)
def test_check(tmp_path: Path, changes: dict[str, Any], works: bool, said: str) -> None:
    found, text = check_state(written(tmp_path, **changes))
    assert found is works and said in text


@pytest.mark.parametrize("swapped", [False, True])
def test_check_on_the_command_line(tmp_path: Path, swapped: bool) -> None:
    """Needs neither model nor source; the order of its two options does not matter."""
    file = written(tmp_path, last_result_s=20)

    def check(*more: str) -> tuple[int, str]:
        options = [("--check-state", str(file)), more]
        words = [word for option in (reversed(options) if swapped else options) for word in option]
        result = CliRunner().invoke(cli, ["stream", *words])
        return result.exit_code, result.stdout

    assert check()[0] == 1 and check("--max-age", "30") == (0, "running: 0.0 results a second.\n")
    file.unlink()
    assert check("--max-age", "30")[0] == 1


def test_check_is_light(tmp_path: Path) -> None:
    """It runs every half minute in a container: no numpy, no Pillow."""
    file = written(tmp_path)
    code = (
        "import sys\nfrom edge_runtime.cli import cli\n"
        f"try: cli(['stream', '--check-state', {str(file)!r}])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert not {'numpy', 'PIL', 'edge_runtime.stream'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": REPO})


def test_command_loads_no_more_than_it_uses(color_models: ColorModels) -> None:
    """OpenCV, the web server and MQTT are for those who ask for them."""
    code = (
        "import sys\nfrom edge_runtime.cli import cli\n"
        f"cli(['stream', '--model', {str(color_models.tflite)!r}, '--source', 'test:', "
        "'--max-frames', '2'], standalone_mode=False)\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": REPO},
    )  # fmt: skip
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & {"cv2", "fastapi", "uvicorn", "paho", "tensorflow", "ssl", "asyncio"}


def test_a_closed_terminal_is_no_reload(color_models: ColorModels, tmp_path: Path) -> None:
    """SIGHUP from a terminal that went away ends the stream; without one, it reloads."""
    import pty

    state = tmp_path / "state.json"
    model = ("--model", color_models.tflite, "--source", "test:", "--state", state)
    # A terminal that the leader of a session opens becomes its own (tty_ioctl(4), TIOCSCTTY).
    before = "import os\nos.open(os.ttyname(0), os.O_RDWR)\n"

    def found(key: str) -> Any:
        with contextlib.suppress(OSError, ValueError):
            return json.loads(state.read_text()).get(key)
        return None

    terminal, inner = pty.openpty()
    output = ("--print", "events")
    with started(
        tmp_path, *model, *output, before=before, stdin=inner, start_new_session=True
    ) as process:
        os.close(inner)
        wait_for(lambda: found("state") == "running")
        process.send_signal(signal.SIGHUP)  # from another terminal
        wait_for(lambda: found("events_reload"))
        os.close(terminal)
        assert process.wait(LONG) == 0
    assert found("state") == "stopped"


def test_nothing_names_a_password(color_models: ColorModels, tmp_path: Path) -> None:
    """Not the state file, the log, the events, or the title of the process."""
    state = tmp_path / "state.json"
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://me:secret@127.0.0.1:{closed.getsockname()[1]}/video"
        model = ("--model", color_models.tflite, "--source", address, "--print", "all", "--json")
        with started(tmp_path, *model, "--state", state) as process:
            first = first_line(process)
            process.send_signal(signal.SIGTERM)
            out, errors = process.communicate(timeout=LONG)
    assert not re.search("secret", first + out + errors + state.read_text())
