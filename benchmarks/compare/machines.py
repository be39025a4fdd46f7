"""What differs between two runs besides their figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..result import Result

#: Facts of a machine without which its figures say nothing of another's.
_MACHINE = {
    "board": "board",
    "cpu": "processor",
    "architecture": "architecture",
    "cores": "cores",
    "usable_cores": "usable cores",
    "governor": "governor",
}

#: Facts that may be what is compared, and are told.
_SOFTWARE = {"system": "system", "python": "Python", "ram_bytes": "memory"}

#: Settings that change what is measured.
_SETTINGS = ("data", "pin", "rounds", "min_seconds", "min_runs", "max_interval", "cooldown")


def other_machine(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """In what two machines differ; empty if they are alike."""
    return [
        f"{name} {_text(before.get(key))}, then {_text(after.get(key))}"
        for key, name in _MACHINE.items()
        if before.get(key) != after.get(key)
    ]


def differences(before: Result, after: Result) -> list[str]:
    """What else differs: software, settings, pictures, and whether a run is invalid as a whole."""
    found = []
    for key, name in _SOFTWARE.items():
        found += _one(name, before["machine"].get(key), after["machine"].get(key))
    packages = [dict(side["machine"].get("packages") or {}) for side in (before, after)]
    for package in sorted({*packages[0], *packages[1]}):
        found += _one(package, packages[0].get(package), packages[1].get(package))
    for key in _SETTINGS:
        name = key.replace("_", " ")
        found += _one(name, before["settings"].get(key), after["settings"].get(key))
    found += _one("timed photo", before["input"].get("photo"), after["input"].get("photo"))
    for when, side in (("before", before), ("after", after)):
        found += [f"the run {when} is INVALID as a whole: {reason}" for reason in side["reasons"]]
    return found


def _one(name: str, before: Any, after: Any) -> list[str]:
    return [] if before == after else [f"{name}: {_text(before)}, then {_text(after)}"]


def _text(value: Any) -> str:
    return "unknown" if value is None else str(value)
