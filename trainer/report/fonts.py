"""Fonts for class names in any script, out of those that the machine has."""

from __future__ import annotations

import os
from functools import cache

from ..packages import import_module

#: Files of fonts with Chinese, Japanese and Korean letters, as the usual systems ship them.
_WIDE = (
    "notosanscjk-regular", "notosanscjksc-regular", "notosanssc-regular", "sourcehansanssc-regular",
    "wqy-microhei", "wqy-zenhei", "droidsansfallbackfull", "pingfang", "hiragino sans gb",
    "msyh", "simhei", "arial unicode",
)  # fmt: skip


@cache
def font_families() -> list[str]:
    """Names for matplotlib's ``fontfamily``: its own font, then one with wide letters, if any.

    The fonts are looked up on disk: matplotlib's own list is not renewed when one is installed.

    Raises:
        MissingComponent: matplotlib is not installed.
    """
    manager = import_module("matplotlib.font_manager", "matplotlib", "draw pictures")
    files = {
        os.path.splitext(os.path.basename(file))[0].lower(): file
        for file in manager.findSystemFonts()
    }
    file = next((files[name] for name in _WIDE if name in files), None)
    if file is None:
        return ["DejaVu Sans"]
    if file not in {font.fname for font in manager.fontManager.ttflist}:
        manager.fontManager.addfont(file)
    names = [font.name for font in manager.fontManager.ttflist if font.fname == file]
    # A collection has a face for each language; their Chinese letters differ a little.
    chinese = [name for name in names if name.endswith(" SC") and "Mono" not in name]
    return ["DejaVu Sans", (chinese or names)[0]]
