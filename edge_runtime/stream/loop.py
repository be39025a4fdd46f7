"""The loop of a stream: the newest frame, its answer, the label that stands, and who is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from ..classifier import Classifier
from ..pipeline import Decoded
from ..preprocess import Roi
from ..sources.base import Frame, Source, SourceSettings
from .feed import Feed, Prepared
from .outputs.base import Outlet
from .results import Event, FrameResult
from .status import Status
from .steady import SteadyLabel

#: Seconds that the loop waits for a frame before it looks at what else there is to do.
_WAIT = 0.25


@dataclass(frozen=True)
class LoopSettings:
    """How long and how often frames are classified.

    Attributes:
        k: How many of the best classes each result lists.
        roi: The part of each frame that is looked at.
        every: Classify one frame of so many.
        max_fps: Results a second at most; None for as many as there are.
        max_frames: Stop after so many results; None for all.
        duration: Stop after so many seconds; None for never.
    """

    k: int = 5
    roi: Roi | None = None
    every: int = 1
    max_fps: float | None = None
    max_frames: int | None = None
    duration: float | None = None


class Loop:
    """Classifies what a feed gives until it ends or is told to stop."""

    def __init__(
        self,
        classifier: Classifier,
        source: Source,
        source_settings: SourceSettings,
        settings: LoopSettings,
        steady: SteadyLabel | None,
        outlets: list[Outlet],
        status: Status,
    ) -> None:
        """Join the parts; nothing runs yet.

        Args:
            classifier: The model.
            source: What is looked at.
            source_settings: How it is read.
            settings: How long and how often.
            steady: Decides the label that stands; None for no smoothing.
            outlets: Who is told; the caller closes them.
            status: Where everything is counted.
        """
        self._classifier, self._source, self._source_settings = classifier, source, source_settings
        self._settings, self._steady = settings, steady
        self._outlets, self.status = outlets, status
        self._stopping = False

    def stop(self) -> None:
        """End after the frame at hand; from any thread, also from a signal handler."""
        self._stopping = True

    def tell(self, event: Event) -> None:
        """Tell all outputs of an event; from any thread."""
        self.status.event(event)
        for outlet in self._outlets:
            outlet.event(event)

    def run(self) -> Iterator[FrameResult]:
        """Classify frame after frame.

        Raises:
            DataError: A file without a readable frame.
            SourceLost: A live source that is gone for good.
        """
        end = (
            None if self._settings.duration is None else time.monotonic() + self._settings.duration
        )
        count = 0
        with Feed(
            self._source, self._source_settings, self._prepare, self.status, self.tell
        ) as feed:
            while not self._stopping and (end is None or time.monotonic() < end):
                self._raise_failures()
                prepared = feed.next(_WAIT)
                if prepared is None:
                    if feed.ended:
                        return
                    continue
                result = self._answer(prepared)
                count += 1
                yield result
                if count == self._settings.max_frames:
                    return

    def _prepare(self, frame: Frame) -> Decoded:
        return self._classifier.decode(frame.photo, self._settings.roi, self._explains())

    def _explains(self) -> bool:
        return any(outlet.output.wants_heatmaps for outlet in self._outlets)

    def _answer(self, prepared: Prepared) -> FrameResult:
        frame, decoded = prepared.frame, prepared.decoded
        age_ms = (time.monotonic() - frame.captured) * 1000
        name = frame.path or self._source.name
        named = decoded._replace(path=name)
        explain = self._explains()
        prediction = self._classifier.answer([named], self._settings.k, explain)[0]
        spec, roi = self._classifier.info.preprocess, self._settings.roi
        result = FrameResult(prediction, frame, age_ms, spec=spec, roi=roi)
        if self._steady is not None:
            result = replace(result, steady=self._steady.update(result))
        self.status.result(result)
        for outlet in self._outlets:
            outlet.result(result)
        if result.steady is not None and result.steady.changed:
            self.tell(Event("label", result.steady.to_dict(), frame.time, result))
        self._raise_failures()
        return result

    def _raise_failures(self) -> None:
        for outlet in self._outlets:
            if outlet.failure is not None:
                raise outlet.failure


def classify_frames(
    classifier: Classifier,
    source: str,
    settings: LoopSettings | None = None,
    source_settings: SourceSettings | None = None,
    notify: Callable[[Event], None] | None = None,
) -> Iterator[FrameResult]:
    """Classify a source from a program of one's own: no smoothing, no outputs.

    Args:
        classifier: The model.
        source: As on the command line.
        settings: How long and how often; None for every frame.
        source_settings: How it is read.
        notify: Told when the source is lost, opened again, or ended.

    Raises:
        UsageError: No such source.
        DataError: A file without a readable frame.
        SourceLost: A live source that is gone for good.
    """
    from ..sources.grammar import parse_source
    from .outputs.base import Listener

    parsed = parse_source(source)
    outlets = [] if notify is None else [Outlet(Listener(notify), Status(parsed.name, ""))]
    loop = Loop(
        classifier,
        parsed,
        source_settings or SourceSettings(),
        settings or LoopSettings(),
        None,
        outlets,
        Status(parsed.name, classifier.format),
    )
    try:
        yield from loop.run()
    finally:
        for outlet in outlets:
            outlet.close()
