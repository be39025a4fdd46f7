"""The loop of a stream: the newest frame, its answer, the label that stands, and who is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..classifier import Classifier
from ..errors import EdgeError, SystemFailure, system_failure
from ..preprocess import Roi
from ..sources.base import BadFrame, Source, SourceSettings
from .answering import Answering
from .feed import Feed
from .inferring import Ahead, Inferring, Inline
from .outputs.base import Outlet, StopStream
from .results import Event, FrameResult
from .status import Status
from .steady import SteadyLabel

if TYPE_CHECKING:
    from .reload import Reloader

#: Seconds that the loop waits for a frame before it looks at what else there is to do.
_WAIT = 0.25

#: States of a source after which frames come without a gap.
_FLOWING = ("open", "ended")


@dataclass(frozen=True)
class LoopSettings:
    """How long and how often frames are classified.

    Attributes:
        k: How many of the best classes each result lists.
        roi: The part of each frame that is looked at.
        every: Classify one frame of so many.
        max_fps: Results a second at most, on average; None for as many as there are.
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
        reloader: Reloader | None = None,
        pulse: Callable[[], None] | None = None,
        ahead: bool = False,
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
            reloader: Opens the model anew when it is asked to; None for never.
            pulse: Called each time the loop turns, a few times a second at least, but not while it
                waits for an inference.
            ahead: Whether a thread infers the next frame while this one's result is told and taken;
                for a caller that comes back at once.
        """
        self._classifier, self._source, self._source_settings = classifier, source, source_settings
        self._settings, self._steady = settings, steady
        self._outlets, self.status = outlets, status
        self._reloader, self._pulse = reloader, pulse
        self._inferring = Ahead if ahead else Inline
        self._answering = Answering(
            classifier,
            source.name,
            settings.k,
            settings.roi,
            keep=steady is not None,
            wants_maps=lambda: any(outlet.output.wants_heatmaps for outlet in outlets),
            status=status,
        )
        self._stopping: str | None = None
        self._interrupted = False

    def stop(self, reason: str = "asked to") -> None:
        """End after the frame at hand; from any thread, also from a signal handler.

        Args:
            reason: What the "stop" event tells.
        """
        self._stopping = self._stopping or reason
        for outlet in self._outlets:
            outlet.patient = False

    def tell(self, event: Event) -> None:
        """Tell all outputs of an event; from any thread."""
        self.status.event(event)
        if event.kind == "source" and event.data.get("state") not in _FLOWING:
            self._interrupted = True
        for outlet in self._outlets:
            outlet.event(event)

    def run(self) -> Iterator[FrameResult]:
        """Classify frame after frame; then tell of "stop".

        Raises:
            DataError: A file without a readable frame; a model that fails again and again.
            SourceLost: A live source that is gone for good.
            SystemFailure: An output that must lose nothing failed.
            BrokenPipeError: Nobody reads standard output any more.
        """
        reason, error = "closed", None  # by whoever iterates
        self.status.enter("running")
        try:
            reason = yield from self._turn()
        except Exception as failure:
            reason, error = "error", _said(failure)
            raise
        except KeyboardInterrupt:
            reason = "SIGINT"
            raise
        finally:
            self.status.enter("stopped")
            told = {"reason": reason, "error": error}
            self.tell(Event("stop", told | self.status.summary()))

    def _turn(self) -> Generator[FrameResult, None, str]:
        settings, count = self._settings, 0
        end = float("inf") if settings.duration is None else time.monotonic() + settings.duration
        feed = Feed(
            self._source,
            self._source_settings,
            self._answering.prepare,
            self.status,
            self.tell,
            settings.every,
            settings.max_fps,
        )
        with closing(self._inferring(feed, self._answering.infer)) as inferring:
            while self._stopping is None:
                left = end - time.monotonic()
                if left <= 0:
                    return "duration"
                result = self._next(inferring, min(left, _WAIT))
                if result is not None:
                    count += 1
                    yield result
                    if count == settings.max_frames:
                        return "max_frames"
                elif inferring.ended:
                    return "ended"
                self.raise_failures()
                self._reload()
                if self._pulse is not None and (result is not None or not inferring.busy):
                    self._pulse()
        return self._stopping

    def _next(self, inferring: Inferring, wait: float) -> FrameResult | None:
        """The answer to the next frame; None if there is none yet, or it is damaged."""
        found = inferring.next(wait)
        if found is None:
            return None
        try:
            if isinstance(found, BadFrame):
                raise found
            result = self._answering.answer(found)
        except BadFrame:
            self.status.count("corrupt")
            return None
        return self._deliver(result)

    def _deliver(self, result: FrameResult) -> FrameResult:
        steady = self._steady
        if steady is not None and result.prediction.error is not None:
            result = result.with_steady(steady.standing)  # one failure changes nothing
        elif steady is not None:
            if self._interrupted:
                self._interrupted = False
                steady.interrupt()
            result = result.with_steady(steady.update(result))
        self.status.result(result)
        for outlet in self._outlets:
            outlet.result(result)
        if result.steady is not None and result.steady.changed:
            place = {"seconds": result.frame.seconds}
            self.tell(Event("label", result.steady.change() | place, result.frame.time, result))
        return result

    def _reload(self) -> None:
        told = None if self._reloader is None else self._reloader.turn(self._use)
        if told is not None:
            self.tell(Event("reload", told))

    def _use(self, new: Classifier) -> dict[str, Any]:
        before = self._classifier.info.class_names
        self._classifier.become(new)
        info = self._classifier.info
        threshold = info.output.unknown_threshold
        if self._steady is not None:
            self._steady.follow(info, threshold)
        return {
            "format": self._classifier.format,
            "classes": len(info.class_names),
            "same_classes": info.class_names == before,
            "unknown_threshold": threshold,
        }

    def raise_failures(self) -> None:
        """Raise what an output ends the stream with; the caller asks once more when all are closed.

        Raises:
            SystemFailure: An output that must lose nothing failed.
            BrokenPipeError: Nobody reads standard output any more.
        """
        for outlet in self._outlets:
            failure = outlet.failure
            if failure is None:
                continue
            if isinstance(failure, StopStream):
                self.stop(f"{outlet.output.name} closed")
                continue
            if isinstance(failure, OSError) and not isinstance(failure, BrokenPipeError):
                reason = system_failure(failure) or failure.strerror or str(failure)
                raise SystemFailure(f"{outlet.output.name}: {reason}") from failure
            raise failure


def _said(failure: Exception) -> str:
    """What the "stop" event tells of an exception."""
    known = failure if isinstance(failure, EdgeError) else system_failure(failure)
    return f"{type(failure).__name__}: {failure}" if known is None else str(known)


def classify_frames(
    classifier: Classifier,
    source: str,
    settings: LoopSettings | None = None,
    source_settings: SourceSettings | None = None,
    notify: Callable[[Event], None] | None = None,
    steady: SteadyLabel | None = None,
) -> Iterator[FrameResult]:
    """Classify a source from a program of one's own.

    A live source is read by threads of its own, so that the next result is of the newest frame
    however long the program took with the last; a file waits for it. Leaving the iteration closes
    the source.

    Args:
        classifier: The model; the caller closes it.
        source: As on the command line.
        settings: How long and how often; None for every frame.
        source_settings: How it is read.
        notify: Told, on another thread, when the source is lost, opened again or ended, when the
            steady label changes, and at the end.
        steady: Decides the label that stands, :attr:`FrameResult.steady`; None for no smoothing.

    Yields:
        The answer to each frame.

    Raises:
        UsageError: No such source.
        DataError: A file without a readable frame.
        SourceLost: A live source that is gone for good.

    Example:
        >>> from edge_runtime import Classifier
        >>> from edge_runtime.stream import LoopSettings, classify_frames
        >>> with Classifier.open("bundle") as classifier:
        ...     for result in classify_frames(classifier, "test:red", LoopSettings(max_frames=2)):
        ...         print(result.prediction.label, result.age_ms < 10_000)
        red True
        red True
    """
    from ..sources.grammar import parse_source
    from .outputs.base import Listener, close_all

    parsed = parse_source(source)
    status = Status(parsed.name, classifier.format)
    outlets = [] if notify is None else [Outlet(Listener(notify), status)]
    loop = Loop(
        classifier,
        parsed,
        source_settings or SourceSettings(),
        settings or LoopSettings(),
        steady,
        outlets,
        status,
    )
    try:
        yield from loop.run()
    finally:
        close_all(outlets)
