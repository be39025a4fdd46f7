"""A run of ``edge-classify image``: photos in, answers out, and what is done with each photo."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from .errors import DataError, InputsFailed, UsageError
from .meanwhile import FirstPhoto
from .photos.finding import Found, PhotosIn
from .prediction import Prediction
from .records import dataclass, replace

if TYPE_CHECKING:
    from .classifier import Classifier
    from .heat.overlays import Overlays
    from .output import Format
    from .output.sink import Write
    from .photos.watching import Watch
    from .preprocess import Roi
    from .progress import Progress
    from .sorting.sorter import Sorter

_log = logging.getLogger("edge_runtime")


@dataclass(frozen=True)
class Wishes:
    """What a run is asked for."""

    paths: tuple[str, ...] = ()  #: files, folders, patterns, ``-``
    nul: bool = False  #: whether the list on standard input is separated by NUL
    watch: str | None = None  #: folder whose arrivals are classified, without end
    existing: bool = False  #: whether what is in it already counts as arrived
    k: int = 5  #: classes that each answer lists
    threshold: float | None = None  #: in place of the model's own; 0..1
    roi: Roi | None = None  #: the part of each photo that is looked at
    batch: int | None = None  #: photos a run of the model; None for the model's own
    workers: int | None = None  #: threads that decode; None for the usable cores, at most 4
    output: str = "text"  #: one of :data:`edge_runtime.output.FORMATS`
    out: str | None = None  #: file for the answers; None for standard output
    overwrite: bool = False  #: whether ``out`` and heat maps may replace what is there
    copy_to: str | None = None  #: folder that photos are copied into, by label
    move_to: str | None = None  #: folder that they are moved into
    heatmap: str | None = None  #: folder for a picture of each photo's heat map

    def __post_init__(self) -> None:
        if self.copy_to is not None and self.move_to is not None:
            raise UsageError("--copy-to and --move-to: one of them at a time.")
        if self.threshold is not None and not 0 <= self.threshold <= 1:  # NaN passes click
            raise UsageError(f"--threshold {self.threshold}: expected 0 to 1.")
        if self.nul and "-" not in self.paths:
            raise UsageError("--null goes with `-`, the list on standard input.")
        if self.existing and self.watch is None:
            raise UsageError("--existing goes with --watch.")

    @property
    def sorted_into(self) -> str | None:
        """The folder that photos are copied or moved into."""
        return self.copy_to if self.move_to is None else self.move_to


class _Run:
    """The parts of a run, and how far it is."""

    def __init__(
        self,
        classifier: Classifier,
        wishes: Wishes,
        form: Format,
        write: Write,
        progress: Progress | None,
        sorter: Sorter | None,
        overlays: Overlays | None,
    ) -> None:
        self.classifier, self.wishes, self.form, self.write = classifier, wishes, form, write
        self.progress, self.sorter, self.overlays = progress, sorter, overlays
        self.done = self.failed = 0

    def classify(self, photos: list[Found]) -> None:
        """Classify some photos and write their answers."""
        wishes = self.wishes
        answers = self.classifier.classify_many(
            [found.path for found in photos],
            wishes.k,
            roi=wishes.roi,
            explain=self.overlays is not None,
            batch=wishes.batch,
            workers=wishes.workers,
        )
        for found, answer in zip(photos, answers, strict=True):
            prediction, extra = self._treated(found, answer)
            self.done += 1
            self.failed += prediction.error is not None
            if self.progress is not None:
                self.progress.hide()
            self.write(self.form.row(prediction, extra))
            if self.progress is not None:
                self.progress.step()

    def _treated(
        self, found: Found, prediction: Prediction
    ) -> tuple[Prediction, dict[str, str | None]]:
        extra: dict[str, str | None] = {}
        try:
            if self.overlays is not None:
                extra["heatmap"] = None
                extra["heatmap"] = self.overlays.write(found, prediction)
            if self.sorter is not None:
                extra["sorted"] = None
                extra["sorted"] = self.sorter.place(prediction)
        except DataError as error:  # this photo is gone, the others are not
            prediction = Prediction(path=found.path, error=str(error))
        return prediction, extra


def classify_photos(
    wishes: Wishes, open_classifier: Callable[[FirstPhoto | None], Classifier]
) -> None:
    """Classify the photos that were asked for.

    Args:
        wishes: Which photos, and what is done with them.
        open_classifier: Loads the model, and decodes the photo given to it meanwhile.

    Raises:
        UsageError: A path that does not exist, an output that does.
        InputsFailed: Some photos could not be classified, the others were.
        SystemFailure: Disk full or no permission.
    """
    if wishes.out is not None:
        _check_out(wishes)
    photos = PhotosIn(wishes.paths, wishes.nul, wishes.sorted_into, wishes.heatmap)
    watch = None if wishes.watch is None else _watch(wishes)
    only = photos.total == 1 and os.path.isfile(wishes.paths[0])
    classifier = open_classifier(FirstPhoto(wishes.paths[0], wishes.roi) if only else None)
    if wishes.threshold is not None:
        output = replace(classifier.info.output, unknown_threshold=wishes.threshold)
        classifier.info = replace(classifier.info, output=output)
    sorter = _sorter(wishes, classifier)
    overlays = _overlays(wishes, classifier)
    progress = _progress(photos.total) if watch is None else None
    form = _form(wishes, classifier)
    with contextlib.ExitStack() as stack:
        if sorter is not None:
            stack.callback(_farewell, sorter, wishes)
        if progress is not None:
            stack.callback(progress.close)
        write = stack.enter_context(_opened(wishes, form))
        run = _Run(classifier, wishes, form, write, progress, sorter, overlays)
        if watch is not None:
            _follow(photos, watch, run)
            return
        for group in photos.groups():
            run.classify(group)
    if wishes.out is not None:
        _log.info("%d photos: %s", run.done, wishes.out)
    _report(run, photos)


def _report(run: _Run, photos: PhotosIn) -> None:
    said = []
    if run.failed:
        said.append(f"{run.failed} of {run.done} photos could not be classified.")
    if photos.unread:
        said.append(f"{len(photos.unread)} folders could not be read.")
    if said:
        raise InputsFailed(" ".join(said))


def _follow(photos: PhotosIn, watch: Watch, run: _Run) -> None:
    """Classify what was named, then what arrives, until SIGINT or SIGTERM, which is how this ends well."""
    from .console import Terminated

    _log.info("watching %s; Ctrl-C ends it.", watch.folder)
    try:
        for group in photos.groups():
            run.classify(group)
        for paths in watch.arrivals():
            run.classify([Found(path, os.path.relpath(path, watch.folder)) for path in paths])
    except (KeyboardInterrupt, Terminated):
        _log.info("stopped after %d photos, %d of them unreadable.", run.done, run.failed)


def _check_out(wishes: Wishes) -> None:
    from .files import refuse_existing
    from .output.sink import is_special

    out = str(wishes.out)
    if os.path.isdir(out):
        raise UsageError(f"--out {out}: is a folder; a file name was expected.")
    if wishes.watch is None and not is_special(out):
        refuse_existing(out, wishes.overwrite)


def _watch(wishes: Wishes) -> Watch:
    from .photos.finding import Outputs
    from .photos.watching import Watch

    outputs = Outputs(wishes.sorted_into, wishes.heatmap)
    return Watch(str(wishes.watch), wishes.existing, outputs)


def _sorter(wishes: Wishes, classifier: Classifier) -> Sorter | None:
    if wishes.sorted_into is None:
        return None
    from .sorting.sorter import Sorter

    names = classifier.info.class_names
    return Sorter(wishes.sorted_into, names, move=wishes.move_to is not None)


def _overlays(wishes: Wishes, classifier: Classifier) -> Overlays | None:
    if wishes.heatmap is None:
        return None
    from .heat.overlays import Overlays

    return Overlays(
        wishes.heatmap,
        classifier.info.preprocess,
        roi=wishes.roi,
        overwrite=wishes.overwrite,
        endless=wishes.watch is not None,
    )


def _progress(total: int | None) -> Progress | None:
    if total == 1 or sys.stderr is None or not sys.stderr.isatty():
        return None
    from .progress import Progress

    return Progress(total)


def _form(wishes: Wishes, classifier: Classifier) -> Format:
    from .output import make_format

    extra = ["heatmap"] * (wishes.heatmap is not None)
    extra += ["sorted"] * (wishes.sorted_into is not None)
    width = None
    if wishes.output == "table" and wishes.out is None:
        width = _terminal_width()
    return make_format(wishes.output, classifier.info, wishes.k, extra, width)


def _terminal_width() -> int | None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if sys.stdout.isatty():
            return os.get_terminal_size(sys.stdout.fileno()).columns
    return None


@contextlib.contextmanager
def _opened(wishes: Wishes, form: Format) -> Iterator[Write]:
    from .output import sink

    head = form.head()
    if wishes.out is None:
        if head:
            sink.to_stdout(head)
        yield sink.to_stdout
    elif wishes.watch is not None:
        begin = "{" if wishes.output == "jsonl" else head
        with sink.appended(wishes.out, head, begin, wishes.overwrite) as write:
            yield write
    else:
        with sink.to_file(wishes.out, wishes.overwrite) as write:
            write(head)
            yield write


def _farewell(sorter: Sorter, wishes: Wishes) -> None:
    from .errors import shell_command

    sorter.close()
    done = "copied" if wishes.move_to is None else "moved"
    same = f" {sorter.same} were there already and stay where they are." if sorter.same else ""
    _log.info("%d photos %s to %s.%s", sorter.placed, done, wishes.sorted_into, same)
    if sorter.log.path is not None:
        _log.info("Undo it with: %s", shell_command("edge-classify", "undo", sorter.log.path))
