"""The machine while it is measured: clocks, temperature, throttling, other load, swapping.

:class:`Watch` looks once a second, on a thread of the parent, so that the process that is measured
shares nothing with it but the machine. One look reads some ten small files; where the kernel
does not show the firmware's throttle bits, ``vcgencmd`` is asked less often.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

from .machine_files import Counters, Look, Machine
from .result import Condition

#: Seconds between two looks.
PERIOD = 1.0

#: Looks from one question to ``vcgencmd``, a process of its own, to the next.
_LOOKS_A_QUESTION = 5


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
