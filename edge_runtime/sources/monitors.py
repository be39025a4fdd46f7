"""The screens of a desktop."""

from __future__ import annotations

import os
import sys


def screens() -> list[tuple[int, int, int, int]]:
    """Left, top, width and height of each screen, the first one first; none where nobody says."""
    if sys.platform == "linux" and os.environ.get("DISPLAY"):
        return _x11_monitors()
    return []


def _x11_monitors() -> list[tuple[int, int, int, int]]:
    """Monitors of an X server, by version 1.5 of its extension RandR."""
    import ctypes
    import ctypes.util

    class Monitor(ctypes.Structure):
        _fields_ = [
            ("name", ctypes.c_ulong),
            ("primary", ctypes.c_int),
            ("automatic", ctypes.c_int),
            ("noutput", ctypes.c_int),
            ("x", ctypes.c_int),
            ("y", ctypes.c_int),
            ("width", ctypes.c_int),
            ("height", ctypes.c_int),
            ("mwidth", ctypes.c_int),
            ("mheight", ctypes.c_int),
            ("outputs", ctypes.c_void_p),
        ]

    try:
        x11, randr = ctypes.CDLL("libX11.so.6"), ctypes.CDLL("libXrandr.so.2")
    except OSError:  # a desktop without X, or none
        return []
    x11.XOpenDisplay.argtypes, x11.XOpenDisplay.restype = [ctypes.c_char_p], ctypes.c_void_p
    x11.XDefaultRootWindow.argtypes = [ctypes.c_void_p]
    x11.XDefaultRootWindow.restype = ctypes.c_ulong
    x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
    randr.XRRGetMonitors.argtypes = [
        ctypes.c_void_p,
        ctypes.c_ulong,
        ctypes.c_int,
        ctypes.POINTER(ctypes.c_int),
    ]
    randr.XRRGetMonitors.restype = ctypes.POINTER(Monitor)
    randr.XRRFreeMonitors.argtypes = [ctypes.POINTER(Monitor)]
    display = x11.XOpenDisplay(None)
    if not display:
        return []
    try:
        count = ctypes.c_int()
        root = x11.XDefaultRootWindow(display)
        monitors = randr.XRRGetMonitors(display, root, 1, ctypes.byref(count))
        if not monitors:
            return []
        found = [monitors[n] for n in range(count.value)]
        boxes = [(m.x, m.y, m.width, m.height) for m in found]
        randr.XRRFreeMonitors(monitors)
        return boxes
    finally:
        x11.XCloseDisplay(display)
