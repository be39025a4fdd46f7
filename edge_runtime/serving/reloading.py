"""A model's file is loaded anew beside the one that answers, and takes over without a gap."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ..errors import EdgeError, first_line
from ..manifest import MANIFEST_NAME
from .served import ServedModel

_log = logging.getLogger("edge_runtime")

Stamp = tuple[tuple[int, int, int], ...]


def stamp_of(path: str) -> Stamp:
    """What changes when a model is replaced: inode, size and time of its files; empty if it is gone."""
    root = Path(path)
    files = [root, root / MANIFEST_NAME, *sorted(root.glob("model-*"))] if root.is_dir() else [root]
    found = []
    for file in files:
        try:
            status = os.stat(file)
        except OSError:
            continue
        found.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)


class Reloading:
    """Loads models anew, one at a time, on a thread of its own, when it is asked to."""

    def __init__(self, models: Iterable[ServedModel], look: float | None) -> None:
        """Remember what the files are like now.

        Args:
            models: Those that are served.
            look: Seconds between looks at whether a file has changed; None for no looks.
        """
        self._models, self._look = list(models), look
        self._asked = threading.Event()
        self._ended = False
        self._known = {model.name: stamp_of(model.path) for model in self._models}
        self._seen = dict(self._known)
        self._thread = threading.Thread(target=self._run, name="reload", daemon=True)
        self._all = False

    def start(self) -> None:
        """From now on."""
        self._thread.start()

    def ask(self) -> None:
        """Load all models anew; from any thread, also from a signal handler."""
        self._all = True
        self._asked.set()

    def stop(self) -> None:
        """Load nothing any more; what is being loaded is left to itself."""
        self._ended = True
        self._asked.set()

    def _run(self) -> None:
        while True:
            self._asked.wait(self._look)
            self._asked.clear()
            if self._ended:
                return
            every, self._all = self._all, False
            for model in self._models:
                if every or (self._look is not None and self._has_changed(model)):
                    self._known[model.name] = self._seen[model.name] = stamp_of(model.path)
                    reload(model)

    def _has_changed(self, model: ServedModel) -> bool:
        """Whether a file is another one, and was the same at two looks: it is not being written."""
        now = stamp_of(model.path)
        still = now == self._seen[model.name]
        self._seen[model.name] = now
        return bool(now) and still and now != self._known[model.name]


def reload(model: ServedModel) -> bool:
    """Load one model anew, and let it answer from then on; whether it did.

    It is tried on a black picture first: what it cannot do shows before it is in use.
    """
    start = time.perf_counter()
    try:
        loaded = model.load()
        classifier = loaded.classifier
        spec = classifier.info.preprocess
        pixels = np.zeros((spec.height, spec.width, 3), np.uint8)
        classifier.classify_pixels(pixels, "trial", start)
    except Exception as error:  # the old model goes on
        model.reloads["failed"] += 1
        said = str(error) if isinstance(error, EdgeError) else first_line(error)
        _log.warning("%s stays as it was: %s", model.name, said)
        return False
    model.use(loaded)
    model.reloads["ok"] += 1
    _log.info("%s was loaded anew in %.2f s.", model.name, time.perf_counter() - start)
    return True
