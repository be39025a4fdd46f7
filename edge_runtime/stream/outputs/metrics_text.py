"""What a stream counts, in the text format of Prometheus, version 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/; units are base units (seconds, bytes),
as Prometheus asks for.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...procfs import resident_bytes

#: Counters of the status: key there, name here, help.
_COUNTERS = (
    ("frames", "frames", "Frames that the source gave."),
    ("results", "results", "Frames that were answered, failed inferences included."),
    ("dropped", "frames_dropped", "Frames of a live source that made way for newer ones."),
    ("skipped", "frames_skipped", "Frames left out by --every and --max-fps."),
    ("corrupt", "frames_corrupt", "Frames that were damaged."),
    ("stalls", "stalls", "Times that the source gave no frame for too long."),
    ("reconnects", "reconnects", "Times that the source was opened again."),
    ("abandoned", "sources_abandoned", "Times that a hung source was left behind."),
    ("inference_failures", "inference_failures", "Frames whose inference failed."),
)

#: Histograms of the status: key there, name here, help.
_HISTOGRAMS = (
    ("infer_ms", "inference_seconds", "Time of the interpreter for one frame."),
    ("total_ms", "latency_seconds", "Time from a frame's bytes to its answer, without waiting."),
    ("age_ms", "frame_age_seconds", "Age of a frame when its inference started."),
)

_EVENTS = "events_"

#: A whole number of the status that is no counter.
_NO_COUNTERS = ("pid",)

Labels = Mapping[str, object]
Sample = tuple[str, Labels, float]


def exposition(snapshot: Mapping[str, Any]) -> str:
    """The page.

    Args:
        snapshot: Of :meth:`Status.snapshot <edge_runtime.stream.status.Status.snapshot>`.
    """
    text = Text()
    _about(text, snapshot)
    _counts(text, snapshot)
    _outputs(text, snapshot)
    _answers(text, snapshot)
    _board(text, snapshot)
    process(text)
    return text.text()


class Text:
    """Families of samples, each with its help and its type."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(
        self,
        name: str,
        kind: str,
        about: str,
        samples: Iterable[Sample],
        prefix: str = "edge_classify_",
    ) -> None:
        """One family.

        Args:
            name: Without the prefix.
            kind: ``counter``, ``gauge`` or ``histogram``.
            about: One sentence.
            samples: What is put behind the name (``_bucket``), labels, value.
            prefix: In front of the name.
        """
        lines = [_sample(f"{prefix}{name}{end}", labels, value) for end, labels, value in samples]
        if lines:
            self._lines += [f"# HELP {prefix}{name} {about}", f"# TYPE {prefix}{name} {kind}"]
            self._lines += lines

    def gauge(self, name: str, about: str, value: float | None, **labels: object) -> None:
        """A family of one sample; none where nothing is known."""
        if value is not None:
            self.add(name, "gauge", about, [("", labels, value)])

    def text(self) -> str:
        """All of it."""
        return "\n".join(self._lines) + "\n"


def _about(text: Text, status: Mapping[str, Any]) -> None:
    from ... import __version__

    labels = {"version": __version__, "model": status["model"], "source": status["source"]}
    text.gauge("info", "What runs.", 1, **labels)
    text.gauge("uptime_seconds", "Time since the start.", status["uptime_s"])
    text.gauge("fps", "Answers a second, over the last seconds.", status["fps"])
    text.gauge("source_up", "Whether the source gives frames.", status["source_state"] == "open")
    text.gauge("last_result_age_seconds", "Time since the last answer.", status["last_result_s"])


def _counts(text: Text, status: Mapping[str, Any]) -> None:
    for key, name, about in _COUNTERS:
        text.add(f"{name}_total", "counter", about, [("", {}, status.get(key, 0))])
    events = [
        ("", {"kind": key.removeprefix(_EVENTS)}, count)
        for key, count in status.items()
        if key.startswith(_EVENTS)
    ]
    text.add("events_total", "counter", "Events by kind.", events)
    known = {key for key, _, _ in _COUNTERS}.union(_NO_COUNTERS)
    for key, value in status.items():  # what other parts count, --collect for one
        if type(value) is int and key not in known and not key.startswith(_EVENTS):
            name = re.sub(r"[^a-z0-9_]", "_", key)
            text.add(f"{name}_total", "counter", f"Count of {name}.", [("", {}, value)])


def _outputs(text: Text, status: Mapping[str, Any]) -> None:
    queues = status["output_queues"]
    names = sorted({*queues, *status["output_drops"], *status["output_failures"]})
    for key, name, about in (
        ("output_drops", "output_drops_total", "Messages that an output was too slow for."),
        ("output_failures", "output_failures_total", "Messages that an output failed at."),
    ):
        samples = [("", {"output": output}, status[key].get(output, 0)) for output in names]
        text.add(name, "counter", about, samples)
    waiting = [("", {"output": output}, length) for output, length in queues.items()]
    text.add("output_queue_length", "gauge", "Messages that wait for an output.", waiting)


def _answers(text: Text, status: Mapping[str, Any]) -> None:
    for key, name, about in _HISTOGRAMS:
        found = status["histograms"].get(key)
        if found is not None:
            text.add(name, "histogram", about, _histogram(found))
    steady = status["steady"]
    if steady is None:
        return
    state = "unknown" if steady["unknown"] else steady["label"]
    if state is not None:
        text.gauge("steady_info", "The label that stands.", 1, label=state)
    text.gauge("steady_score", "Smoothed score of the label that stands.", steady["score"])
    text.gauge("steady_unknown", "Whether the state is unknown.", bool(steady["unknown"]))


def _histogram(found: Mapping[str, Any]) -> list[Sample]:
    samples: list[Sample] = [
        ("_bucket", {"le": "+Inf" if bound is None else _number(bound / 1000)}, count)
        for bound, count in zip(found["le"], found["counts"], strict=True)
    ]
    return [*samples, ("_sum", {}, found["sum"] / 1000), ("_count", {}, found["count"])]


def _board(text: Text, status: Mapping[str, Any]) -> None:
    seen: Counter[str] = Counter()
    zones: list[Sample] = []
    for zone in status["temperature"]:
        name = str(zone["zone"])
        seen[name] += 1  # two sensors of one name would be one sample twice, which is refused
        labels = {"zone": name if seen[name] == 1 else f"{name}-{seen[name]}"}
        zones.append(("", labels, zone["celsius"]))
    text.add("temperature_celsius", "gauge", "Temperature of a thermal zone.", zones)
    throttling = status["throttling"]
    if throttling is None:
        return
    for key, name, about in (
        ("now", "throttled", "Whether something slows the board down now."),
        ("since_start", "throttled_since_start", "Whether it did since the board started."),
    ):
        text.gauge(name, about, bool(throttling[key]))
        reasons: list[Sample] = [("", {"reason": reason}, 1) for reason in throttling[key]]
        text.add(f"{name}_reason", "gauge", "What it is.", reasons)


def process(text: Text, root: Path = Path("/")) -> None:
    """What is known of this process, under names that Prometheus's own libraries use."""
    times = time.process_time()
    text.add("cpu_seconds_total", "counter", "Processor time.", [("", {}, times)], "process_")
    memory = resident_bytes(root=root)
    if memory is not None:
        text.add("resident_memory_bytes", "gauge", "Memory.", [("", {}, memory)], "process_")
    threads = _count(root / "proc/self/task")
    if threads is not None:
        text.add("threads", "gauge", "Threads.", [("", {}, threads)], "process_")
    files = _count(root / "proc/self/fd")
    if files is not None:
        text.add("open_fds", "gauge", "Open files.", [("", {}, files)], "process_")


def _count(folder: Path) -> int | None:
    try:
        return len(os.listdir(folder))
    except OSError:
        return None


def _sample(name: str, labels: Labels, value: float) -> str:
    inner = ",".join(f'{key}="{_escaped(str(text))}"' for key, text in labels.items())
    return f"{name}{{{inner}}} {_number(value)}" if inner else f"{name} {_number(value)}"


def _number(value: float) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return str(value) if isinstance(value, int) else format(value, ".12g")


def _escaped(text: str) -> str:
    whole = text.encode("utf-8", "backslashreplace").decode()  # names that are not UTF-8
    return whole.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
