"""Colours for numbers: maps whose lightness grows with the value, so that they survive grey print.

Stops of matplotlib's maps of the same names (CC0, https://bids.github.io/colormap/; cividis: Nunez,
Anderton and Renslow 2018), a sixteenth apart.
"""

from __future__ import annotations

import numpy as np

from ..errors import UsageError

_STOPS = {
    "inferno": "000004 0b0724 210c4a 3d0965 57106e 71196e 8a226a a32c61 bc3754 d24644 e45a31 f1731d"
    " f98e09 fcac11 f9cb35 f2ea69 fcffa4",
    "magma": "000004 0a0822 1d1147 36106b 51127c 6a1c81 832681 9c2e7f b73779 d0416f e75263 f56b5c"
    " fc8961 fea772 fec488 fde2a3 fcfdbf",
    "viridis": "440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26828e 21918c 1fa088 28ae80 3fbc73"
    " 5ec962 84d44b addc30 d8e219 fde725",
    "cividis": "00224e 002e6a 1a386f 32436d 434e6c 535a6d 61656f 6f7073 7d7c78 8c8878 9b9476 aba072"
    " bcae6c cdbb63 dec958 f0d846 fee838",
}

#: Names of the maps.
COLORMAPS = tuple(_STOPS)

#: The one that is used where none is asked for.
DEFAULT = "inferno"


def table(name: str = DEFAULT) -> np.ndarray:
    """All colours of a map.

    Args:
        name: One of :data:`COLORMAPS`.

    Returns:
        uint8 (256, 3) RGB, from cold to hot.

    Raises:
        UsageError: There is no such map; the message lists them.
    """
    if name not in _STOPS:
        raise UsageError(f"No colour map {name!r}. There are: {', '.join(COLORMAPS)}.")
    stops = np.array([list(bytes.fromhex(stop)) for stop in _STOPS[name].split()])
    position = np.linspace(0, len(stops) - 1, 256)
    channels = [np.interp(position, np.arange(len(stops)), stops[:, c]) for c in range(3)]
    colors: np.ndarray = np.stack(channels, axis=-1).round().astype(np.uint8)
    return colors


def colorize(heat: np.ndarray, name: str = DEFAULT) -> np.ndarray:
    """Colours of heat values.

    Args:
        heat: float (h, w), 0..1.
        name: One of :data:`COLORMAPS`.

    Returns:
        uint8 (h, w, 3) RGB.
    """
    colors: np.ndarray = table(name)[(np.clip(heat, 0, 1) * 255).round().astype(np.uint8)]
    return colors
