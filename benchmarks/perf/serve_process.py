"""``edge-classify serve`` in a process of its own, and what the system knows of it; for scripts."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from edge_runtime.procfs import resident_bytes

_START = 60.0


@dataclass
class ServeProcess:
    """A server.

    Attributes:
        pid: Of its process.
        port: On 127.0.0.1.
        log: What it has said, a file.
    """

    pid: int
    port: int
    log: Path

    @property
    def megabytes(self) -> float:
        """Resident memory."""
        return (resident_bytes(self.pid) or 0) / 1e6

    @property
    def handles(self) -> int:
        """Open files and sockets."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    @property
    def threads(self) -> int:
        """Threads."""
        return len(os.listdir(f"/proc/{self.pid}/task"))

    @property
    def cpu(self) -> float:
        """Processor seconds so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def serving(model: str, *options: str) -> Iterator[ServeProcess]:
    """Start it, and stop it as a service manager does.

    Args:
        model: Path, or NAME=PATH.
        options: Of the command.
    """
    command = [sys.executable, "-m", "edge_runtime.cli", "serve", model, "--port", "0", *options]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with open(log, "wb") as stream:
            process = subprocess.Popen(command, stdout=stream, stderr=stream)
        try:
            yield ServeProcess(process.pid, _port(process, log), log)
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(_START)
        if code:
            raise click.ClickException(f"the server ended with {code}: {log.read_text()}")


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    end = time.monotonic() + _START
    while time.monotonic() < end:
        found = re.search(r"https?://127\.0\.0\.1:(\d+)/", log.read_text())
        if found is not None:
            return int(found[1])
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise click.ClickException(f"the server did not start: {log.read_text()}")
