"""Run workers and look after them: what hangs, grows, crashes or answers oddly is a finding."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from edge_runtime.procfs import resident_bytes

from ..common import REPO

#: Limits of one input: CPU seconds, seconds on a machine that does other things too, MB resident.
CPU_SECONDS, SECONDS, MEGABYTES = 5.0, 60.0, 1000.0

#: What a worker runs.
MODULE = "benchmarks.perf.fuzz.worker"

#: Seconds between looks.
_POLL = 0.02

#: Inputs after which a worker is replaced, so that what one input spoils cannot hide for long.
_LIFE = 2000


@dataclass(frozen=True)
class Finding:
    """An input that did what it must not."""

    kind: str  #: ``photo`` or ``model``
    number: int
    what: str  #: ``crash``, ``hang``, ``memory`` or ``unexpected``
    detail: str


@dataclass
class Tally:
    """What came out of all inputs."""

    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0  #: the most CPU that one input took
    mb: float = 0.0  #: the most memory while one was read

    def add(self, other: Tally) -> None:
        """Count another tally in."""
        self.outcomes.update(other.outcomes)
        self.findings += other.findings
        self.seconds, self.mb = max(self.seconds, other.seconds), max(self.mb, other.mb)


class Worker:
    """One process of :mod:`.worker`."""

    def __init__(self, bundle: Path | None, cache: Path) -> None:
        """Start it; its caches lie below ``cache``."""
        command = [sys.executable, "-m", MODULE]
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        self._process = subprocess.Popen(
            [*command, *([str(bundle)] if bundle else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            cwd=REPO,
            env=os.environ | {"EDGE_CLASSIFY_CACHE": str(cache), "TMPDIR": str(cache)},
        )
        self.answered = 0
        if not _pipes(self._process)[1].readline():
            raise RuntimeError(f"the worker does not start: {self._ended()['detail']}")

    def ask(self, kind: str, number: int) -> dict[str, Any]:
        """The answer for an input, or ``{"outcome": "crash" | "hang" | "memory"}`` at its end."""
        stdin, stdout = _pipes(self._process)
        try:
            stdin.write(json.dumps({"kind": kind, "number": number}).encode() + b"\n")
            stdin.flush()
        except BrokenPipeError:
            return self._ended()
        start, cpu = time.monotonic(), self._cpu()
        while not select.select([stdout], [], [], _POLL)[0]:
            if self._megabytes() > MEGABYTES:
                return self._stopped("memory", f"more than {MEGABYTES:g} MB resident")
            if self._cpu() - cpu > CPU_SECONDS:
                return self._stopped("hang", f"more than {CPU_SECONDS:g} s of CPU")
            if time.monotonic() - start > SECONDS:
                return self._stopped("hang", f"more than {SECONDS:g} s")
        line = stdout.readline()
        if not line:
            return self._ended()
        self.answered += 1
        answer: dict[str, Any] = json.loads(line)
        return answer

    @property
    def has_ended(self) -> bool:
        """Whether nothing can be asked of it any more."""
        return self._process.poll() is not None

    def close(self) -> None:
        """End it."""
        stdin, stdout = _pipes(self._process)
        with contextlib.suppress(BrokenPipeError):
            stdin.close()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        stdout.close()
        self.errors.close()

    def _ended(self) -> dict[str, Any]:
        code = self._process.wait()
        self.errors.seek(max(0, self.errors.seek(0, os.SEEK_END) - 1000))
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        detail = f"{name}; {self.errors.read().decode(errors='replace')[-500:]}"
        return {"outcome": "crash", "detail": detail}

    def _stopped(self, outcome: str, detail: str) -> dict[str, Any]:
        self._process.kill()
        self._process.wait()
        return {"outcome": outcome, "detail": detail}

    def _cpu(self) -> float:
        with contextlib.suppress(OSError, IndexError):
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return 0.0

    def _megabytes(self) -> float:
        return (resident_bytes(self._process.pid) or 0) / 1e6


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the worker has no pipes")
    return process.stdin, process.stdout


def watch(kind: str, numbers: Iterable[int], bundle: Path | None = None) -> Tally:
    """Have inputs read one after the other; a worker that ends is replaced.

    Args:
        kind: ``photo`` or ``model``.
        numbers: Of the inputs.
        bundle: What models are made of.
    """
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as cache, _workers(bundle, Path(cache)) as get:
        for number in numbers:
            answer = get().ask(kind, number)
            outcome = answer["outcome"]
            shown = f"refused: {answer['class']}" if outcome == "refused" else outcome
            tally.outcomes[shown] += 1
            tally.seconds = max(tally.seconds, answer.get("seconds", 0.0))
            tally.mb = max(tally.mb, answer.get("mb", 0.0))
            if answer.get("mb", 0.0) > MEGABYTES:
                outcome = "memory"
            if answer.get("seconds", 0.0) > CPU_SECONDS:
                outcome = "hang"
            if outcome not in ("ok", "refused"):
                detail = answer.get("trace") or answer.get("detail") or f"{answer}"
                tally.findings.append(Finding(kind, number, outcome, detail))
    return tally


@contextlib.contextmanager
def _workers(bundle: Path | None, cache: Path) -> Iterator[Any]:
    living: list[Worker] = []

    def get() -> Worker:
        if living and (living[0].has_ended or living[0].answered >= _LIFE):
            living.pop().close()
        if not living:
            living.append(Worker(bundle, cache))
        return living[0]

    try:
        yield get
    finally:
        for worker in living:
            worker.close()
