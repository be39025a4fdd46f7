"""A bundle opened for reading: names and sizes checked every time, checksums once a device."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import BundleError, UsageError
from .files import sha256_tree, size_of
from .manifest import AUTO, CHOICES_NAME, MANIFEST_NAME, Artifact, Manifest
from .seen import recall, remember, stamp

if TYPE_CHECKING:
    from .choices import Choice


def is_bundle(path: str | os.PathLike[str]) -> bool:
    """Whether a path is meant as a bundle: a folder with a manifest, or a zip file."""
    if (Path(path) / MANIFEST_NAME).is_file():
        return True
    from .archive import looks_like_zip

    return looks_like_zip(path)


@dataclass(frozen=True)
class Bundle:
    """What ``edge-export bundle`` wrote: a folder, or the zip file of one.

    Attributes:
        path: The folder; of a zip file the one that it is unpacked to, artifacts only as far as
            :meth:`file` was asked for them.
        manifest: Its contents list.
        source: The folder or the zip file, as it was opened.
    """

    path: Path
    manifest: Manifest
    source: Path

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Bundle:
        """Read the manifest and check that every file is there with the stated size.

        A zip file is unpacked into :func:`edge_runtime.files.cache_folder`, once for each content.

        Raises:
            UsageError: The folder does not exist.
            BundleError: The manifest is damaged or the files contradict it.
        """
        root = Path(path)
        if root.is_file():
            return cls._open_zip(root)
        if not root.is_dir():
            raise UsageError(f"{root}: no such bundle.")
        bundle = cls._read(root, root)
        for artifact in bundle.manifest.artifacts:
            bundle._check_size(artifact)
        return bundle

    @classmethod
    def _open_zip(cls, file: Path) -> Bundle:
        from .archive import looks_like_zip
        from .unpacked import unpack

        if not looks_like_zip(file):
            raise UsageError(f"{file}: is a file; a bundle, a folder or its .zip, was expected.")
        return cls._read(unpack(file), file)

    @classmethod
    def _read(cls, folder: Path, source: Path) -> Bundle:
        file = folder / MANIFEST_NAME
        try:
            text = file.read_bytes()
        except FileNotFoundError as error:
            raise BundleError(f"{source}: not a bundle, {MANIFEST_NAME} is missing.") from error
        return cls(folder, Manifest.from_json(text, str(source / MANIFEST_NAME)), source)

    def choice(self) -> Choice | None:
        """What ``edge-bench`` found to be best on this board; None where it was not asked.

        Raises:
            BundleError: The file of choices is damaged.
        """
        if not (self.path / CHOICES_NAME).is_file():
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
        artifact = self.artifact(fmt)
        return artifact, self._verified(artifact)

    def verify(self) -> None:
        """Compute every checksum anew, whatever was remembered; raises BundleError."""
        for artifact in self.manifest.artifacts:
            self._verified(artifact, remembered=False)

    def _verified(self, artifact: Artifact, remembered: bool = True) -> Path:
        path = self.path / artifact.file
        if self.source == self.path:
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

    def _check(self, artifact: Artifact, path: Path, remembered: bool) -> None:
        self._check_size(artifact)
        self._check_sum(artifact, path, remembered)

    def _check_size(self, artifact: Artifact) -> None:
        path = self.path / artifact.file
        if not path.exists():
            raise BundleError(
                f"{path}: listed in {MANIFEST_NAME}, but missing. Copy the bundle again."
            )
        if not path.resolve().is_relative_to(self.path.resolve()):
            raise BundleError(f"{path}: leaves the bundle's folder. Refused.")
        found = size_of(path)
        if found != artifact.bytes:
            raise BundleError(
                f"{path}: {MANIFEST_NAME} says {artifact.bytes} bytes, found {found}. "
                "Copy the bundle again."
            )

    def _check_sum(self, artifact: Artifact, path: Path, remembered: bool = True) -> None:
        now = stamp(path)
        key = str(path.resolve())
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
