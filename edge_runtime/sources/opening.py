"""Open a source of any kind."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import cast

from .base import Reader, Source, SourceSettings

#: What a module of this package is asked for.
Opener = Callable[[Source, SourceSettings], Reader]


def open_reader(source: Source, settings: SourceSettings) -> Reader:
    """Open a source once; :mod:`edge_runtime.stream.feed` opens it again when it is lost.

    Args:
        source: What to open.
        settings: How it is read.

    Raises:
        SourceLost: It is not there now, and may be later.
        DataError: A file that holds no video or picture.
        MissingComponent: What reads it is not installed.
    """
    module = importlib.import_module(f"{__package__}.{source.kind}")
    return cast("Opener", module.open_reader)(source, settings)
