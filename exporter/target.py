"""The folder to write: nothing is lost there, and only one export writes it at a time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from edge_runtime.errors import UsageError
from edge_runtime.files import refuse_existing, system_failures
from edge_runtime.manifest import MANIFEST_NAME
from edge_runtime.rundir import RunDir


def check_target(run: RunDir, out: Path, overwrite: bool) -> None:
    """Check, before any work, that writing ``out`` loses nothing that is no bundle.

    Raises:
        UsageError: It is a file, the run itself, or a folder of something else.
        OutputExists: It exists and ``overwrite`` is false.
    """
    if run.path.resolve().is_relative_to(out.resolve()):
        raise UsageError(f"{out}: holds the run itself. Choose another folder for the bundle.")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; a folder was expected.")
    refuse_existing(out, overwrite)
    if out.is_dir() and any(out.iterdir()) and not (out / MANIFEST_NAME).is_file():
        raise UsageError(
            f"{out}: not a bundle (it has no {MANIFEST_NAME}), so --overwrite does not replace "
            "it. Choose another folder."
        )


@contextlib.contextmanager
def only_writer(out: Path) -> Iterator[None]:
    """Keep other exports away from a folder, until the block or the process ends.

    Args:
        out: The folder to write; missing parents are made.

    Raises:
        UsageError: Another export is writing there.
        SystemFailure: Disk full or no permission.
    """
    target = out.resolve()
    lock = target.with_name(f".{target.name}.lock")
    with system_failures(out):
        target.parent.mkdir(parents=True, exist_ok=True)
        stream = _locked(lock, out)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(stream)


def _locked(lock: Path, out: Path) -> int:
    """A descriptor of the lock file that this process alone holds locked."""
    import fcntl

    while True:
        stream = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its last holder may have removed it between the opening and the locking.
            if lock.exists() and os.path.samestat(os.fstat(stream), os.stat(lock)):
                return stream
        except BlockingIOError as error:
            os.close(stream)
            raise UsageError(
                f"{out}: another export is writing there. Wait for it, or choose another folder."
            ) from error
        except BaseException:
            os.close(stream)
            raise
        os.close(stream)
