"""What an export writes: nothing is lost there, and only one export writes it at a time."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edge_runtime.errors import UsageError
from edge_runtime.files import (
    atomic_file,
    atomic_folder,
    refuse_existing,
    refuse_other,
    refuse_overlap,
    system_failures,
)
from edge_runtime.manifest import MANIFEST_NAME
from edge_runtime.rundir import RunDir

from .zipped import is_zipped_bundle, write_zip

#: Of a folder for servers: its contents list, by which it is known again.
SERVING_NAME = "serving.json"


@dataclass(frozen=True)
class Target:
    """What an export writes.

    Attributes:
        folder: The bundle as a folder; None without one.
        zip: The bundle as one file; None without one.
        serving: Folder for servers; None without one.
    """

    folder: Path | None
    zip: Path | None = None
    serving: Path | None = None

    @classmethod
    def of(
        cls,
        out: str | os.PathLike[str],
        zipped: bool = False,
        serving: str | os.PathLike[str] | None = None,
    ) -> Target:
        """What the command's options say.

        Args:
            out: ``--out``: a folder, or with the suffix ``.zip`` the bundle as one file alone.
            zipped: ``--zip``: the folder also as one file beside it.
            serving: ``--serving``.
        """
        path, served = Path(out), None if serving is None else Path(serving)
        if path.suffix.lower() == ".zip":
            return cls(None, path, served)
        named = path if path.name not in ("", "..") else path.resolve()
        return cls(path, named.with_name(f"{named.name}.zip") if zipped else None, served)

    @property
    def bundle(self) -> Path:
        """The bundle: the folder, or the file where there is no folder."""
        found = self.folder or self.zip
        assert found is not None
        return found

    def check(self, run: RunDir, overwrite: bool) -> None:
        """Check, before any work, that writing loses nothing that an export did not write.

        Raises:
            UsageError: Something of another kind is there, or the run itself, or the outputs
                lie inside one another.
            OutputExists: It exists and ``overwrite`` is false.
        """
        if self.folder is not None:
            _check_folder(run, self.folder, overwrite)
        if self.zip is not None:
            _check_zip(self.zip, overwrite)
        if self.serving is not None:
            self._check_serving(run, self.serving, overwrite)

    def _check_serving(self, run: RunDir, serving: Path, overwrite: bool) -> None:
        for other, what in (
            (run.path, "the run"),
            (self.folder, "the bundle"),
            (self.zip, "the bundle"),
        ):
            if other is not None:
                refuse_overlap(
                    serving,
                    other,
                    f"--serving {serving}: overlaps {what}, {other}. Choose another folder.",
                )
        if serving.exists() and not serving.is_dir():
            raise UsageError(f"--serving {serving}: is a file; a folder was expected.")
        refuse_existing(serving, overwrite)
        refuse_other(serving, (serving / SERVING_NAME).is_file(), "folder of --serving")

    @contextlib.contextmanager
    def open(self, overwrite: bool) -> Iterator[tuple[Path, Path | None]]:
        """Keep other exports away, and put everything into place when the block succeeds.

        Args:
            overwrite: Whether what is there may be replaced.

        Yields:
            The folder to fill with the bundle, and the one for servers (None without).

        Raises:
            UsageError: Another export is writing there.
            OutputExists: It exists and ``overwrite`` is false.
            SystemFailure: Disk full or no permission.
        """
        places = [path for path in (self.folder, self.zip, self.serving) if path is not None]
        with contextlib.ExitStack() as stack:
            for place in places:
                stack.enter_context(only_writer(place))
            serving = packed = None
            if self.serving is not None:
                serving = stack.enter_context(atomic_folder(self.serving, overwrite))
            if self.zip is not None:
                packed = stack.enter_context(atomic_file(self.zip, overwrite))
            if self.folder is not None:
                folder = stack.enter_context(atomic_folder(self.folder, overwrite))
            else:
                name = tempfile.TemporaryDirectory(prefix=".bundle-", dir=self.bundle.parent)
                folder = Path(stack.enter_context(name))
            yield folder, serving
            if packed is not None:
                write_zip(folder, packed)


def _check_folder(run: RunDir, out: Path, overwrite: bool) -> None:
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


def _check_zip(out: Path, overwrite: bool) -> None:
    if out.is_dir():
        raise UsageError(f"{out}: is a folder; the name of a file was expected.")
    refuse_existing(out, overwrite)
    if out.exists() and not is_zipped_bundle(out):
        raise UsageError(
            f"{out}: not a bundle (no zip file with a {MANIFEST_NAME}), so --overwrite does not "
            "replace it. Choose another name."
        )


@contextlib.contextmanager
def only_writer(out: Path) -> Iterator[None]:
    """Keep other exports away from a folder or file, until the block or the process ends.

    Args:
        out: What is written; missing parents are made.

    Raises:
        UsageError: Another export is writing there.
        SystemFailure: Disk full or no permission.
    """
    target = out.resolve()
    lock = target.with_name(f".{target.name}.lock")
    with contextlib.ExitStack() as stack:
        with system_failures(out):
            stack.enter_context(_alone(lock, out))
        stack.callback(lock.unlink, missing_ok=True)  # while it is still locked
        yield


def _alone(lock: Path, out: Path) -> IO[bytes]:
    """The lock file, held by this process alone until it is closed."""
    import fcntl

    from edge_runtime.locks import locked

    try:
        return locked(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UsageError(
            f"{out}: another export is writing there. Wait for it, or choose another place."
        ) from error
