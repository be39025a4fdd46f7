"""Figures and names of a result as every form of showing writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..result import Accuracy, Condition, Figures, Result, Row

NONE = "-"


def milliseconds(value: float | None) -> str:
    """Three or four digits; a dash for None."""
    if value is None:
        return NONE
    return f"{value:.{0 if value >= 1000 else 1 if value >= 100 else 2 if value >= 1 else 3}f}"


def megabytes(value: float | None) -> str:
    """Bytes in units of 1,000,000; a dash for None."""
    return NONE if value is None else f"{value / 1e6:.{1 if value >= 1e6 else 3}f}"


def percent(value: float | None, digits: int = 1) -> str:
    """A share in percent, without its sign; a dash for None."""
    return NONE if value is None else f"{100 * value:.{digits}f}"


def half_width(low: float, high: float, point: float) -> float | None:
    """Half of an interval as a share of its figure; None where that is 0."""
    return (high - low) / 2 / point if point > 0 else None


def threads(row: Row) -> str:
    """Thread count, ``own`` where the interpreter chose."""
    count = row["engine"]["threads"]
    return "own" if count is None else str(count)


def state(row: Row) -> str:
    """What a reader has to know of a row before its figures; empty if nothing."""
    if row["status"] == "invalid":
        return "INVALID"
    if row["status"] != "ok":
        return row["status"]
    return "no parity" if row["artifact"]["parity_passed"] is False else ""


def ordered(result: Result) -> list[Row]:
    """Rows, the fastest first; behind them what failed parity, is invalid, skipped or failed."""

    def rank(row: Row) -> tuple[int, float]:
        group = ("ok", "invalid", "skipped", "failed").index(row["status"]) * 2
        latency = row["latency"]
        behind = row["status"] == "ok" and row["artifact"]["parity_passed"] is False
        return group + behind, latency["p50_ms"] if latency else 0.0

    return sorted(result["rows"], key=rank)


def faults(result: Result) -> list[tuple[str, str, str]]:
    """(state, name, reasons) of each row of which something has to be said, the run first."""
    found: list[tuple[str, str, str]] = []
    if result["reasons"]:
        found.append(("INVALID", "the whole run", joined(result["reasons"])))
    for row in ordered(result):
        what = state(row)
        if what == "no parity":
            reasons = ["its answers differ from the model's, see parity.json of the bundle"]
            found.append((what, row["name"], joined(reasons + row["reasons"])))
        elif what:
            found.append((what, row["name"], joined(row["reasons"] or ["no reason was given"])))
    return found


def joined(reasons: Sequence[str]) -> str:
    """Several reasons as one sentence, whether they end with a full stop or not."""
    return "; ".join(reason.strip().rstrip(".") for reason in reasons) + "."


def notes(result: Result) -> list[tuple[str, str]]:
    """(name, reason) of what is said of rows that count all the same."""
    return [
        (row["name"], reason)
        for row in ordered(result)
        if row["status"] == "ok" and state(row) == ""
        for reason in row["reasons"]
    ]


def compared(result: Result, row: Row) -> Figures | None:
    """What the verdict compared of a row; None where it left it out or there is none."""
    verdict = result["verdict"]
    return None if verdict is None else verdict["compared"].get(row["name"])


def accuracy_of(result: Result, row: Row) -> tuple[float, tuple[float, float] | None] | None:
    """Accuracy of a row with its interval: counted, else what the bundle states."""
    counted: Accuracy | None = row["accuracy"]
    if counted is not None:
        return counted["accuracy"], (counted["ci"][0], counted["ci"][1])
    figures = compared(result, row)
    if figures is None or figures["accuracy"] is None:
        return None
    return figures["accuracy"], figures["accuracy_ci"]


def accuracy_source(result: Result) -> str | None:
    """Where accuracies come from, as the end of "accuracy: ..."; None where there are none."""
    counted = next((a for row in result["rows"] if (a := row["accuracy"]) is not None), None)
    if counted is not None:
        data = result["settings"].get("data")
        left_out = f", {counted['unreadable']} unreadable left out" if counted["unreadable"] else ""
        return f"% of {counted['photos']} photos{f' of {data}' if data else ''}{left_out}"
    verdict = result["verdict"]
    if verdict is not None and verdict["accuracy_from"] == "bundle":
        return "% of the validation photos, as the bundle states"
    return None


def marks(result: Result) -> dict[str, str]:
    """``>`` by the name of the recommended row, ``+`` of the others on the Pareto front."""
    verdict = result["verdict"]
    if verdict is None:
        return {}
    found = dict.fromkeys(verdict["pareto"], "+")
    if verdict["recommended"] is not None:
        found[verdict["recommended"]] = ">"
    return found


def machine_facts(machine: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the machine is, as (name, text); what is not known is left out."""
    ram, cores = machine.get("ram_bytes"), machine.get("cores")
    usable = machine.get("usable_cores")
    packages = machine.get("packages") or {}
    system = " ".join(filter(None, (machine.get("system"), machine.get("architecture"))))
    facts = [
        ("board", machine.get("board")),
        ("processor", machine.get("cpu")),
        ("cores", None if cores is None else f"{usable} of {cores}" if usable else str(cores)),
        ("memory", f"{ram / 1e9:.1f} GB" if ram else None),
        ("governor", machine.get("governor")),
        ("system", system or None),
        ("Python", machine.get("python")),
        ("packages", ", ".join(f"{name} {version}" for name, version in packages.items()) or None),
    ]
    return [(name, str(text)) for name, text in facts if text]


def machine_line(machine: Mapping[str, Any]) -> str:
    """:func:`machine_facts` for a reader, on one line."""
    units = {
        "cores": "{} cores",
        "memory": "{} RAM",
        "governor": "governor {}",
        "Python": "Python {}",
    }
    return ", ".join(units.get(name, "{}").format(text) for name, text in machine_facts(machine))


def condition_facts(condition: Condition) -> list[tuple[str, str]]:
    """The state of the machine, as (name, text); a dash for what cannot be read."""
    clock, warm = condition["clock_mhz"], condition["temperature_c"]
    load, swapped, bits = (
        condition["other_load"],
        condition["swapped_bytes"],
        condition["throttled"],
    )
    return [
        ("slowest core", NONE if clock is None else f"{clock:.0f} MHz"),
        ("governor", condition["governor"] or NONE),
        ("temperature", NONE if warm is None else f"{warm:.1f} °C"),
        ("throttled", NONE if bits is None else ", ".join(bits) or "no"),
        ("other programs", NONE if load is None else f"{load:.2f} cores"),
        ("swapped", NONE if swapped is None else f"{megabytes(swapped)} MB" if swapped else "no"),
    ]


def subject_line(result: Result) -> str:
    """What was measured, with which pictures."""
    subject, source = result["subject"], result["input"]
    line = str(subject.get("path"))
    if subject.get("classes"):
        line += f": {subject['classes']} classes, {subject['width']}x{subject['height']} pixels"
    photo = source.get("photo")
    if source:
        line += f"; timed on {photo if photo else 'a generated pattern'}"
    return line
