"""Imports that run while an interpreter loads its model, which holds no lock of Python."""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from collections.abc import Iterator

#: What the first photo needs and the model does not: as long a work as loading a small model.
PHOTO_MODULES = ("edge_runtime.preprocess", "PIL.JpegImagePlugin")


@contextlib.contextmanager
def photo_modules_imported() -> Iterator[None]:
    """Import :data:`PHOTO_MODULES` on another thread during the block, if they are not yet."""
    missing = [name for name in PHOTO_MODULES if name not in sys.modules]
    if not missing:
        yield
        return
    thread = threading.Thread(target=_import, args=(missing,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _import(names: list[str]) -> None:
    with contextlib.suppress(
        Exception
    ):  # whoever needs it imports it again, and says what is wrong
        for name in names:
            importlib.import_module(name)
