"""What is measured: bundles, and single model files of whatever origin."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_runtime.bundle import Bundle, is_bundle
from edge_runtime.errors import ChildDied, EdgeError, MissingComponent, Overdue, UsageError
from edge_runtime.files import find_photos, sha256_tree, size_of
from edge_runtime.manifest import FORMAT_SUFFIXES, PreprocessSpec
from edge_runtime.opening import kind_of

from ..result import Artifact

#: Folder of a bundle with a few photos.
_GOLDEN = "golden"

#: From a request of the child process to its answer.
Ask = Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Part:
    """One model file.

    Attributes:
        subject: The number of the subject that it belongs to.
        path: What its opener is given: the bundle, or the file; absolute.
        format: Of a bundle, to choose it; None of a single file.
        kind: ``tflite``, ``onnx``, ``keras`` or ``saved_model``.
        artifact: What the result says of it.
    """

    subject: int
    path: str
    format: str | None
    kind: str
    artifact: Artifact

    @property
    def file(self) -> str:
        """Name of the model file, whose ending tells the interpreter."""
        return os.path.basename(self.artifact["file"])


@dataclass(frozen=True)
class Subject:
    """A bundle or a file.

    Attributes:
        path: As it was given.
        kind: ``bundle`` or ``file``.
        class_names: In index order; empty of a file that could not be opened.
        spec: Size of the input, and how photos are brought to it; None likewise.
        default: The bundle's own format.
        golden: Its photos.
        parts: Its model files.
        error: Why nothing is known of it.
        absent: Why its interpreter is missing.
    """

    path: str
    kind: str
    class_names: tuple[str, ...]
    spec: PreprocessSpec | None
    default: str | None
    golden: tuple[str, ...]
    parts: tuple[Part, ...]
    error: str | None = None
    absent: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """What the result says of it."""
        return {
            "path": self.path,
            "kind": self.kind,
            "classes": len(self.class_names) or None,
            "width": None if self.spec is None else self.spec.width,
            "height": None if self.spec is None else self.spec.height,
            "default": self.default,
        }


def describe_all(subjects: Sequence[Subject]) -> dict[str, Any]:
    """``subject`` of the result."""
    members = [subject.to_dict() for subject in subjects]
    if len(members) == 1:
        return members[0] | {"members": members}
    paths = ", ".join(subject.path for subject in subjects)
    return members[0] | {"path": paths, "kind": "several", "default": None, "members": members}


def read_subjects(
    paths: Sequence[str], formats: Sequence[str] | None, request: Mapping[str, Any], ask: Ask
) -> list[Subject]:
    """Look at what is to be measured; single files are opened in a child process.

    Args:
        paths: Bundles (folders or zip files), ``.tflite``, ``.onnx`` or ``.keras`` files, SavedModels
            and run directories.
        formats: Formats of the bundles; None for all.
        request: ``engine`` and ``settings`` of a file's first opening.
        ask: Asks the child.

    Raises:
        UsageError: No such path or format.
        DataError: A model that cannot be read.
    """
    for path in paths:
        if not Path(path).exists():
            raise UsageError(f"{path}: no such bundle or model file.")
    if formats is not None and not any(map(is_bundle, paths)):
        raise UsageError("--formats chooses from a bundle, and no bundle was given.")
    found: list[Subject] = []
    for path in dict.fromkeys(paths):
        if is_bundle(path):
            found.append(_bundle(path, len(found), formats))
        else:
            found.append(_file(path, len(found), request, ask))
    _check_formats(found, formats)
    return found


def _check_formats(found: Sequence[Subject], formats: Sequence[str] | None) -> None:
    if formats is None:
        return
    bundles = [subject for subject in found if subject.kind == "bundle"]
    have = {part.format for subject in bundles for part in subject.parts}
    for name in formats:
        if name not in have:
            Bundle.open(bundles[0].path).manifest.artifact(name)  # says what there is


def _bundle(path: str, number: int, formats: Sequence[str] | None) -> Subject:
    bundle = Bundle.open(path)
    manifest = bundle.manifest
    parts = [
        Part(
            number,
            os.path.abspath(path),
            entry.format,
            _kind(entry.format),
            {
                "subject": path,
                "format": entry.format,
                "file": entry.file,
                "bytes": entry.bytes,
                "sha256": entry.sha256,
                "quantization": entry.quantization,
                "parity_passed": entry.passed,
            },
        )
        for entry in manifest.artifacts
        if formats is None or entry.format in formats
    ]
    return Subject(
        path,
        "bundle",
        manifest.info.class_names,
        manifest.info.preprocess,
        manifest.default,
        tuple(find_photos(bundle.path / _GOLDEN)),
        tuple(parts),
    )


def _kind(fmt: str) -> str:
    return FORMAT_SUFFIXES[fmt].removeprefix(".") or "saved_model"


def _file(path: str, number: int, request: Mapping[str, Any], ask: Ask) -> Subject:
    from edge_runtime.rundir import MODEL, looks_like_run

    root = Path(path)
    model = root / MODEL if root.is_dir() and looks_like_run(root) else root
    kind = kind_of(model)
    part = Part(
        number,
        os.path.abspath(path),
        None,
        kind,
        {
            "subject": path,
            "format": kind,
            "file": os.fspath(model),
            "bytes": size_of(model),
            "sha256": sha256_tree(model),
            "quantization": None,
            "parity_passed": None,
        },
    )
    unknown = Subject(path, "file", (), None, None, (), (part,))
    question = {"task": "describe", "model": part.path, "format": None, "file": part.file}
    try:
        told = ask({**request, **question, "engine": {}})
    except MissingComponent as error:
        return replace(unknown, absent=str(error))
    except (ChildDied, Overdue) as error:
        return replace(unknown, error=str(error))
    except EdgeError as error:
        raise type(error)(str(error).replace(part.path, path)) from error
    spec = PreprocessSpec(told["width"], told["height"])
    return replace(unknown, class_names=tuple(told["class_names"]), spec=spec)
