"""A bundle opened for reading: names and sizes checked every time, checksums once a device."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .errors import BundleError, UsageError
from .files import sha256_tree, size_of
from .manifest import AUTO, CHOICES_NAME, MANIFEST_NAME, Artifact, Manifest
from .seen import recall, remember, stamp

if TYPE_CHECKING:
    from pathlib import Path

    from .choices import Choice


def is_bundle(path: str | os.PathLike[str]) -> bool:
    """Whether a path is meant as a bundle: a folder with a manifest, or a zip file."""
    if os.path.isfile(os.path.join(path, MANIFEST_NAME)):
        return True
    from .archive import looks_like_zip

    return looks_like_zip(path)


class Bundle:
    """What ``edge-export bundle`` wrote: a folder, or the zip file of one.

    Attributes:
        manifest: Its contents list.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        manifest: Manifest,
        source: str | os.PathLike[str] | None = None,
    ) -> None:
        """Join a folder with what it holds; :meth:`open` reads and checks it."""
        self.manifest = manifest
        self._folder = _plain(path)
        self._source = self._folder if source is None else _plain(source)

    def __repr__(self) -> str:
        return f"Bundle({self._source!r}, default {self.manifest.default})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Bundle):
            return NotImplemented
        mine = self._folder, self._source, self.manifest
        return mine == (other._folder, other._source, other.manifest)

    def __hash__(self) -> int:
        return hash((self._folder, self._source))

    @property
    def path(self) -> Path:
        """The folder; of a zip file the one that it is unpacked to.

        Artifacts are in that only as far as :meth:`file` was asked for them.
        """
        from pathlib import Path  # a start needs none

        return Path(self._folder)

    @property
    def source(self) -> Path:
        """The folder or the zip file, as it was opened."""
        from pathlib import Path

        return Path(self._source)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Bundle:
        """Read the manifest and check that every file is there with the stated size.

        A zip file is unpacked into :func:`edge_runtime.files.cache_folder`, once for each content.

        Raises:
            UsageError: The folder does not exist.
            BundleError: The manifest is damaged or the files contradict it.
        """
        if os.path.isfile(path):
            return cls._open_zip(path)
        if not os.path.isdir(path):
            raise UsageError(f"{os.fspath(path)}: no such bundle.")
        bundle = cls._read(path, path)
        for artifact in bundle.manifest.artifacts:
            bundle._check_size(artifact)
        return bundle

    @classmethod
    def _open_zip(cls, file: str | os.PathLike[str]) -> Bundle:
        from pathlib import Path

        from .archive import looks_like_zip
        from .unpacked import unpack

        if not looks_like_zip(file):
            raise UsageError(
                f"{os.fspath(file)}: is a file; a bundle, a folder or its .zip, was expected."
            )
        return cls._read(unpack(Path(file)), file)

    @classmethod
    def _read(cls, folder: str | os.PathLike[str], source: str | os.PathLike[str]) -> Bundle:
        try:
            with open(os.path.join(folder, MANIFEST_NAME), "rb") as stream:
                text = stream.read()
        except FileNotFoundError as error:
            raise BundleError(
                f"{os.fspath(source)}: not a bundle, {MANIFEST_NAME} is missing."
            ) from error
        where = os.path.join(_plain(source), MANIFEST_NAME)
        return cls(folder, Manifest.from_json(text, where), source)

    def choice(self) -> Choice | None:
        """What ``edge-bench`` found to be best on this board; None where it was not asked.

        Raises:
            BundleError: The file of choices is damaged.
        """
        if not os.path.isfile(os.path.join(self.path, CHOICES_NAME)):
            return None
        from .choices import choice_for

        return choice_for(self.path, self.manifest)

    def artifact(self, fmt: str | None = None) -> Artifact:
        """The artifact of a format; of ``auto`` this board's choice, else the fastest that passed.

        Raises:
            UsageError: The bundle has no such format.
            BundleError: The file of choices is damaged.
        """
        choice = self.choice() if fmt == AUTO else None
        return self.manifest.artifact(fmt if choice is None else choice.format)

    def file(self, fmt: str | None = None) -> tuple[Artifact, Path]:
        """The artifact of a format (see :meth:`artifact`) and its verified path.

        Raises:
            UsageError: The bundle has no such format.
            BundleError: The file's checksum is not the manifest's.
        """
        from pathlib import Path

        artifact, file = self.located(fmt)
        return artifact, Path(file)

    def located(self, fmt: str | None = None) -> tuple[Artifact, str]:
        """:meth:`file`, with the path as text."""
        artifact = self.artifact(fmt)
        return artifact, self._verified(artifact)

    def verify(self) -> None:
        """Compute every checksum anew, whatever was remembered; raises BundleError."""
        for artifact in self.manifest.artifacts:
            self._verified(artifact, remembered=False)

    def _verified(self, artifact: Artifact, remembered: bool = True) -> str:
        path = self._path_of(artifact)
        if self._source == self._folder:
            self._check_sum(artifact, path, remembered)
            return path
        from .unpacked import unpack_artifact

        unpack_artifact(self.source, self.path, artifact)
        try:
            self._check(artifact, path, remembered)
        except BundleError:  # the unpacked copy was altered; the zip file may be whole
            unpack_artifact(self.source, self.path, artifact, again=True)
            self._check(artifact, path, remembered)
        return path

    def _path_of(self, artifact: Artifact) -> str:
        return os.path.join(self._folder, artifact.file)

    def _check(self, artifact: Artifact, path: str, remembered: bool) -> None:
        self._check_size(artifact)
        self._check_sum(artifact, path, remembered)

    def _check_size(self, artifact: Artifact) -> None:
        path = self._path_of(artifact)
        if not os.path.exists(path):
            raise BundleError(
                f"{path}: listed in {MANIFEST_NAME}, but missing. Copy the bundle again."
            )
        home = os.path.realpath(self._folder)
        if os.path.commonpath([home, os.path.realpath(path)]) != home:
            raise BundleError(f"{path}: leaves the bundle's folder. Refused.")
        found = size_of(path)
        if found != artifact.bytes:
            raise BundleError(
                f"{path}: {MANIFEST_NAME} says {artifact.bytes} bytes, found {found}. "
                "Copy the bundle again."
            )

    def _check_sum(self, artifact: Artifact, path: str, remembered: bool = True) -> None:
        now = stamp(path)
        key = os.path.realpath(path)
        if remembered and recall().get(key) == [*now, artifact.sha256]:
            return
        found = sha256_tree(path)
        if found != artifact.sha256:
            raise BundleError(
                f"{path}: its SHA-256 is {found[:12]}..., {MANIFEST_NAME} says "
                f"{artifact.sha256[:12]}.... The file was altered or damaged; "
                "copy the bundle again."
            )
        remember(key, [*now, artifact.sha256])


def _plain(path: str | os.PathLike[str]) -> str:
    """A path without slashes at its end, as :class:`~pathlib.Path` has it."""
    return os.fspath(path).rstrip("/") or "/"
