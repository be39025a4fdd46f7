"""HTML pages in one file, of trainer and exporter: Jinja templates with escaping on.

Classes and photos may be called anything. Jinja is loaded where a page is made, never on a device.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .errors import missing_package
from .files import atomic_file

#: Colours, light and dark, and type of all pages.
_STYLE = Path(__file__).parent / "pages.css"

_NONE = "—"


def environment(templates: Path, extra: str, purpose: str) -> Any:
    """The ``jinja2.Environment`` of a folder of templates, with the filters ``pct`` and ``num``.

    Args:
        templates: The folder.
        extra: Extra of the toolkit that installs Jinja.
        purpose: What it is needed for, as the object of "needed to ...".

    Raises:
        MissingComponent: Jinja is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise missing_package("jinja2", extra, purpose) from error
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"pct": percent, "num": number}
    return found


def style(own: Path) -> str:
    """The style sheet of a page: what all have in common, and its own."""
    return _STYLE.read_text(encoding="utf-8") + own.read_text(encoding="utf-8")


def write(text: str, file: str | os.PathLike[str], overwrite: bool) -> None:
    """Write a page; a path in it may hold bytes that are not UTF-8.

    Raises:
        OutputExists: The file exists and ``overwrite`` is false.
    """
    with atomic_file(file, overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def percent(value: float | None) -> str:
    """A share in percent; a dash for None."""
    return _NONE if value is None else f"{value:.1%}"


def number(value: float | None, digits: int = 3) -> str:
    """A number; a dash for None."""
    return _NONE if value is None else f"{value:.{digits}f}"
