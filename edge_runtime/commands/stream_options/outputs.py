"""Options that say who is told."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from .output_list import OPTIONS
from .packing import Choice, packed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ...classifier import Classifier
    from ...stream.outputs.base import Output
    from ...stream.status import Status

_MB = 1_000_000

#: Options that say how, and the ones of which they need one.
_NEEDS = {
    "heatmap": ("window", "video"),
    **{f"video_{name}": ("video",) for name in ("fps", "codec", "minutes", "max_mb")},
    **{f"snapshots_{name}": ("snapshots",) for name in ("max", "max_mb", "plain")},
    "csv_rows": ("csv",),
    **{
        f"mqtt_{name}": ("mqtt",)
        for name in ("password_file", "ca", "qos", "results", "discovery", "discovery_prefix")
    },
    "webhook_timeout": ("webhook",),
    "exec_timeout": ("exec",),
    "tell": ("webhook", "exec"),
    "overwrite": ("video", "csv"),
}


class OutputChoice(Choice):
    """What was said about outputs."""

    def open(self, classifier: Classifier, status: Status, live: bool) -> list[Output]:
        """Make the outputs that were asked for; what is open is closed if a later one fails.

        Args:
            classifier: The model.
            status: What the run counts.
            live: Whether the source is live.

        Raises:
            UsageError: An option that makes no sense.
            OutputExists: A file is there already.
            MissingComponent: A package that an output needs is not installed.
            SystemFailure: A file or port cannot be opened, or there is no screen.
        """
        self._refuse_lonely()
        opened: list[Output] = []
        try:
            for make in self._makers(classifier, status, live):
                opened.append(make())
        except BaseException:
            for output in opened:
                output.hurry()
                with contextlib.suppress(Exception):
                    output.close()
            raise
        return opened

    def _refuse_lonely(self) -> None:
        from ...errors import UsageError

        for name, parents in _NEEDS.items():
            if self.values[name] and not any(self.values[parent] for parent in parents):
                needed = " or ".join(f"--{parent}" for parent in parents)
                raise UsageError(f"--{name.replace('_', '-')}: says something about {needed}.")
        if self.values["video_max_mb"] and not self.values["video_minutes"]:
            raise UsageError(
                "--video-max-mb: removes the oldest of several files, so --video-minutes is "
                "needed, too."
            )

    def _makers(
        self, classifier: Classifier, status: Status, live: bool
    ) -> Iterator[Callable[[], Output]]:
        """A function for each output; those whose errors are likeliest first."""
        values = self.values
        if values["csv"]:
            yield self._csv
        if values["webhook"]:
            yield lambda: self._webhook(status)
        if values["exec"]:
            yield lambda: self._command(status)
        if values["snapshots"]:
            yield lambda: self._snapshots(status)
        if values["metrics"]:
            yield lambda: self._metrics(status)
        if values["video"]:
            yield lambda: self._video(live)
        if values["window"]:
            yield self._window
        if values["mqtt"]:
            yield lambda: self._mqtt(status)
        yield lambda: self._lines(classifier)

    def _lines(self, classifier: Classifier) -> Output:
        from ...stream.outputs.lines import Lines

        threshold = classifier.info.output.unknown_threshold
        return Lines(self.values["as_json"], self.values["print"], threshold)

    def _csv(self) -> Output:
        from ...stream.outputs.csv_file import CsvFile

        rows = self.values["csv_rows"] or "frames"
        return CsvFile(self.values["csv"], rows, self.values["overwrite"])

    def _webhook(self, status: Status) -> Output:
        import os

        from ...stream.outputs.webhook import SECRET_VARIABLE, Patience, Webhook

        seconds = self.values["webhook_timeout"]
        patience = Patience() if seconds is None else Patience(min(5.0, seconds), seconds)
        secret = os.environ.get(SECRET_VARIABLE) or None
        return Webhook(self.values["webhook"], status, self._kinds(), secret, patience)

    def _command(self, status: Status) -> Output:
        from ...stream.outputs.command import Command

        seconds = self.values["exec_timeout"] or 10.0
        return Command(self.values["exec"], status, self._kinds(), seconds)

    def _kinds(self) -> frozenset[str]:
        from ...stream.outputs.messages import KINDS

        named = self.values["tell"] or ("label",)
        return frozenset(KINDS if "all" in named else named)

    def _snapshots(self, status: Status) -> Output:
        from ...stream.outputs.snapshots import Snapshots

        values = self.values
        return Snapshots(
            values["snapshots"],
            status,
            heatmaps=not values["snapshots_plain"],
            most=values["snapshots_max"],
            most_bytes=_bytes(values["snapshots_max_mb"]),
        )

    def _metrics(self, status: Status) -> Output:
        from ...stream.outputs.metrics import Metrics

        return Metrics(self.values["metrics"], status)

    def _video(self, live: bool) -> Output:
        from ...stream.outputs.video import Video

        values = self.values
        return Video(
            values["video"],
            live,
            fps=values["video_fps"],
            codec=values["video_codec"],
            minutes=values["video_minutes"],
            most_bytes=_bytes(values["video_max_mb"]),
            overwrite=values["overwrite"],
            heatmap=values["heatmap"],
        )

    def _window(self) -> Output:
        from ...stream.outputs.window import Window

        return Window(self.values["heatmap"])

    def _mqtt(self, status: Status) -> Output:
        from ...stream.outputs.mqtt import Mqtt
        from ...stream.outputs.mqtt_address import parse_address

        values = self.values
        discovery = values["mqtt_discovery_prefix"] or "homeassistant"
        return Mqtt(
            parse_address(values["mqtt"], values["mqtt_password_file"]),
            status,
            qos=1 if values["mqtt_qos"] is None else int(values["mqtt_qos"]),
            every=values["mqtt_results"],
            ca_file=values["mqtt_ca"],
            discovery=discovery if values["mqtt_discovery"] else None,
        )


def _bytes(megabytes: float | None) -> int | None:
    return None if megabytes is None else int(megabytes * _MB)


output_options = packed(
    "output", [click.option(*names, **rest) for names, rest in OPTIONS], OutputChoice
)
