"""``edge-classify doctor`` on boards that are folders of files, and on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from json_page import documented, keys_of

from edge_runtime import thermal
from edge_runtime.cli import cli
from edge_runtime.doctor import advice, cameras, examine
from edge_runtime.doctor import interpreters as doctor_interpreters
from edge_runtime.doctor.advice import advise
from edge_runtime.doctor.board import describe_board
from edge_runtime.doctor.cameras import find_cameras
from edge_runtime.doctor.health import describe_health
from edge_runtime.doctor.text import format_report
from edge_runtime.errors import ChildDied
from edge_runtime.thermal import throttling

#: As a Raspberry Pi 4 shows it; a line each of /proc/cpuinfo that matters.
PI_4 = {
    "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
    "proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd evtstrm crc32 cpuid\n"
    "CPU implementer\t: 0x41\nCPU part\t: 0xd08\n",
    "proc/meminfo": "MemTotal:  3885396 kB\nMemFree: 1 kB\nMemAvailable: 3440000 kB\n"
    "SwapTotal: 102396 kB\nSwapFree: 102396 kB\n",
    "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    "sys/class/thermal/thermal_zone0/temp": "61341\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
    "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "1800000\n",
    "sys/class/video4linux/video0/name": "unicam-image\n",
    "sys/class/video4linux/video1/name": "HD Pro Webcam C920\n",
    "sys/class/video4linux/video10/name": "bcm2835-codec-decode\n",
    "dev/video0": "",
    "dev/video1": "",
    "dev/video10": "",
    "dev/dri/renderD128": "",
    "sys/bus/usb/devices/2-1/idVendor": "1a6e\n",
    "sys/bus/usb/devices/2-1/idProduct": "089a\n",
}


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """The root folder of a Raspberry Pi 4."""
    for name, text in PI_4.items():
        file = tmp_path / "root" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "root"


def entry(name: str, works: bool, **more: Any) -> dict[str, Any]:
    """An interpreter as the report has it."""
    fields = dict.fromkeys(("version", "ms", "load_ms", "uses", "providers", "error"))
    return {"name": name, "installed": works, "works": works, **fields, **more}


@pytest.fixture
def report(board: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Of that board, with LiteRT only."""
    working = entry("litert", True, version="2.3.0", ms=0.005, load_ms=120.0, uses="XNNPACK")
    others = [entry(name, False) for name in ("tflite-runtime", "tensorflow", "onnxruntime")]
    monkeypatch.setattr("edge_runtime.doctor.try_interpreters", lambda: [working, *others])
    monkeypatch.setattr("ctypes.util.find_library", lambda _: None)
    return examine(board)


def commands(report: dict[str, Any]) -> dict[str | None, str]:
    return {found["command"]: found["problem"] for found in advise(report)}


def test_what_the_board_is(report: dict[str, Any]) -> None:
    assert report["board"] == "Raspberry Pi 4 Model B Rev 1.4"
    assert report["system"]["name"] == "Debian GNU/Linux 12 (bookworm)"
    assert report["cpu"]["name"] == "Cortex-A72" and report["cpu"]["features"] == ["asimd"]
    assert report["cpu"]["governor"] == "ondemand" and report["cpu"]["max_mhz"] == 1800
    assert report["memory"]["total"] == 3885396 * 1024
    assert report["memory"]["swap_total"] == 102396 * 1024
    assert report["temperature"] == [{"zone": "cpu-thermal", "celsius": 61.3}]
    assert report["disk"]["free"] > 0
    json.dumps(report)  # is what --json prints


def test_features_of_other_processors(tmp_path: Path) -> None:
    """The Pi 5's dot product, an x86's VNNI; the order is that of the list."""
    (tmp_path / "proc").mkdir()
    info = tmp_path / "proc/cpuinfo"
    info.write_text("Features : fp asimd atomics fphp asimdhp asimddp\nCPU part : 0xd0b\n")
    features = describe_board(tmp_path)["cpu"]["features"]
    assert features == ["asimd", "asimdhp", "asimddp"]
    info.write_text("flags : fpu avx512_vnni avx2 fma\n")
    assert describe_board(tmp_path)["cpu"]["features"] == ["avx2", "fma", "avx512_vnni"]


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    """No /proc, no /sys: nothing is known, and nothing fails."""
    found = describe_board(tmp_path) | describe_health(tmp_path)
    assert found["board"] is None and found["cpu"]["features"] == []
    assert found["memory"]["total"] is None and found["throttling"] is None
    assert found["temperature"] == []


@pytest.mark.parametrize(
    ("text", "now", "since_start"),
    [
        ("throttled=0x50005", ["under-voltage", "throttled"], ["under-voltage", "throttled"]),
        ("throttled=0x80008", ["soft temperature limit"], ["soft temperature limit"]),
        ("e0000", [], ["frequency capped", "throttled", "soft temperature limit"]),
        ("throttled=0x0", [], []),
    ],
)
def test_throttling(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    now: list[str],
    since_start: list[str],
) -> None:
    """The bits of Raspberry Pi's documentation, from vcgencmd or the kernel."""
    file = tmp_path / "sys/devices/platform/soc/soc:firmware/get_throttled"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    found = throttling(tmp_path)
    assert found is not None
    assert (found["now"], found["since_start"]) == (now, since_start)


def test_vcgencmd_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel does not show it; a program that fails is no answer."""
    program = tmp_path / "vcgencmd"
    program.write_text('#!/bin/sh\n[ "$1" = get_throttled ] && echo throttled=0x4\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert thermal._ask_firmware() == "throttled=0x4"
    program.write_text("#!/bin/sh\nexit 1\n")
    assert thermal._ask_firmware() == ""


def test_cameras(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera port, a webcam, and a codec that is neither."""
    kinds = {c["device"]: (c["kind"], c["name"]) for c in find_cameras(board)["cameras"]}
    assert kinds["/dev/video0"] == ("port", "unicam-image")
    assert kinds["/dev/video1"] == ("camera", "HD Pro Webcam C920")
    assert kinds["/dev/video10"] == ("other", "bcm2835-codec-decode")


def test_libcamera_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "rpicam-hello"
    program.write_text('#!/bin/sh\necho "Available cameras"\necho "0 : imx708 [4608x2592] (/x)"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert cameras._listed("rpicam-hello") == ["0 : imx708 [4608x2592] (/x)"]
    assert cameras._listed("no-such-program") == []


def test_accelerators(report: dict[str, Any]) -> None:
    assert report["accelerators"]["edgetpu"] == {"library": None, "devices": ["USB 2-1"]}
    assert report["accelerators"]["gpu"]["devices"] == ["/dev/dri/renderD128"]
    assert "sudo apt install libedgetpu1-std" in commands(report)


def test_advice_for_this_board(report: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each problem has its command, where a command mends it."""
    found = commands(report)
    assert "pip install 'edge-classify[onnx]'" in found
    assert any("python3-picamera2" in (command or "") for command in found)
    assert "use the power supply made for it" in found[None]
    report["cameras"][1]["usable"] = False
    assert advice._VIDEO in commands(report)
    report["camera_software"]["picamera2_system"] = True
    assert "python3 -m venv --system-site-packages venv" in commands(report)


def test_advice_for_32_bits_on_a_64_bit_kernel(board: Path, report: dict[str, Any]) -> None:
    """pip goes by the kernel there, and finds nothing that fits."""
    report |= describe_board(board, machine="aarch64", process_bits=32)
    assert report["system"]["kernel_bits"] == 64 and report["system"]["userland_bits"] == 32
    report["interpreters"][0] = entry("litert", False)
    report["python"]["version"] = "3.11.2"
    found = commands(report)
    report["camera_software"]["opencv"] = False
    found = commands(report)
    assert "sudo apt install python3-opencv" in found
    assert "pip install 'edge-classify[camera]'" not in found
    (whole,) = (command for command in found if "--no-deps" in (command or ""))
    page = (Path(__file__).parents[2] / "docs/install.md").read_text()
    for package in ("python3-numpy", "python3-pil", "python3-click", "python3-yaml"):
        assert package in (whole or "") and package in page  # all that edge-classify needs
    assert "pip install tflite-runtime 'numpy<2'" in found
    assert not any("onnx" in (command or "") for command in found)  # no wheel for 32 bits
    assert "kernel 64 bits, programs 32 bits" in format_report(report)
    report["python"]["version"] = "3.13.5"
    assert "pip install tflite-runtime 'numpy<2'" not in commands(report)


@pytest.mark.parametrize(
    ("change", "command"),
    [
        ({"installed": True, "error": "boom"}, "pip install --force-reinstall --no-deps onnxr"),
        ({"installed": False}, "pip install 'edge-classify[onnx]'"),
    ],
)
def test_advice_for_an_interpreter(
    report: dict[str, Any], change: dict[str, Any], command: str
) -> None:
    report["interpreters"][3] = entry("onnxruntime", False) | change
    assert any((found or "").startswith(command) for found in commands(report))


def test_advice_for_numpy_2_with_tflite_runtime(report: dict[str, Any]) -> None:
    broken = {"installed": True, "error": "an exception set"}
    report["interpreters"][1] = entry("tflite-runtime", False) | broken
    report["python"]["packages"]["numpy"] = "2.4.6"
    assert commands(report)["pip install 'numpy<2'"] == "tflite-runtime was built for NumPy 1"


def test_text(report: dict[str, Any]) -> None:
    text = format_report(report)
    for part in (
        "Raspberry Pi 4 Model B Rev 1.4",
        "Cortex-A72",
        "asimd (vectors)",
        "3979 MB",  # 3885396 KiB
        "61 °C (cpu-thermal)",
        "now: under-voltage, throttled",
        "litert 2.3.0: works",
        "onnxruntime: not installed",
        "/dev/video0 unicam-image, through libcamera",
        "To do",
    ):
        assert part in text
    assert "bcm2835-codec" not in text


def test_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real inference each; TensorFlow is left out, since importing it takes seconds."""
    names = ("litert", "onnxruntime")
    monkeypatch.setattr(doctor_interpreters, "INTERPRETERS", names)
    found = {e["name"]: e for e in doctor_interpreters.try_interpreters()}
    for name in names:
        assert found[name]["works"], found[name]["error"]
        assert found[name]["ms"] > 0 and found[name]["version"]
    assert "XNNPACK" in found["litert"]["uses"]
    assert "CPUExecutionProvider" in found["onnxruntime"]["providers"]


def test_wrong_scores_and_crashes_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter that computes nonsense does not work."""
    monkeypatch.setattr(doctor_interpreters, "INTERPRETERS", ("litert",))
    answer = {"version": "1", "ms": 1.0, "load_ms": 1.0, "scores": [0.25] * 4, "delegate": "X"}
    monkeypatch.setattr(doctor_interpreters, "trial_of", lambda *_: answer)
    (wrong,) = doctor_interpreters.try_interpreters()
    assert not wrong["works"] and "wrong scores" in wrong["error"]

    def crash(*_: object) -> None:
        raise ChildDied("the process died of SIGILL.")

    monkeypatch.setattr(doctor_interpreters, "trial_of", crash)
    (dead,) = doctor_interpreters.try_interpreters()
    assert not dead["works"] and "SIGILL" in dead["error"]


def test_every_key_is_documented(report: dict[str, Any]) -> None:
    section = documented("doctor")
    report["python"]["packages"] = {}
    assert keys_of(report) <= section


@pytest.mark.parametrize(("works", "code"), [(True, 0), (False, 5)])
def test_exit_codes(
    report: dict[str, Any], monkeypatch: pytest.MonkeyPatch, works: bool, code: int
) -> None:
    monkeypatch.setattr("edge_runtime.doctor.examine", lambda: report | {"works": works})
    result = CliRunner().invoke(cli, ["doctor", "--json"])
    assert result.exit_code == code
    assert json.loads(result.stdout)["board"] == report["board"]
    assert ("error: no interpreter works" in result.stderr) is not works
