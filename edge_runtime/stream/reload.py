"""Load a model anew beside the one that runs, and hand it over between two frames."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import EdgeError, UsageError, first_line, system_failure

if TYPE_CHECKING:
    from ..classifier import Classifier

_log = logging.getLogger("edge_runtime")


class Reloader:
    """Opens a model on a thread of its own when it is asked to."""

    def __init__(
        self,
        open_again: Callable[[], Classifier],
        begun: Callable[[], None] | None = None,
        done: Callable[[], None] | None = None,
    ) -> None:
        """Remember how; nothing runs yet.

        Args:
            open_again: Opens the model as it was opened the first time.
            begun: Called, on the loop's thread, when loading begins.
            done: The same when the new model is in use, or was refused.
        """
        self._open, self._begun, self._done = open_again, begun, done
        self._asked = False
        self._thread: threading.Thread | None = None
        self._found: Classifier | Exception | None = None
        self._seconds = 0.0

    def ask(self) -> None:
        """Load the model; from any thread, also from a signal handler."""
        self._asked = True

    def turn(self, use: Callable[[Classifier], dict[str, Any]]) -> dict[str, Any] | None:
        """Look after it; called by the loop between two frames.

        Args:
            use: Takes the new model over, and says what is to be told about it.

        Returns:
            What the "reload" event tells; None while nothing has come to an end.
        """
        if self._thread is None:
            if self._asked:
                self._start()
            return None
        if self._thread.is_alive():
            return None
        found, self._found, self._thread = self._found, None, None
        if isinstance(found, Exception) or found is None:
            told: dict[str, Any] = {"ok": False, "error": _reason(found)}
            _log.warning("the model stays as it was: %s", told["error"])
        else:
            told = {"ok": True, "seconds": round(self._seconds, 3), **use(found)}
            _log.info("the model was loaded anew.")
        if self._done is not None:
            self._done()
        return told

    def _start(self) -> None:
        self._asked = False
        if self._begun is not None:
            self._begun()
        self._thread = threading.Thread(target=self._load, name="reloader", daemon=True)
        self._thread.start()

    def _load(self) -> None:
        start = time.perf_counter()
        try:
            classifier = self._open()
            if not classifier.backend.any_thread:
                classifier.close()
                raise UsageError(
                    "with this delegate a model belongs to the thread that loaded it. Start the "
                    "command anew to change the model."
                )
            _try_out(classifier)
            self._found = classifier
        except Exception as error:  # told as an event; the old model goes on
            self._found = error
        self._seconds = time.perf_counter() - start


def _try_out(classifier: Classifier) -> None:
    """Classify a black picture, so that what a model cannot do shows before it is in use."""
    import numpy as np

    spec = classifier.info.preprocess
    pixels = np.zeros((spec.height, spec.width, 3), np.uint8)
    classifier.classify_pixels(pixels, "trial", time.perf_counter())


def _reason(error: Exception | None) -> str:
    if error is None:
        return "loading it ended without a reason."
    failure = error if isinstance(error, EdgeError) else system_failure(error)
    return f"{type(error).__name__}: {first_line(error)}" if failure is None else str(failure)
