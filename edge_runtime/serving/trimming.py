"""Memory of large photos, given back to the system: glibc keeps it for the next ones."""

from __future__ import annotations

import ctypes
from collections.abc import Callable


def trimmer() -> Callable[[], object]:
    """What gives free memory back, malloc_trim(3) of glibc; nothing elsewhere.

    Pillow's blocks of 16 MB come from the heap, where a decoded photo of 50 megapixels would leave
    200 MB behind for good.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # musl, macOS, Windows
        return lambda: None
    trim.argtypes, trim.restype = [ctypes.c_size_t], ctypes.c_int
    return lambda: trim(0)
