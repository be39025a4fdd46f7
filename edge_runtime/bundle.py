"""A bundle opened for reading: names and sizes checked every time, checksums once a device."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from .errors import BundleError, UsageError
from .files import atomic_file, cache_folder, sha256_tree, size_of
from .manifest import MANIFEST_NAME, Artifact, Manifest


@dataclass(frozen=True)
class Bundle:
    """A folder that ``edge-export bundle`` wrote.

    Attributes:
        path: The folder.
        manifest: Its contents list.
    """

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Bundle:
        """Read the manifest and check that every file is there with the stated size.

        Raises:
            UsageError: The folder does not exist.
            BundleError: The manifest is damaged or the files contradict it.
        """
        root = Path(path)
        if root.is_file():
            raise UsageError(f"{root}: is a file; a bundle, which is a folder, was expected.")
        if not root.is_dir():
            raise UsageError(f"{root}: no such bundle.")
        file = root / MANIFEST_NAME
        try:
            text = file.read_bytes()
        except FileNotFoundError as error:
            raise BundleError(f"{root}: not a bundle, {MANIFEST_NAME} is missing.") from error
        bundle = cls(root, Manifest.from_json(text, str(file)))
        for artifact in bundle.manifest.artifacts:
            bundle._check_size(artifact)
        return bundle

    def file(self, fmt: str | None = None) -> tuple[Artifact, Path]:
        """The artifact of a format (the default one if None) and its verified path.

        Raises:
            UsageError: The bundle has no such format.
            BundleError: The file's checksum is not the manifest's.
        """
        artifact = self.manifest.artifact(fmt)
        path = self.path / artifact.file
        self._check_sum(artifact, path)
        return artifact, path

    def verify(self) -> None:
        """Compute every checksum anew, whatever was remembered; raises BundleError."""
        for artifact in self.manifest.artifacts:
            self._check_sum(artifact, self.path / artifact.file, remembered=False)

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
        stamp = _stamp(path)
        key = str(path.resolve())
        if remembered and _recall().get(key) == [*stamp, artifact.sha256]:
            return
        found = sha256_tree(path)
        if found != artifact.sha256:
            raise BundleError(
                f"{path}: its SHA-256 is {found[:12]}..., {MANIFEST_NAME} says "
                f"{artifact.sha256[:12]}.... The file was altered or damaged; "
                "copy the bundle again."
            )
        _remember(key, [*stamp, artifact.sha256])


def _stamp(path: Path) -> list[int]:
    """Total size in bytes and newest modification time in nanoseconds."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    stats = [file.stat() for file in files]
    return [sum(s.st_size for s in stats), max((s.st_mtime_ns for s in stats), default=0)]


def _memory() -> Path:
    return cache_folder() / "verified.json"


def _recall() -> dict[str, list[object]]:
    try:
        data = json.loads(_memory().read_bytes())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _remember(key: str, value: list[object]) -> None:
    """Note a verified file; a read-only home only means that it is hashed again next time."""
    with contextlib.suppress(Exception):
        data = {k: v for k, v in _recall().items() if os.path.exists(k)}
        data[key] = value
        with atomic_file(_memory()) as temporary:
            temporary.write_text(json.dumps(data))
