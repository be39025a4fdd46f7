"""The page docs/json.md, for tests that hold the commands to it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs/json.md"


def documented(command: str) -> set[str]:
    """Every word in backquotes of a command's section."""
    sections = PAGE.read_text(encoding="utf-8").split("\n## ")
    (section,) = (s for s in sections if f"`{command}`" in s.splitlines()[0])
    return set(re.findall(r"`([^`\n]+)`", section))


def keys_of(value: Any, but: frozenset[str] = frozenset()) -> set[str]:
    """The keys of a JSON value at every depth, but for those below ``but``: they are free."""
    if isinstance(value, dict):
        found = set(value)
        for key, inner in value.items():
            if key not in but:
                found |= keys_of(inner, but)
        return found
    if isinstance(value, list):
        return set().union(*(keys_of(inner, but) for inner in value))
    return set()
