"""The machine's state from the files of a made-up Raspberry Pi, and of no machine at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.conditions import Span, Watch, condition_now, condition_over
from benchmarks.machine_files import Machine
from benchmarks.measuring.rounds import cool_down

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class Pi:
    """Files of a board with four cores; each may be written anew."""

    def __init__(self, root: Path) -> None:
        self.root, self.own = root, 0.0
        self.busy(0)
        self.swapped(0)
        self.throttled("0x0")
        for core, (governor, khz) in enumerate(
            [("ondemand", 1_500_000), ("ondemand", 600_000), ("performance", 1_500_000)]
        ):
            self.write(f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq", f"{khz}\n")
            self.write(f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor", governor)
        self.write("sys/class/thermal/thermal_zone0/temp", "61234\n")
        self.write("sys/class/thermal/cooling_device0/type", "cpufreq-cpu0\n")
        self.write("sys/class/thermal/cooling_device1/type", "pwm-fan\n")
        self.write("sys/class/thermal/cooling_device1/cur_state", "4\n")
        self.capped(0)

    def write(self, name: str, text: str) -> None:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def busy(self, seconds: float) -> None:
        """Half of it for users, a quarter in the kernel, a quarter stolen by other guests."""
        half, quarter = int(seconds * TICKS / 2), int(seconds * TICKS / 4)
        total = f"cpu  {half} 0 {quarter} 99999 88888 0 0 {quarter} 0 0\n"
        self.write("proc/stat", total + "".join(f"cpu{n} 0 0 0 0\n" for n in range(4)))

    def swapped(self, pages: int) -> None:
        self.write("proc/vmstat", f"nr_free 1\npswpin {pages}\npswpout {2 * pages}\n")

    def throttled(self, bits: str) -> None:
        self.write("sys/devices/platform/soc/soc:firmware/get_throttled", f"{bits}\n")

    def capped(self, state: int) -> None:
        self.write("sys/class/thermal/cooling_device0/cur_state", f"{state}\n")

    def machine(self) -> Machine:
        return Machine(self.root, lambda: self.own)


@pytest.fixture
def pi(tmp_path: Path) -> Pi:
    return Pi(tmp_path)


def test_one_moment(pi):
    found = condition_now(pi.machine(), over=0.01)
    assert found == {
        "clock_mhz": 600.0,  # the slowest core's
        "governor": "ondemand,performance",
        "temperature_c": 61.2,
        "throttled": [],  # the fan is on, and slows nothing
        "other_load": 0.0,
        "swapped_bytes": None,
    }
    assert pi.machine().cores() == 4


def test_load_of_others_is_what_the_machine_did_less_what_we_did(pi):
    with Watch(pi.machine()) as watch:
        since = watch.machine.counters()
        pi.busy(12)
        pi.own = 4.0
        span = watch.span(since)
    assert span.other_seconds == pytest.approx(8.0)
    assert span.other_load == pytest.approx(8.0 / span.seconds)


def test_swapping_is_counted_in_and_out(pi):
    with Watch(pi.machine()) as watch:
        since = watch.machine.counters()
        pi.swapped(100)
        assert watch.span(since).swapped_bytes == 300 * PAGE


@pytest.mark.parametrize(
    ("bits", "names"),
    [
        ("0x5", {"under-voltage", "throttled"}),
        ("0x50005", {"under-voltage", "throttled"}),
        ("0x20000", {"frequency capped"}),  # over again, and only since the start
    ],
)
def test_throttle_bits_of_the_firmware(pi, bits, names):
    with Watch(pi.machine()) as watch:
        since = watch.machine.counters()
        pi.throttled(bits)
        assert watch.span(since).throttled == names


def test_what_was_so_before_is_no_news(pi):
    pi.throttled("0x50000")
    with Watch(pi.machine()) as watch:
        assert watch.span(watch.machine.counters()).throttled == set()


def test_clock_that_the_kernel_lowers(pi):
    with Watch(pi.machine()) as watch:
        since = watch.machine.counters()
        pi.capped(3)
        assert watch.span(since).throttled == {"frequency capped by the kernel"}


def test_kernel_is_read_at_every_look_and_vcgencmd_at_some(pi, monkeypatch):
    import edge_runtime.thermal as thermal

    machine = pi.machine()
    pi.throttled("0x4")
    pi.capped(3)
    assert machine.look(ask_firmware=False).throttled == (
        "throttled",
        "frequency capped by the kernel",
    )
    asked = []
    monkeypatch.setattr(thermal, "_FIRMWARE", "absent")
    monkeypatch.setattr(thermal, "_ask_firmware", lambda: asked.append(1) or "throttled=0x4")
    real = Machine()
    asked.clear()
    real.look(ask_firmware=False)
    assert asked == []
    assert "throttled" in real.look().throttled and asked == [1]


def test_core_of_a_pc_that_was_throttled(pi):
    name = "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count"
    pi.write(name, "7\n")
    with Watch(pi.machine()) as watch:
        since = watch.machine.counters()
        pi.write(name, "8\n")
        assert watch.span(since).throttled == {"throttled"}


def test_watch_sees_what_is_over_again_when_the_span_ends(pi):
    with Watch(pi.machine(), period=0.005) as watch:
        since = watch.machine.counters()
        pi.capped(1)
        pi.write("sys/class/thermal/thermal_zone0/temp", "85000\n")
        seen = len(watch._looks)
        while len(watch._looks) < seen + 2:
            pass
        pi.capped(0)
        pi.write("sys/class/thermal/thermal_zone0/temp", "60000\n")
        span = watch.span(since)
    assert span.throttled == {"frequency capped by the kernel"}
    assert span.temperature_c == 85.0
    told = condition_over(span, pi.machine())
    assert told["throttled"] == ["frequency capped by the kernel"]
    assert told["temperature_c"] == 85.0


def test_cooling_down_waits_until_the_board_is_cool(pi, monkeypatch):
    """A fan takes 10 degrees a second, down to 40."""
    slept: list[float] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds
        degrees = max(80_000 - 10_000 * len(slept), 40_000)
        pi.write("sys/class/thermal/thermal_zone0/temp", str(degrees))

    monkeypatch.setattr("benchmarks.measuring.rounds.time.sleep", sleep)
    monkeypatch.setattr("benchmarks.measuring.rounds.time.monotonic", lambda: now[0])
    cool_down(pi.machine(), 5.0, 55.0)
    assert slept == [5.0, 1, 1]  # 70 degrees after the rest, then 60, then 50
    cool_down(pi.machine(), 2.0, None)
    assert slept[3:] == [2.0]
    slept.clear()
    cool_down(pi.machine(), 0.0, 10.0)  # it never gets below 40 degrees
    assert sum(slept) == 600  # ten minutes


def test_what_cannot_be_read_is_none(tmp_path):
    machine = Machine(tmp_path, lambda: 0.0)
    found = condition_now(machine, over=0.01)
    assert set(found.values()) == {None}
    with Watch(machine) as watch:
        told = condition_over(watch.span(machine.counters()), machine)
    assert set(told.values()) == {None}


def test_spans_of_rounds_add_up():
    one = Span(2.0, 1.0, 10, frozenset({"throttled"}), 600.0, 60.0)
    total = one + Span(2.0, 3.0, 5, None, 1500.0, None)
    assert total == Span(4.0, 4.0, 15, frozenset({"throttled"}), 600.0, 60.0)
    assert total.other_load == 1.0
    unknown = Span(1.0, None, None, None)
    assert (unknown + unknown).other_load is None
    assert (unknown + unknown).throttled is None
