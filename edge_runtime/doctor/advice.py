"""What to do about what the other modules found, with the command where there is one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

#: tflite-runtime has wheels up to this Python.
_LAST_PYTHON = (3, 11)

#: Bytes: a float32 classifier and its photo take 100 MB; the cache holds checksums, and bundles
#: that came as archives.
_LITTLE_MEMORY, _LITTLE_DISK = 150e6, 100e6

#: Degrees Celsius: a Raspberry Pi slows down at 80.
_HOT = 75

_VIDEO = "sudo usermod -aG video $USER    # then log in again"


def advise(report: Mapping[str, Any]) -> list[dict[str, str | None]]:
    """Each ``problem`` with the ``command`` that mends it, None where there is none."""
    parts = (_interpreters, _memory_and_heat, _cameras, _accelerators)
    return [
        {"problem": problem, "command": command}
        for part in parts
        for problem, command in part(report)
    ]


_Advice = Iterator[tuple[str, str | None]]


def _interpreters(report: Mapping[str, Any]) -> _Advice:
    found = {entry["name"]: entry for entry in report["interpreters"]}
    bits = report["system"]["userland_bits"]
    small = [found[name] for name in ("litert", "tflite-runtime")]
    if not any(entry["works"] for entry in small):
        if bits == 32 and report["system"]["kernel_bits"] == 64:
            yield (
                "32-bit programs on a 64-bit kernel: pip takes this for a 64-bit system and "
                "looks for packages that do not fit",
                "sudo apt install python3-numpy python3-pil python3-click python3-yaml && "
                "python3 -m venv --system-site-packages .venv && "
                ".venv/bin/pip install --no-deps tflite-runtime==2.14.0 ./edge_classify-*.whl",
            )
        yield ".tflite files run nowhere, or with TensorFlow only", _tflite_command(report)
    for entry in found.values():
        if not entry["installed"] or entry["works"]:
            continue
        if entry["name"] == "tflite-runtime" and _numpy(report) >= 2:
            yield "tflite-runtime was built for NumPy 1", "pip install 'numpy<2'"
        else:
            yield f"{entry['name']} does not work: {entry['error']}", _again(entry["name"])
    if not found["onnxruntime"]["installed"] and bits == 64:
        yield ".onnx files cannot be run", "pip install 'edge-classify[onnx]'"


def _tflite_command(report: Mapping[str, Any]) -> str | None:
    if report["system"]["userland_bits"] == 64:
        return "pip install ai-edge-litert"
    version = tuple(int(part) for part in report["python"]["version"].split(".")[:2])
    # Without a wheel for this Python there is nothing to install: another system is the way.
    return "pip install tflite-runtime 'numpy<2'" if version <= _LAST_PYTHON else None


def _numpy(report: Mapping[str, Any]) -> int:
    return int(report["python"]["packages"].get("numpy", "0").split(".")[0])


def _again(name: str) -> str:
    package = "ai-edge-litert" if name == "litert" else name
    return f"pip install --force-reinstall --no-deps {package}"


def _memory_and_heat(report: Mapping[str, Any]) -> _Advice:
    available = report["memory"]["available"]
    if available is not None and available < _LITTLE_MEMORY:
        yield f"only {available / 1e6:.0f} MB of memory are free: close other programs", None
    if report["disk"]["free"] < _LITTLE_DISK:
        yield (
            f"only {report['disk']['free'] / 1e6:.0f} MB of disk are free for the cache",
            "export EDGE_CLASSIFY_CACHE=/another/folder",
        )
    slowed = report["throttling"] or {"now": [], "since_start": []}
    reasons = slowed["now"] or slowed["since_start"]
    if reasons:
        when = "now" if slowed["now"] else "earlier since its start"
        supply = "under-voltage" in reasons
        yield (
            f"the board is slowed down {when} ({', '.join(reasons)}): "
            + ("use the power supply made for it" if supply else "cool it"),
            None,
        )
    elif any(zone["celsius"] >= _HOT for zone in report["temperature"]):
        yield "the board is hot and will slow down at 80 degrees: cool it", None


def _cameras(report: Mapping[str, Any]) -> _Advice:
    software = report["camera_software"]
    cameras = [c for c in report["cameras"] if c["kind"] != "other"]
    if any(not camera["usable"] for camera in cameras):
        yield "this user may not open the camera devices", _VIDEO
    if not software["opencv"]:
        wheels = report["system"]["userland_bits"] == 64
        yield (
            "edge-classify stream needs OpenCV for cameras, streams and videos",
            "pip install 'edge-classify[camera]'" if wheels else "sudo apt install python3-opencv",
        )
    if "Raspberry Pi" not in (report["board"] or "") or software["picamera2"]:
        return
    if software["picamera2_system"]:
        yield (
            "picamera2 is installed, but this virtual environment does not see it",
            "python3 -m venv --system-site-packages venv",
        )
    elif any(camera["kind"] == "port" for camera in cameras):
        yield (
            "the camera port needs picamera2",
            "sudo apt install python3-picamera2 && python3 -m venv --system-site-packages venv",
        )


def _accelerators(report: Mapping[str, Any]) -> _Advice:
    edgetpu, gpu = report["accelerators"]["edgetpu"], report["accelerators"]["gpu"]
    if edgetpu["devices"] and not edgetpu["library"]:
        yield (
            "an Edge TPU is there, its library is not (Coral's package source first: "
            "https://coral.ai/docs/accelerator/get-started)",
            "sudo apt install libedgetpu1-std",
        )
    if gpu["devices"] and gpu["litert"] and not gpu["vulkan"]:
        yield (
            "a GPU is there, Vulkan for --delegate gpu is not",
            "sudo apt install libvulkan1 mesa-vulkan-drivers",
        )
