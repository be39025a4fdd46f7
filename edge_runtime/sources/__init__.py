"""Where frames come from: cameras, streams, videos, folders, screens and a test pattern.

One module a kind, each a :class:`~edge_runtime.sources.base.Reader`; :mod:`.grammar` reads what the
user typed, :mod:`.opening` opens it, and :mod:`edge_runtime.stream.feed` keeps it alive.
"""

from .base import Frame, Grabbed, Reader, Source, SourceSettings
from .credentials import hide_credentials
from .grammar import parse_source

__all__ = [
    "Frame",
    "Grabbed",
    "Reader",
    "Source",
    "SourceSettings",
    "hide_credentials",
    "parse_source",
]
