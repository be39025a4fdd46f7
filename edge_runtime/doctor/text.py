"""The report of :func:`edge_runtime.doctor.examine` for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .board import FEATURES

_NAMES = 13


def format_report(report: Mapping[str, Any]) -> str:
    """The report as text, a line a fact."""
    parts = (_machine, _health, _interpreters, _hardware, _cameras)
    lines = [f"{name:<{_NAMES}}{text}" for part in parts for name, text in part(report)]
    if report["advice"]:
        lines += ["", "To do"]
    for entry in report["advice"]:
        lines.append(f"  {entry['problem']}")
        if entry["command"]:
            lines.append(f"    {entry['command']}")
    return "\n".join(lines)


_Lines = Iterator[tuple[str, str]]


def _machine(report: Mapping[str, Any]) -> _Lines:
    yield "board", report["board"] or "unknown"
    system = report["system"]
    bits = f"{system['kernel_bits']} bits"
    if system["userland_bits"] != system["kernel_bits"]:
        bits = f"kernel {bits}, programs {system['userland_bits']} bits"
    yield "system", f"{system['name']}, {system['kernel']} {system['machine']}, {bits}"
    python = report["python"]
    packages = ", ".join(f"{n} {v}" for n, v in python["packages"].items() if n != "python")
    yield "python", f"{python['version']} ({python['executable']}), {packages}"
    cpu = report["cpu"]
    speed = f", {cpu['max_mhz']} MHz" if cpu["max_mhz"] else ""
    governor = f", governor {cpu['governor']}" if cpu["governor"] else ""
    yield "processor", f"{cpu['name'] or 'unknown'}, {cpu['cores']} cores{speed}{governor}"
    useful = (f"{name} ({FEATURES[name]})" for name in cpu["features"])
    yield "", ", ".join(useful) or "no features known"


def _health(report: Mapping[str, Any]) -> _Lines:
    memory = report["memory"]
    if memory["total"] is not None:
        free = memory["available"]
        known = "" if free is None else f", {free / 1e6:.0f} MB available"
        yield (
            "memory",
            f"{memory['total'] / 1e6:.0f} MB{known}, swap {(memory['swap_total'] or 0) / 1e6:.0f} "
            "MB",
        )
    zones = (f"{zone['celsius']:.0f} °C ({zone['zone']})" for zone in report["temperature"])
    yield "temperature", ", ".join(zones) or "not told"
    slowed = report["throttling"]
    if slowed is not None:
        now = ", ".join(slowed["now"]) or "none"
        earlier = ", ".join(slowed["since_start"]) or "none"
        yield "throttling", f"now: {now}; since the start: {earlier}"
    disk = report["disk"]
    yield "cache", f"{disk['folder']}, {disk['free'] / 1e6:.0f} MB free"


def _interpreters(report: Mapping[str, Any]) -> _Lines:
    for number, entry in enumerate(report["interpreters"]):
        who = f"{entry['name']} {entry['version'] or ''}".rstrip()
        if not entry["installed"]:
            text = f"{who}: not installed"
        elif entry["works"]:
            text = (
                f"{who}: works, {entry['load_ms']:.0f} ms to import and load, "
                f"{entry['ms']:.3f} ms a run of the small model, {entry['uses']}"
            )
        else:
            text = f"{who}: does not work: {entry['error']}"
        yield "" if number else "interpreters", text
        if entry["providers"]:
            yield "", f"  providers: {', '.join(entry['providers'])}"


def _hardware(report: Mapping[str, Any]) -> _Lines:
    for name, label in (("edgetpu", "Edge TPU"), ("gpu", "GPU")):
        entry = report["accelerators"][name]
        libraries = [entry[key] for key in ("library", "litert", "vulkan") if entry.get(key)]
        yield (
            label,
            f"{', '.join(entry['devices']) or 'none found'}; "
            f"libraries: {', '.join(libraries) or 'none'}",
        )


def _cameras(report: Mapping[str, Any]) -> _Lines:
    cameras = [entry for entry in report["cameras"] if entry["kind"] != "other"]
    for number, entry in enumerate(cameras):
        port = ", through libcamera" if entry["kind"] == "port" else ""
        allowed = "" if entry["usable"] else ", this user may not open it"
        text = f"{entry['device']} {entry['name']}{port}{allowed}"
        yield "" if number else "cameras", text
    if not cameras:
        yield "cameras", "none found"
    software = report["camera_software"]
    for line in software["libcamera_cameras"]:
        yield "", f"libcamera: {line}"
    names = {"opencv": "OpenCV", "picamera2": "picamera2", "libcamera": "libcamera's programs"}
    yield (
        "",
        "; ".join(f"{label}: {'yes' if software[key] else 'no'}" for key, label in names.items()),
    )
