"""Cameras of Video4Linux: which there are, which one is which, and what they offer.

Numbers of devices are given in the order of plugging in; what a camera is says the kernel's sysfs
(``/sys/class/video4linux``), which needs no opening.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

_NODE = re.compile(r"video(\d+)$")

#: Devices of a Raspberry Pi that take pictures from programs, not from the world.
CODECS = re.compile(r"codec|isp|pisp|hevc|rpivid|stateless|m2m", re.IGNORECASE)

#: The raw ends of a Raspberry Pi's camera port: libcamera reads them, nothing else should.
PORTS = re.compile(r"unicam|rp1-cfe|csi", re.IGNORECASE)


@dataclass(frozen=True)
class Identity:
    """What a camera is, wherever it is plugged in.

    Attributes:
        key: USB vendor, product, serial number and interface, and the name; of another bus its
            place and the name.
        place: Where it is plugged in.
        name: As it calls itself.
    """

    key: tuple[str, ...]
    place: str
    name: str

    def __str__(self) -> str:
        return self.name or " ".join(self.key)


@dataclass(frozen=True)
class Node:
    """A device that pictures can be read from.

    Attributes:
        device: Such as ``/dev/video0``.
        identity: What it is.
    """

    device: str
    identity: Identity


def read_line(file: Path) -> str:
    """The text of a file of sysfs; empty where there is none."""
    try:
        return file.read_text(errors="replace").strip("\0 \n")
    except OSError:
        return ""


def cameras(root: Path = Path("/")) -> list[Node]:
    """All cameras, by their number.

    Of the devices that one camera has, only the first of each function gives pictures (``index``
    0); the others give metadata.

    Args:
        root: Where ``sys`` and ``dev`` lie.
    """
    found = []
    for folder in (root / "sys/class/video4linux").glob("video*"):
        number = _NODE.match(folder.name)
        if number is None or not (root / "dev" / folder.name).exists():
            continue
        name = read_line(folder / "name")
        if read_line(folder / "index") not in ("", "0"):
            continue
        if CODECS.search(name) or PORTS.search(name):
            continue
        found.append((int(number[1]), Node(f"/dev/{folder.name}", identity(folder))))
    return [node for _, node in sorted(found, key=lambda pair: pair[0])]


def identity(folder: Path) -> Identity:
    """What the camera behind a device is.

    Args:
        folder: Of the device, in ``sys/class/video4linux``.
    """
    name = read_line(folder / "name")
    interface = Path(os.path.realpath(folder / "device"))
    for parent in (interface, *interface.parents):
        vendor = read_line(parent / "idVendor")
        if vendor:
            product, serial = read_line(parent / "idProduct"), read_line(parent / "serial")
            number = read_line(interface / "bInterfaceNumber")
            return Identity(("usb", vendor, product, serial, number, name), str(parent), name)
    return Identity(("bus", str(interface), name), str(interface), name)


def device_of(address: str, root: Path = Path("/")) -> str:
    """``/dev/videoN`` for what the user typed: a number, a device, or a link to one.

    Links of ``/dev/v4l/by-id`` are followed as they stand now.
    """
    if address.isdecimal():
        return f"/dev/video{int(address)}"
    with contextlib.suppress(ValueError):
        target = Path(os.path.realpath(root / address.lstrip("/")))
        return "/" + str(target.relative_to(os.path.realpath(root)))
    return address


def holders(device: str, root: Path = Path("/")) -> list[str]:
    """Programs that have a device open, such as ``firefox (process 4711)``, as far as one may see.

    Args:
        device: Such as ``/dev/video0``.
        root: Where ``proc`` lies.
    """
    found = []
    for process in sorted((root / "proc").glob("[0-9]*")):
        if int(process.name) == os.getpid():
            continue
        try:
            open_files = [os.readlink(link) for link in (process / "fd").iterdir()]
        except OSError:  # another user's, or it has ended
            continue
        if device in open_files:
            found.append(f"{read_line(process / 'comm') or '?'} (process {process.name})")
    return found


class Places:
    """Remembers which camera a source means, so that it is found when it is plugged in again.

    Attributes:
        root: Where ``dev``, ``proc`` and ``sys`` lie.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        """Know none yet.

        Args:
            root: Where ``dev``, ``proc`` and ``sys`` lie.
        """
        self.root = root
        self._known: dict[str, tuple[Identity, frozenset[str]]] = {}

    def remember(self, address: str, device: str) -> None:
        """A device was opened for a source, and gave pictures."""
        nodes = cameras(self.root)
        mine = next((node.identity for node in nodes if node.device == device), None)
        if mine is None:
            return
        twins = (n.identity.place for n in nodes if n.identity.key == mine.key)
        self._known[address] = mine, frozenset(p for p in twins if p != mine.place)

    def find(self, address: str) -> tuple[str | None, Identity | None]:
        """The device of a source now.

        Args:
            address: What the user typed.

        Returns:
            The device: the one that is named while nothing is remembered; then wherever the same
            camera is now; None if it is nowhere. And what is remembered.
        """
        device = device_of(address, self.root)
        known = self._known.get(address)
        if known is None:
            return device, None
        mine, twins = known
        same = [n for n in cameras(self.root) if n.identity.key == mine.key]
        # Cameras without a serial number are told apart by where they were plugged in.
        for node in same:
            if node.identity.place == mine.place:
                return node.device, mine
        strangers = [n for n in same if n.identity.place not in twins]
        if not strangers:
            return None, mine
        return next((n.device for n in strangers if n.device == device), strangers[0].device), mine
