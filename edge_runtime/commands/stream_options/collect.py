"""Options that say which frames are kept for labelling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .packing import Choice, packed

if TYPE_CHECKING:
    from ...classifier import Classifier
    from ...stream.outputs.base import Output
    from ...stream.status import Status

#: As in :mod:`edge_runtime.stream.collect.reasons`, which the help does not load.
_REASONS = ("unknown", "margin", "flicker", "drift")


class CollectChoice(Choice):
    """What was said about it; None where nothing was said."""

    def open(self, classifier: Classifier, status: Status, live: bool) -> list[Output]:
        """The output, if it was asked for.

        Args:
            classifier: The model.
            status: What the run counts.
            live: Whether the source is live.

        Raises:
            UsageError: An option without ``--collect``, no such reason, or no folder.
            SystemFailure: The folder cannot be written to.
        """
        from ...errors import UsageError

        said = {name: value for name, value in self.values.items() if value is not None}
        if "folder" not in said:
            for name in said:
                raise UsageError(f"--collect-{name.replace('_', '-')}: needs --collect DIR.")
            return []
        if "reasons" in said:
            said["reasons"] = _listed(said["reasons"])
        from ...stream.collect.collector import Collector, CollectSettings

        return [Collector(CollectSettings(**said), classifier, status, live)]


def _listed(text: str) -> tuple[str, ...]:
    from ...errors import UsageError

    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in _REASONS]
    if unknown:
        raise UsageError(
            f"--collect-reasons {text}: no reason {unknown[0]!r}. Known: {', '.join(_REASONS)}."
        )
    return tuple(name for name in _REASONS if name in names)


collect_options = packed(
    "collect",
    (
        click.option(
            "--collect",
            "collect_folder",
            metavar="DIR",
            help="Keep frames that are worth labelling in DIR, in a folder for each label.",
        ),
        click.option(
            "--collect-every",
            "collect_every",
            type=click.FloatRange(0),
            metavar="SECONDS",
            help="Between two of them at least.  [default: 10]",
        ),
        click.option(
            "--collect-max-mb",
            "collect_max_mb",
            type=click.FloatRange(0, min_open=True),
            metavar="MB",
            help="What DIR may hold; then nothing more is kept.  [default: 500]",
        ),
        click.option(
            "--collect-reasons",
            "collect_reasons",
            metavar="REASON,...",
            help=f"Of {', '.join(_REASONS)}.  [default: all]",
        ),
        click.option(
            "--collect-margin",
            "collect_margin",
            type=click.FloatRange(0, 1),
            metavar="0..1",
            help="Reason margin: the two best calibrated scores are closer.  [default: 0.2]",
        ),
        click.option(
            "--collect-flicker",
            "collect_flicker",
            type=click.IntRange(1, 19),
            metavar="N",
            help="Reason flicker: the label changes so often in 20 frames.  [default: 6]",
        ),
    ),
    CollectChoice,
)
