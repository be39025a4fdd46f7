"""The child processes that measure, and what becomes of a row whose process fails."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from edge_runtime.child.asking import ask, module_command
from edge_runtime.errors import EdgeError, MissingComponent, SystemFailure

from .rows import Record

if TYPE_CHECKING:
    from .run import Settings

_log = logging.getLogger("benchmarks")

#: The child that measures.
COMMAND = module_command("benchmarks.measuring.worker")

_REMEDY = "Allow more with --timeout, or ask for fewer --min-runs."


class Children:
    """Asks child processes; to be used in a ``with`` block.

    Attributes:
        settings: What is measured.
        shared: What every request holds, of the model's settings.
        folder: For files that children read; gone after the block.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        told = None if settings.model is None else asdict(settings.model)
        self.shared: dict[str, Any] = {"settings": told}

    def __enter__(self) -> Children:
        self._temporary = tempfile.TemporaryDirectory(prefix="edge-bench-")
        self.folder = Path(self._temporary.name)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._temporary.cleanup()

    def ask(self, request: Mapping[str, Any], extra_seconds: float = 0.0) -> dict[str, Any]:
        """Hand a request to a fresh process.

        Args:
            request: See :mod:`.worker`.
            extra_seconds: Beyond ``--timeout``.

        Raises:
            SystemFailure: It could not be started.
            EdgeError: The child failed, crashed, was killed or took too long.
        """
        try:
            return ask(COMMAND, request, self.settings.timeout + extra_seconds, remedy=_REMEDY)
        except OSError as error:  # no memory, no more processes: it costs one row
            raise SystemFailure(f"its process could not be started: {error}.") from error

    def ask_for(
        self, record: Record, task: str, extra_seconds: float = 0.0, **fields: Any
    ) -> dict[str, Any]:
        """:meth:`ask` of one configuration."""
        return self.ask(self.request(record, task, **fields), extra_seconds)

    def request(self, record: Record, task: str, **fields: Any) -> dict[str, Any]:
        """The request for a task of one configuration."""
        common = record.configuration.request(self.shared["settings"])
        return {**common, "task": task, **fields}


def note_failure(records: Sequence[Record], error: EdgeError) -> None:
    """Write down why some rows cannot be measured.

    Args:
        records: The rows.
        error: Of the process of one of them.
    """
    for record in records:
        if isinstance(error, MissingComponent):
            _log.warning("skipped %s: %s", record.label, error)
            record.skipped = str(error)
        else:
            _log.warning("%s: %s", record.label, error)
            record.error = str(error)
