"""The output that keeps frames worth labelling."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import ModelError
from ...preprocess import preprocess
from ...sorting.sorter import UNKNOWN as UNKNOWN_FOLDER
from ...sorting.sorter import folder_names
from ..outputs.base import Output
from ..results import Event, FrameResult, iso_time
from .choosing import Candidate, Chooser
from .drift import Drift, NoDrift, open_drift
from .fingerprint import SAME, fingerprint
from .reasons import DRIFT, FLICKER, MARGIN, REASONS, UNKNOWN, Flicker, margin
from .store import Store

if TYPE_CHECKING:
    from ...classifier import Classifier
    from ...prediction import Prediction
    from ..status import Status

_log = logging.getLogger("edge_runtime")

#: Seconds between two measurements of drift at least; each costs an inference.
_DRIFT_EVERY = 1.0


@dataclass(frozen=True)
class CollectSettings:
    """What is kept.

    Attributes:
        folder: Where.
        every: Seconds between two frames at least; of a video file in its own time.
        max_mb: Megabytes (10^6 bytes) that the folder may hold.
        margin: Distance of the two best calibrated scores under which a frame is worth it.
        flicker: Changes of the raw label among the latest results that are too many.
        reasons: Of :data:`.reasons.REASONS`.
    """

    folder: str
    every: float = 10.0
    max_mb: float = 500.0
    margin: float = 0.2
    flicker: int = 6
    reasons: tuple[str, ...] = REASONS


class Collector(Output):
    """Judges every result, and keeps now and then a frame."""

    name = "collect"
    lossless = True
    spared = True  # a frame that is not kept is no answer that is lost

    def __init__(
        self, settings: CollectSettings, classifier: Classifier, status: Status, live: bool
    ) -> None:
        """Open the folder.

        Args:
            settings: What is kept.
            classifier: The model of the stream, which others load anew; only looked at.
            status: What the run counts; names source and model.
            live: Whether the source is live: then seconds are those of a clock on the wall.

        Raises:
            UsageError: The folder's name belongs to something else.
            SystemFailure: It cannot be written to.
        """
        self._settings, self._status, self._live = settings, status, live
        self._classifier = classifier
        self._store = Store(settings.folder, settings.max_mb * 1e6)
        self._chooser = Chooser(settings.every)
        self._flicker = Flicker(settings.flicker)
        self._drift: Drift | None = None
        self._next_drift: float | None = None
        self._said_one_class = False
        self._use(classifier)

    def result(self, result: FrameResult) -> None:
        """Judge a frame; keep one if it is time."""
        changes = self._flicker.update(result)
        if self._store.full or result.prediction.error is not None:
            return
        moment = self._moment(result)
        reasons = self._judge(result, changes, moment)
        if reasons:
            self._chooser.offer(result, reasons)
        looked = False
        while (candidate := self._chooser.take(moment)) is not None:
            looked = True
            if self._keep(candidate, moment):
                return
        if looked:
            self._chooser.passed_over(moment)

    def event(self, event: Event) -> None:
        """Follow a model that was loaded anew."""
        if event.kind == "reload" and not event.data.get("error"):
            self._use(self._classifier)  # which has become the new one, as the stream opened it

    def _use(self, classifier: Classifier) -> None:
        info = classifier.info
        self._info, self._format = info, classifier.format
        self._folders = folder_names([*info.class_names, UNKNOWN_FOLDER])
        self._drift, off = None, []
        if UNKNOWN in self._settings.reasons and info.output.unknown_threshold is None:
            off.append(f"{UNKNOWN} (the model has no threshold for it)")
        if DRIFT in self._settings.reasons:
            try:
                self._drift = open_drift(self._status.model, self._format, classifier.backend)
            except NoDrift as error:
                off.append(f"{DRIFT} ({error})")
            except ModelError as error:
                off.append(f"{DRIFT} ({str(error).rstrip('.')})")
        for reason in off:
            _log.info("--collect: no %s.", reason)

    def _judge(self, result: FrameResult, changes: int, moment: float) -> dict[str, float]:
        """Reasons, with how strongly each speaks for the frame."""
        wanted, answer, found = self._settings.reasons, result.prediction, {}
        if UNKNOWN in wanted and answer.unknown:
            certain = answer.score if answer.calibrated_score is None else answer.calibrated_score
            found[UNKNOWN] = 1.0 - (certain or 0.0)
        if MARGIN in wanted:
            distance = margin(answer, self._info.output.temperature)
            if distance is None and not self._said_one_class:
                self._said_one_class = True
                _log.info("--collect: no %s (answers list one class only; see --top-k).", MARGIN)
            if distance is not None and distance < self._settings.margin:
                found[MARGIN] = 1.0 - distance
        if FLICKER in wanted and changes:
            found[FLICKER] = float(changes)
        if self._drift is not None and self._is_time_for_drift(moment):
            far = self._drift.distance(self._pixels(result))
            if far > self._drift.threshold:
                found[DRIFT] = far
        return found

    def _is_time_for_drift(self, moment: float) -> bool:
        due = self._next_drift
        if due is not None and due - _DRIFT_EVERY <= moment < due:
            return False
        self._next_drift = moment + _DRIFT_EVERY
        return True

    def _keep(self, candidate: Candidate, moment: float) -> bool:
        """Write a frame unless one like it was kept; whether looking on would be no use."""
        result = candidate.result
        found = fingerprint(self._pixels(result))
        if self._store.remembered.nearest(found) <= SAME:
            self._status.count("collect_similar")
            return False
        self._chooser.kept(candidate, moment)  # also if writing fails: a full disk stays full
        folder = self._folder_of(result.prediction)
        facts = self._facts(candidate)
        if self._store.save(result, folder, candidate.reason, found, facts) is not None:
            self._status.count("collected")
            self._status.count(f"collected_{candidate.reason}")
        return True

    def _folder_of(self, answer: Prediction) -> str:
        index, label = answer.index or 0, answer.label or UNKNOWN_FOLDER
        if answer.unknown:
            return self._folders[-1]
        if self._info.class_names[index : index + 1] == (label,):
            return self._folders[index]
        return folder_names([label, UNKNOWN_FOLDER])[0]  # of a model that was loaded anew

    def _facts(self, candidate: Candidate) -> Mapping[str, Any]:
        result = candidate.result
        answer, frame = result.prediction, result.frame
        distance = margin(answer, self._info.output.temperature)
        return {
            "time": iso_time(frame.time),
            "reason": candidate.reason,
            "reasons": list(candidate.reasons),
            "label": answer.label,
            "index": answer.index,
            "score": answer.score,
            "calibrated_score": answer.calibrated_score,
            "unknown": answer.unknown,
            "margin": None if distance is None else round(distance, 6),
            "distance": candidate.reasons.get(DRIFT),
            "top": [{"label": n, "index": i, "score": s} for n, i, s in answer.top],
            "steady": None if result.steady is None else result.steady.state,
            "source": self._status.source,
            "path": frame.path,
            "frame": frame.number,
            "seconds": frame.seconds,
            "roi": None if result.roi is None else list(result.roi),
            "model": self._status.model,
            "format": self._format,
        }

    def _pixels(self, result: FrameResult) -> Any:
        return preprocess(result.frame.photo, self._info.preprocess, result.roi)

    def _moment(self, result: FrameResult) -> float:
        """Seconds: of a file its own time, in which its frames follow each other."""
        seconds = result.frame.seconds
        return result.frame.captured if self._live or seconds is None else seconds
