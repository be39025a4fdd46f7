"""Options of the collect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .packing import packed

if TYPE_CHECKING:
    from ...classifier import Classifier
    from ...stream.outputs.base import Output
    from ...stream.status import Status


@dataclass(frozen=True)
class CollectChoice:
    """What was said about it."""

    values: dict[str, Any]

    def open(self, classifier: Classifier, status: Status, live: bool) -> list[Output]:
        """The output, if it was asked for.

        Args:
            classifier: The model.
            status: What the run counts.
            live: Whether the source is live.
        """
        del classifier, status, live
        return []


def _make(**values: Any) -> CollectChoice:
    return CollectChoice(values)


collect_options = packed("collect", (), _make)
