"""What ``/proc``, ``/sys`` and the firmware tell of a machine at work."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from edge_runtime.procfs import read
from edge_runtime.thermal import temperatures, throttling

#: Fields of a line of /proc/stat that are work: user, nice, system, irq, softirq, and what other
#: guests of a virtual machine's host took (proc(5)).
_WORK = (1, 2, 3, 6, 7, 8)

_CPUS = "sys/devices/system/cpu"


class Look(NamedTuple):
    """The machine at one moment."""

    time: float  #: time.monotonic
    clock_mhz: float | None
    temperature_c: float | None
    throttled: tuple[str, ...] | None


class Counters(NamedTuple):
    """What only ever grows; two of them tell of the span between."""

    time: float  #: time.monotonic
    busy: float | None  #: seconds of work of all processes on all cores
    own: float  #: seconds of this process and of its children that have ended
    swapped: int | None  #: bytes in and out
    throttled: int | None  #: how often an x86 core was throttled
    capped_since_start: frozenset[str]  #: throttle bits of the firmware since the start


class Machine:
    """The files of ``/proc`` and ``/sys``.

    Args:
        root: Where they lie; another folder in tests.
        own: Seconds of CPU that this process and its ended children took.
    """

    def __init__(self, root: Path = Path("/"), own: Callable[[], float] | None = None) -> None:
        self._root, self._own = root, own or _own_seconds
        self._zones = (root / "sys/class/thermal").exists()
        self._firmware = throttling(root) is not None

    def look(self, ask_firmware: bool = True) -> Look:
        """How the machine is now.

        Args:
            ask_firmware: Whether ``vcgencmd`` may be asked for throttle bits, where the kernel does
                not show them. What the kernel shows is read at every look.
        """
        found = temperatures(self._root) if self._zones else []
        degrees = [zone["celsius"] for zone in found]
        throttled = self._throttled(ask_firmware)
        return Look(time.monotonic(), self.clock(), max(degrees, default=None), throttled)

    def counters(self) -> Counters:
        """What has been counted so far."""
        bits = throttling(self._root) if self._firmware else None
        return Counters(
            time.monotonic(),
            self._busy(),
            self._own(),
            self._swapped(),
            self._core_throttles(),
            frozenset(bits["since_start"] if bits else ()),
        )

    def clock(self) -> float | None:
        """MHz of the slowest core."""
        files = (self._root / _CPUS).glob("cpu[0-9]*/cpufreq/scaling_cur_freq")
        kilohertz = [int(text) for text in map(read, files) if text and text.isdigit()]
        if kilohertz:
            return min(kilohertz) / 1000
        found = []
        for line in (read(self._root / "proc/cpuinfo") or "").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "cpu MHz":
                with contextlib.suppress(ValueError):
                    found.append(float(value))
        return min(found, default=None)

    def governor(self) -> str | None:
        """Of the cores; several joined by commas."""
        return governor(self._root)

    def cores(self) -> int:
        """That share the machine's work, by /proc/stat."""
        text = read(self._root / "proc/stat") or ""
        found = sum(line.startswith("cpu") for line in text.splitlines()) - 1
        return found if found > 0 else os.cpu_count() or 1

    def _throttled(self, ask_firmware: bool) -> tuple[str, ...] | None:
        found: list[str] | None = None
        if self._firmware:
            bits = throttling(self._root, ask_firmware)
            found = list(bits["now"]) if bits else None
        devices = sorted((self._root / "sys/class/thermal").glob("cooling_device*"))
        brakes = [d for d in devices if _slows_cores(read(d / "type") or "")]
        if brakes:
            found = found or []
            if any((read(device / "cur_state") or "0") != "0" for device in brakes):
                found.append("frequency capped by the kernel")
        return None if found is None else tuple(found)

    def _core_throttles(self) -> int | None:
        files = (self._root / _CPUS).glob("cpu[0-9]*/thermal_throttle/core_throttle_count")
        counts = [int(text) for text in map(read, files) if text and text.isdigit()]
        return sum(counts) if counts else None

    def _busy(self) -> float | None:
        line = (read(self._root / "proc/stat") or "").partition("\n")[0].split()
        if line[:1] != ["cpu"]:
            return None
        ticks = sum(int(line[place]) for place in _WORK if place < len(line))
        return ticks / os.sysconf("SC_CLK_TCK")

    def _swapped(self) -> int | None:
        pages = None
        for line in (read(self._root / "proc/vmstat") or "").splitlines():
            if line.startswith(("pswpin ", "pswpout ")):
                pages = (pages or 0) + int(line.split()[1])
        return None if pages is None else pages * os.sysconf("SC_PAGE_SIZE")


def governor(root: Path) -> str | None:
    """Of the cores of a machine whose ``sys`` lies there; several joined by commas."""
    files = sorted((root / _CPUS).glob("cpu[0-9]*/cpufreq/scaling_governor"))
    return ",".join(sorted({read(file) or "" for file in files} - {""})) or None


def _slows_cores(kind: str) -> bool:
    """Whether a cooling device is a lower clock, and not a fan."""
    return "cpufreq" in kind or kind == "Processor"


def _own_seconds() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system
