"""The files of a data set, good and bad, by place: what ``fit`` finds and what it does not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from edge_runtime.errors import DatasetError
from edge_runtime.files import PHOTO_EXTENSIONS, is_hidden
from edge_runtime.rundir import PARTS

from ..data.folders import VAL_ALIASES, check_name, is_split, listing, sub_folders
from .content import HEAD, photo_format
from .findings import Finding

#: Files that systems leave behind and that are not hidden by their name, in lower case.
SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})


class Entry(NamedTuple):
    """A file that ``fit`` would open as a photo."""

    path: str  #: the data set as it was given, joined with the file below it
    part: str  #: ``train``, ``val``, ``test``; empty in a data set that is not split
    label: str  #: name of the class folder


@dataclass
class Layout:
    """A data set as it lies on the disk.

    Attributes:
        classes: Part to class to number of photos; the one part of a folder that is not split
            has the empty name.
        folders: Part to the folder that it is read from.
        entries: Every photo, by part, class and path.
        findings: What is wrong with names and places.
    """

    classes: dict[str, dict[str, int]] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def split(self) -> bool:
        """Whether there are parts."""
        return "" not in self.classes


def read_layout(folder: str | os.PathLike[str]) -> Layout:
    """List a data set; of photos nothing is opened, of other files the first bytes.

    Raises:
        UsageError: The folder does not exist or is a file.
    """
    root, layout = os.fspath(folder), Layout()
    if is_split(root):
        _read_parts(root, layout)
    else:
        _read_classes(root, "", layout)
    _check_classes(layout)
    return layout


def _read_parts(root: str, layout: Layout) -> None:
    _look_beside(root, layout)
    found = sub_folders(root)
    alias = next((name for name in VAL_ALIASES if name in found and "val" not in found), None)
    for name in sorted(found, key=lambda name: PARTS.index(name) if name in PARTS else len(PARTS)):
        path = os.path.join(root, name)
        if name in PARTS or name == alias:
            _read_classes(path, "val" if name == alias else name, layout)
        else:
            layout.findings.append(Finding("other-folder", "is not used.", (path,)))
    if alias:
        message = f"fit expects the name val; rename {alias} to val."
        layout.findings.append(Finding("layout", message, (os.path.join(root, alias),)))
    for name in ("train", "val"):
        if name not in layout.classes:
            message = f"no {name} folder beside {', '.join(found)}."
            layout.findings.append(Finding("layout", message, (root,)))


def _read_classes(folder: str, part: str, layout: Layout) -> None:
    _look_beside(folder, layout)
    counts = layout.classes[part] = {}
    layout.folders[part] = folder
    for name in sub_folders(folder):
        path = os.path.join(folder, name)
        try:
            check_name(name, folder)
        except DatasetError as error:
            message = str(error).removeprefix(f"{folder}: ")
            layout.findings.append(Finding("class-name", message, (path,)))
        photos = []
        for file in _files_below(path, layout):
            if os.path.splitext(file)[1].lower() in PHOTO_EXTENSIONS:
                photos.append(file)
            else:
                layout.findings.append(_judge_other(file))
        counts[name] = len(photos)
        layout.entries += [Entry(file, part, name) for file in sorted(photos)]


def _files_below(folder: str, layout: Layout) -> Iterator[str]:
    """Files that are neither hidden nor the system's, in the folder and below it."""

    def refused(error: OSError) -> None:
        message = f"the folder cannot be listed: {error.strerror}."
        layout.findings.append(Finding("layout", message, (os.fspath(error.filename),)))

    for parent, folders, names in os.walk(folder, onerror=refused):
        for name in [*folders, *names]:
            path = os.path.join(parent, name)
            if is_system(name):
                layout.findings.append(_system_file(path))
            elif name in folders and os.path.islink(path):
                message = f"leads to {os.readlink(path)}."
                layout.findings.append(Finding("linked-folder", message, (path,)))
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        yield from (os.path.join(parent, name) for name in names if not is_system(name))


def is_system(name: str) -> bool:
    """Whether a file or folder is hidden, or left behind by a system."""
    return is_hidden(name) or name.lower() in SYSTEM_FILES


def _look_beside(folder: str, layout: Layout) -> None:
    """Files that lie beside class folders or parts."""
    with os.scandir(folder) as found:
        for entry in sorted(found, key=lambda entry: entry.name):
            if is_system(entry.name):
                layout.findings.append(_system_file(entry.path))
            elif entry.is_dir():
                continue
            elif os.path.splitext(entry.name)[1].lower() in PHOTO_EXTENSIONS:
                layout.findings.append(
                    Finding("stray-photo", "lies beside the class folders.", (entry.path,))
                )
            else:
                layout.findings.append(_judge_other(entry.path))


def _system_file(path: str) -> Finding:
    if os.path.isdir(path):
        return Finding("system-file", "a hidden or system folder.", (path,))
    return Finding("system-file", "a hidden or system file.", (path,), (path,))


def _judge_other(path: str) -> Finding:
    """A file without a photo's extension."""
    head = b""
    if os.path.isfile(path):
        try:
            with open(path, "rb") as stream:
                head = stream.read(HEAD)
        except OSError:
            head = b""
    name = photo_format(head)
    if name is not None:
        message = f"holds a {name} picture, but its extension is not searched for."
        return Finding("unsearched-photo", message, (path,), (path,))
    return Finding("other-file", "is no photo.", (path,), (path,))


def _check_classes(layout: Layout) -> None:
    """What ``fit`` refuses for the classes that are there or missing."""
    first = "train" if layout.split else ""
    training = layout.classes.get(first)
    if training is None:
        return
    where = layout.folders[first]
    if not layout.split and "train" in training and {"val", "test", *VAL_ALIASES} & set(training):
        message = (
            f"{listing(training)} are taken for classes, because photos lie directly in train or "
            "other folders lie beside it. Move those away."
        )
        layout.findings.append(Finding("layout", message, (where,)))
    if not training:
        layout.findings.append(Finding("layout", "no class folder in it.", (where,)))
    elif len(training) == 1:
        message = f"only one class, {listing(training)}; at least two are needed."
        layout.findings.append(Finding("layout", message, (where,)))
    for name, count in training.items():
        if not count:
            message = "an empty class folder."
            path = os.path.join(where, name)
            layout.findings.append(Finding("no-photo", message, (path,)))
        elif not layout.split and count < len(PARTS):
            message = f"{count} photo{'s' * (count != 1)}; {', '.join(PARTS)} need one each."
            path = os.path.join(where, name)
            layout.findings.append(Finding("too-few-photos", message, (path,)))
    for part, counts in layout.classes.items():
        if part == first:
            continue
        for name in sorted(set(counts) - set(training)):
            message = f"train has {listing(training)}."
            path = os.path.join(layout.folders[part], name)
            layout.findings.append(Finding("unknown-class", message, (path,)))
        if not any(counts.values()):
            message = "no photo in it; fit refuses an empty part."
            layout.findings.append(Finding("layout", message, (layout.folders[part],)))
