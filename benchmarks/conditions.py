"""The machine while it is measured: clocks, temperature, throttling, other load, swapping.

:class:`Watch` looks once a second, on a thread of the parent, so that the process that is measured
shares nothing with it but the machine. One look reads some ten small files; where the kernel
does not show the firmware's throttle bits, ``vcgencmd`` is asked less often.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, TypeVar

from edge_runtime.doctor.board import read
from edge_runtime.doctor.health import temperatures, throttling

from .result import Condition

#: Seconds between two looks.
PERIOD = 1.0

#: Looks from one question to ``vcgencmd``, a process of its own, to the next.
_LOOKS_A_QUESTION = 5

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
            ask_firmware: Whether throttle bits are wanted.
        """
        found = temperatures(self._root) if self._zones else []
        degrees = [zone["celsius"] for zone in found]
        throttled = self._throttled() if ask_firmware else None
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
        files = sorted((self._root / _CPUS).glob("cpu[0-9]*/cpufreq/scaling_governor"))
        return ",".join(sorted({read(file) or "" for file in files} - {""})) or None

    def cores(self) -> int:
        """That share the machine's work, by /proc/stat."""
        text = read(self._root / "proc/stat") or ""
        found = sum(line.startswith("cpu") for line in text.splitlines()) - 1
        return found if found > 0 else os.cpu_count() or 1

    def _throttled(self) -> tuple[str, ...] | None:
        found: list[str] | None = None
        if self._firmware:
            bits = throttling(self._root)
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


def _slows_cores(kind: str) -> bool:
    """Whether a cooling device is a lower clock, and not a fan."""
    return "cpufreq" in kind or kind == "Processor"


def _own_seconds() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


@dataclass(frozen=True)
class Span:
    """The machine between two moments.

    Attributes:
        seconds: Its length.
        other_seconds: CPU seconds that other processes used; None where nobody counts them.
        swapped_bytes: Swapped in and out.
        throttled: What slowed the cores down; None where nobody tells.
        clock_mhz: Least clock that was seen.
        temperature_c: Highest temperature.
    """

    seconds: float
    other_seconds: float | None
    swapped_bytes: int | None
    throttled: frozenset[str] | None
    clock_mhz: float | None = None
    temperature_c: float | None = None

    @property
    def other_load(self) -> float | None:
        """Cores that other processes used on average."""
        if self.other_seconds is None or self.seconds <= 0:
            return None
        return self.other_seconds / self.seconds

    def __add__(self, other: Span) -> Span:
        """Both together, for the rounds of one configuration."""
        slower = [s.throttled for s in (self, other) if s.throttled is not None]
        return Span(
            self.seconds + other.seconds,
            _sum(self.other_seconds, other.other_seconds),
            _sum(self.swapped_bytes, other.swapped_bytes),
            frozenset().union(*slower) if slower else None,
            _extreme(min, self.clock_mhz, other.clock_mhz),
            _extreme(max, self.temperature_c, other.temperature_c),
        )


class Watch:
    """Looks at a machine on a thread of its own; to be used in a ``with`` block.

    Attributes:
        machine: It.
    """

    def __init__(self, machine: Machine, period: float = PERIOD) -> None:
        self.machine, self._period = machine, period
        self._looks: list[Look] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join()

    def span(self, since: Counters) -> Span:
        """From some counters to now."""
        now = self.machine.counters()
        self._looks.append(self.machine.look())
        looks = [look for look in self._looks if look.time >= since.time]
        slower = [look.throttled for look in looks if look.throttled is not None]
        # A bit that was set since the start before the span as well may be old.
        fresh = now.capped_since_start - since.capped_since_start
        throttled = frozenset().union(*slower, fresh) if slower or fresh else None
        if _sub(now.throttled, since.throttled):
            throttled = (throttled or frozenset()) | {"throttled"}
        elif now.throttled is not None:
            throttled = throttled or frozenset()
        busy, own = _sub(now.busy, since.busy), now.own - since.own
        return Span(
            now.time - since.time,
            None if busy is None else max(busy - own, 0.0),
            _sub(now.swapped, since.swapped),
            throttled,
            min((look.clock_mhz for look in looks if look.clock_mhz is not None), default=None),
            max(
                (look.temperature_c for look in looks if look.temperature_c is not None),
                default=None,
            ),
        )

    def _run(self) -> None:
        count = 0
        while not self._end.wait(self._period):
            self._looks.append(self.machine.look(count % _LOOKS_A_QUESTION == 0))
            count += 1


def condition_now(machine: Machine, over: float = 0.3) -> Condition:
    """The machine at this moment; other load over a short span of idleness.

    Args:
        machine: It.
        over: Seconds of that span.
    """
    since = machine.counters()
    time.sleep(over)
    now = machine.counters()
    look = machine.look()
    busy = _sub(now.busy, since.busy)
    other = None
    if busy is not None and now.time > since.time:
        other = max(busy - (now.own - since.own), 0.0) / (now.time - since.time)
    return {
        "clock_mhz": look.clock_mhz,
        "governor": machine.governor(),
        "temperature_c": look.temperature_c,
        "throttled": None if look.throttled is None else list(look.throttled),
        "other_load": None if other is None else round(other, 3),
        "swapped_bytes": None,
    }


def condition_over(span: Span, machine: Machine) -> Condition:
    """The machine over a span."""
    load = span.other_load
    return {
        "clock_mhz": span.clock_mhz,
        "governor": machine.governor(),
        "temperature_c": span.temperature_c,
        "throttled": None if span.throttled is None else sorted(span.throttled),
        "other_load": None if load is None else round(load, 3),
        "swapped_bytes": span.swapped_bytes,
    }


_Number = TypeVar("_Number", int, float)


def _sum(one: _Number | None, other: _Number | None) -> _Number | None:
    return other if one is None else one if other is None else one + other


def _sub(later: _Number | None, earlier: _Number | None) -> _Number | None:
    return None if later is None or earlier is None else later - earlier


def _extreme(choose: Callable[..., float], one: float | None, other: float | None) -> float | None:
    known = [value for value in (one, other) if value is not None]
    return choose(known) if known else None
