"""Which photos a model is timed on."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edge_runtime.errors import ImageError
from edge_runtime.manifest import PreprocessSpec

from .subjects import Subject

#: Photos that are timed from file to answer, in each round.
END_TO_END = 20

#: Files of a bundle's ``golden`` that have the input's size already: they show no real decoding.
_PREPARED = ".pixels.png"


@dataclass(frozen=True)
class Pictures:
    """The photos of one subject, absolute paths.

    Attributes:
        source: ``golden``, ``data`` or ``pattern``: where ``photo`` is from.
        photo: What single inferences are timed on; None for a generated pattern.
        whole: What is timed from file to answer.
    """

    source: str
    photo: str | None
    whole: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """What the result says of it."""
        return {"source": self.source, "photo": self.photo, "end_to_end_photos": len(self.whole)}


def choose_pictures(subject: Subject, labelled: Sequence[str]) -> Pictures:
    """Choose the photos of a subject.

    Args:
        subject: It.
        labelled: Paths of ``--data``.
    """
    if subject.spec is None:
        return Pictures("pattern", None, ())
    real = [path for path in subject.golden if not path.endswith(_PREPARED)]
    golden = tuple(map(os.path.abspath, readable(real, subject.spec)))
    data = tuple(map(os.path.abspath, readable(spread(labelled, END_TO_END), subject.spec)))
    if not data:  # the few that were taken cannot be read
        data = tuple(map(os.path.abspath, first(readable(labelled, subject.spec))))
    source = "golden" if golden else "data" if data else "pattern"
    return Pictures(source, next(iter((*golden, *data)), None), data or golden)


def spread(paths: Sequence[str], count: int) -> list[str]:
    """At most so many of some paths, evenly spaced: each class has its share."""
    if len(paths) <= count:
        return list(paths)
    return [paths[place * len(paths) // count] for place in range(count)]


def readable(paths: Iterable[str], spec: PreprocessSpec) -> Iterator[str]:
    """Those photos that can be read."""
    from edge_runtime.preprocess import preprocess

    for path in paths:
        try:
            preprocess(path, spec)
        except ImageError:
            continue
        yield path


def first(paths: Iterator[str]) -> list[str]:
    """The first one, if there is one."""
    found = next(paths, None)
    return [] if found is None else [found]
