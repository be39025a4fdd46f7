"""What is read of a model's file after it was loaded, if it is still the same file."""

from __future__ import annotations

import io
from typing import BinaryIO

from ..errors import ModelError
from .base import Identity, identity


class ModelFile:
    """The file of a loaded model, from which parts are read later, too."""

    def __init__(self, where: str, known: Identity, source: str | bytes) -> None:
        """Remember which file it is.

        Args:
            where: Its path.
            known: What :func:`~edge_runtime.backends.base.identity` said before it was loaded.
            source: What was loaded: its path or its contents.
        """
        self._where, self._known, self._source = where, known, source

    def open(self) -> BinaryIO:
        """What was loaded, to be read.

        Raises:
            ModelError: The file was replaced, changed or removed since: what is read from it now
                belongs to other weights and perhaps to other classes.
        """
        if isinstance(self._source, bytes):
            return io.BytesIO(self._source)
        try:
            stream = open(self._where, "rb")  # noqa: SIM115  # the caller's
        except FileNotFoundError as error:
            raise self._replaced() from error
        if identity(stream.fileno()) != self._known:
            stream.close()
            raise self._replaced()
        return stream

    def read(self) -> bytes:
        """All of it, see :meth:`open`."""
        with self.open() as stream:
            return stream.read()

    def _replaced(self) -> ModelError:
        return ModelError(
            f"{self._where}: the file was replaced or changed since it was loaded. Load the model "
            "anew: restart, or send SIGHUP to edge-classify serve or stream."
        )
