"""A bundle as one zip file: which members may be unpacked, and how much.

A zip is believed in nothing: names may lead out of the folder, sizes in its directory may lie, and
a few kilobytes may unpack to terabytes (Fifield 2019, "A better zip bomb"). So names are those of
plain files below one folder, and nothing is unpacked that is larger than the manifest says.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from types import TracebackType

from .errors import BundleError
from .files import is_hidden
from .manifest import (
    CHOICES_NAME,
    FEATURES_NAME,
    LABELS_NAME,
    MANIFEST_NAME,
    PARITY_NAME,
    Artifact,
    Manifest,
    check_inside,
)

#: A SavedModel has a dozen files, a bundle some more.
_MAX_MEMBERS = 1000

_MAX_MANIFEST = 4 << 20  #: bytes

#: Bytes of everything but the manifest and the artifacts: labels, figures, a few photos.
_MAX_OTHERS = 64 << 20

#: Bytes of one artifact: what a TFLite or ONNX file can hold.
_MAX_ARTIFACT = 2 << 30

#: Folder of the photos for ``edge-classify selftest``.
_GOLDEN = "golden/"

#: Small files beside the artifacts.
_BASE = (MANIFEST_NAME, LABELS_NAME, PARITY_NAME, FEATURES_NAME, CHOICES_NAME)

_CHUNK = 1 << 20


def looks_like_zip(path: str | os.PathLike[str]) -> bool:
    """Whether a file is meant as a zipped bundle; model files with a zip inside are not."""
    file = Path(path)
    if not file.is_file() or file.suffix.lower() in (".tflite", ".onnx", ".keras"):
        return False
    if file.suffix.lower() == ".zip":
        return True
    with open(file, "rb") as stream:
        return stream.read(4) == b"PK\x03\x04"


class Archive:
    """A zipped bundle, opened and checked; to be used as a context manager.

    Attributes:
        path: The zip file.
        manifest: Its contents list.
    """

    def __init__(self, path: Path) -> None:
        """Read the directory and the manifest, and check that everything may be unpacked.

        Raises:
            BundleError: It is no whole zip file, holds no bundle, or something forbidden.
        """
        self.path = path
        with self._reading():
            self._zip = zipfile.ZipFile(path)
        try:
            self._members = self._below_root(self._checked())
            content = b"".join(self._chunks(self._members[MANIFEST_NAME], _MAX_MANIFEST))
            self.manifest = Manifest.from_json(content, f"{path}:{MANIFEST_NAME}")
            self._check_sizes()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.close()

    def unpack_base(self, folder: Path) -> None:
        """Write everything but the artifacts: the manifest, labels, figures, choices and golden photos."""
        limit = _MAX_OTHERS
        for name in self._members:
            if name in _BASE or name.startswith(_GOLDEN):
                limit -= self._write(name, folder / name, limit)

    def unpack_artifact(self, artifact: Artifact, target: Path) -> None:
        """Write one artifact.

        Args:
            artifact: An entry of the manifest.
            target: File or, for a SavedModel, folder to write; its parent is there.
        """
        limit = artifact.bytes
        for name in self._names_of(artifact):
            inner = name.removeprefix(artifact.file).lstrip("/")
            limit -= self._write(name, target / inner if inner else target, limit)

    def _checked(self) -> dict[str, zipfile.ZipInfo]:
        """All files of the archive by name; refuses what no bundle has."""
        members = self._zip.infolist()
        if len(members) > _MAX_MEMBERS:
            raise BundleError(
                f"{self.path}: holds {len(members)} files, a bundle has at most {_MAX_MEMBERS}. "
                "Refused."
            )
        found: dict[str, zipfile.ZipInfo] = {}
        for member in members:
            name = member.orig_filename  # zipfile cuts `filename` at a NUL
            try:
                check_inside(name.removesuffix("/"))
            except BundleError as error:
                raise BundleError(f"{self.path}: {error} Refused.") from error
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise BundleError(f"{self.path}: {name!r} is a link or no file. Refused.")
            if member.flag_bits & 0x1:
                raise BundleError(f"{self.path}: {name!r} is encrypted. Zip it without a password.")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise BundleError(f"{self.path}: {name!r} is neither stored nor deflated. Refused.")
            if not name.endswith("/"):
                if name in found:
                    raise BundleError(f"{self.path}: {name!r} is in it twice. Refused.")
                found[name] = member
        self._check_places(found)
        return found

    def _check_places(self, names: dict[str, zipfile.ZipInfo]) -> None:
        """Refuse names that are one file on some device, and a file that is a folder, too."""
        places: dict[str, str] = {}
        for name in names:
            place = unicodedata.normalize("NFC", name).casefold()
            if place in places:
                raise BundleError(
                    f"{self.path}: {places[place]!r} and {name!r} differ in case only. Refused."
                )
            places[place] = name
        for place in places:
            for parent in PurePosixPath(place).parents:
                if str(parent) in places:
                    raise BundleError(
                        f"{self.path}: {places[str(parent)]!r} is a file and a folder. Refused."
                    )

    def _below_root(self, found: dict[str, zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
        """Files of the bundle by their name in it; it lies at the top, or in one folder."""
        roots = [
            name.removesuffix(MANIFEST_NAME)
            for name in found
            if name == MANIFEST_NAME
            or (PurePosixPath(name).name == MANIFEST_NAME and name.count("/") == 1)
        ]
        roots = [root for root in roots if not is_hidden(root.removesuffix("/"))]
        if len(roots) != 1 and "" not in roots:
            what = "holds several bundles" if roots else f"not a bundle, {MANIFEST_NAME} is missing"
            raise BundleError(f"{self.path}: {what}.")
        root = min(roots, key=len)
        return {name[len(root) :]: m for name, m in found.items() if name.startswith(root)}

    def _check_sizes(self) -> None:
        """Compare what the zip's directory states with what the manifest allows."""
        artifacts: set[str] = set()
        for artifact in self.manifest.artifacts:
            names = self._names_of(artifact)
            if not names:
                raise BundleError(
                    f"{self.path}: {artifact.file}: listed in {MANIFEST_NAME}, but missing. "
                    "Copy the bundle again."
                )
            stated = sum(self._members[name].file_size for name in names)
            if stated != artifact.bytes or stated > _MAX_ARTIFACT:
                raise BundleError(
                    f"{self.path}: {artifact.file}: {MANIFEST_NAME} says {artifact.bytes} bytes, "
                    f"the zip {stated}. Copy the bundle again."
                )
            artifacts.update(names)
        others = sum(m.file_size for name, m in self._members.items() if name not in artifacts)
        if others > _MAX_OTHERS:
            raise BundleError(
                f"{self.path}: {others} bytes of other files than models, a bundle has at most "
                f"{_MAX_OTHERS}. Refused."
            )

    def _names_of(self, artifact: Artifact) -> list[str]:
        if artifact.file in self._members:
            return [artifact.file]
        return [name for name in self._members if name.startswith(f"{artifact.file}/")]

    def _write(self, name: str, target: Path, limit: int) -> int:
        target.parent.mkdir(parents=True, exist_ok=True)
        size = 0
        with open(target, "xb") as stream:
            for chunk in self._chunks(self._members[name], limit):
                size += stream.write(chunk)
            stream.flush()
            os.fsync(stream.fileno())  # a board that loses power must not keep an empty file
        return size

    def _chunks(self, member: zipfile.ZipInfo, limit: int) -> Iterator[bytes]:
        """What a member unpacks to; stops as soon as it is more than ``limit`` bytes."""
        size = 0
        with self._reading(), self._zip.open(member) as stream:
            while chunk := stream.read(_CHUNK):
                size += len(chunk)
                if size > limit:
                    raise BundleError(
                        f"{self.path}: {member.filename!r} unpacks to more than it may. Refused."
                    )
                yield chunk

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (
            zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError,
            RuntimeError, ValueError, OverflowError, OSError,
        ) as error:  # fmt: skip  # zipfile raises all of these on damaged files
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise  # EINVAL is an offset in front of the file
            raise BundleError(
                f"{self.path}: damaged or cut off, no whole zip file ({error}). "
                "Copy the bundle again."
            ) from error
