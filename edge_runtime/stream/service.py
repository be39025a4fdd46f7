"""A stream as the command runs it: with outputs, a state file, signals and systemd around the loop."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from ..sources.base import Source, SourceSettings
from .loop import Loop, LoopSettings
from .outputs.base import Outlet, Output, close_all
from .reload import Reloader
from .status import Status
from .steady import Smoothing, SteadyLabel
from .summary import summarize
from .systemd import Notifier

if TYPE_CHECKING:
    from ..classifier import Classifier
    from .signals import Signals
    from .state_file import StateFile

_log = logging.getLogger("edge_runtime")

#: New objects after which the collector looks at them, and how often at older ones.
_COLLECT = (2000, 10, 10)

#: Seconds after which a thread that computes in Python lets one run that waits for it (the default is
#: 0.005): the one that infers comes back from the interpreter a few hundred times a second.
SWITCH_INTERVAL = 0.0005


class Service:
    """Everything around one run, closed in the right order whatever happens.

    Attributes:
        status: What the run counts.
        live: Whether the source is live.
    """

    def __init__(
        self,
        source: Source,
        source_settings: SourceSettings,
        model: str,
        signals: Signals,
        open_state: Callable[[Status], StateFile | None],
    ) -> None:
        """Begin to say what the run is at: starting.

        Args:
            source: What will be looked at.
            source_settings: How it is read.
            model: As the user named it.
            signals: Told whom to stop and to reload.
            open_state: Makes the state file, if one is wished.

        Raises:
            UsageError: The state file is none.
            SystemFailure: It cannot be written.
        """
        self._source, self._source_settings = source, source_settings
        self.live = source.live or source_settings.realtime
        self.status = Status(source.name, model)
        self._signals = signals
        self._outlets: list[Outlet] = []
        self._state_file = open_state(self.status)
        self._notifier = Notifier.from_environment(self.status)
        self._loop: Loop | None = None
        self._python: _Python | None = None

    def __enter__(self) -> Service:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.status.enter("stopped")
        if self._notifier is not None:
            self._notifier.stopping()
        for name in close_all(self._outlets):
            _log.warning("%s: did not take in time what was left for it.", name)
            if name == "stdout":
                # Its thread hangs in a write and holds the lock of the stream, which would be
                # flushed once more at the end of the process.
                sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        if self._state_file is not None:
            self._state_file.close()
        if self._notifier is not None:
            self._notifier.close()
        if self._python is not None:  # whoever runs the command inside another program goes on
            self._python.restore()
        if self._loop is not None:
            _log.info("%s", summarize(self.status.summary()))
            if kind is None:
                self._loop.raise_failures()  # of what waited in a queue to the end

    def add(self, outputs: list[Output]) -> None:
        """Give outputs their queues and threads; closed with the service from now on."""
        self._outlets += [Outlet(output, self.status, self.live) for output in outputs]

    def run(
        self,
        classifier: Classifier,
        settings: LoopSettings,
        smoothing: Smoothing,
        open_again: Callable[[], Classifier],
    ) -> None:
        """Classify until the source, the user or an error ends it.

        Args:
            classifier: The model.
            settings: How long and how often.
            smoothing: How answers are smoothed.
            open_again: Opens the model once more, for SIGHUP.

        Raises:
            EdgeError: As of :meth:`Loop.run <edge_runtime.stream.loop.Loop.run>`.
        """
        notifier, info = self._notifier, classifier.info
        threshold = info.output.unknown_threshold
        reloader = Reloader(
            open_again,
            begun=None if notifier is None else notifier.reloading,
            done=None if notifier is None else notifier.reloaded,
        )
        loop = Loop(
            classifier,
            self._source,
            self._source_settings,
            settings,
            SteadyLabel(smoothing, info, threshold, self.live),
            self._outlets,
            self.status,
            reloader,
            pulse=None if notifier is None else notifier.pulse,
            ahead=classifier.backend.any_thread,
        )
        self._loop = loop
        self._signals.stop, self._signals.reload = loop.stop, reloader.ask
        self._python = _Python()
        for _ in loop.run():
            pass
        for outlet in self._outlets:
            outlet.drain()


class _Python:
    """What a stream sets in Python itself.

    Its collector of cycles runs often, over little. The command line made it run seldom, for the sake
    of the start; in months that lets rubbish grow to megabytes. What is there by now stays: it need
    not be looked at again. And threads change places often.
    """

    def __init__(self) -> None:
        """Remember what was set before, and set it."""
        self._threshold, self._switch = gc.get_threshold(), sys.getswitchinterval()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_COLLECT)
        sys.setswitchinterval(SWITCH_INTERVAL)

    def restore(self) -> None:
        """Set what was set before."""
        gc.unfreeze()
        gc.set_threshold(*self._threshold)
        sys.setswitchinterval(self._switch)
