"""The machine line, from the files of a made-up Raspberry Pi and of no machine at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.hardware import describe_machine
from benchmarks.show.text import machine_line

PI_CPUINFO = """processor\t: 0
BogoMIPS\t: 108.00
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3
"""


@pytest.fixture
def pi(tmp_path: Path) -> Path:
    files = {
        "proc/cpuinfo": PI_CPUINFO,
        "proc/meminfo": "MemTotal:        3884360 kB\nMemFree:         100 kB\n",
        "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
        "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "ondemand\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_raspberry_pi(pi):
    machine = describe_machine(pi)
    assert machine["cpu"] == "Cortex-A72"
    assert machine["board"] == "Raspberry Pi 4 Model B Rev 1.4"
    assert machine["ram_bytes"] == 3884360 * 1024
    assert machine["governor"] == "ondemand"
    line = machine_line(machine)
    assert line.startswith("Raspberry Pi 4 Model B Rev 1.4, Cortex-A72, ")
    assert "4.0 GB RAM, governor ondemand" in line


def test_pc_names_its_model(pi):
    (pi / "proc/cpuinfo").write_text("model name\t: Some CPU @ 2 GHz\nmodel name\t: Other\n")
    assert describe_machine(pi)["cpu"] == "Some CPU @ 2 GHz"


def test_mixed_governors_are_both_named(pi):
    (pi / "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor").write_text("performance\n")
    assert describe_machine(pi)["governor"] == "ondemand,performance"


def test_what_cannot_be_read_is_none(tmp_path):
    machine = describe_machine(tmp_path)
    assert (machine["board"], machine["ram_bytes"], machine["governor"]) == (None, None, None)
    assert "governor" not in machine_line(machine)


def test_packages_are_those_installed():
    packages = describe_machine()["packages"]
    assert "numpy" in packages
    assert all(version[0].isdigit() for version in packages.values())
