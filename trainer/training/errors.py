"""Errors that the training itself tells apart."""

from __future__ import annotations

from edge_runtime.errors import ModelError


class Diverged(ModelError):
    """The figures of a training are no numbers: nothing of it is worth keeping."""
