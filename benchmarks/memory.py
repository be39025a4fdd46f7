"""The most memory that this process held, as the kernel counts it."""

from __future__ import annotations

import sys

_STATUS = "/proc/self/status"


def peak_bytes() -> int | None:
    """Largest resident set of this process so far, in bytes; None where nobody counts it.

    Linux' ``VmHWM`` counts from the start of this program. ``ru_maxrss``, the portable figure,
    does not: it survives exec, so a child begins with the peak of the process that started it.
    It stands in only where there is no ``/proc``. Newer kernels count pages in batches a core,
    so the last 100 kB or so are not exact.
    """
    found = _counted()
    if found is not None:
        return found
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # getrusage(2): bytes, kilobytes


def _counted() -> int | None:
    try:
        with open(_STATUS, encoding="ascii", errors="replace") as stream:
            for line in stream:
                name, _, value = line.partition(":")
                if name == "VmHWM":
                    return int(value.split()[0]) * 1024  # proc(5): always in kB
    except (OSError, ValueError, IndexError):
        return None
    return None
