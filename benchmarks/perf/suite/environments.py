"""Environments of the peers: made once, each with this project's base beside it."""

from __future__ import annotations

import json
import os
import subprocess
import venv
from dataclasses import dataclass
from pathlib import Path

from benchmarks.perf.common import REPO

#: Seconds that an installation may take; torch has gigabytes.
_TIMEOUT = 3600


class NotInstalled(Exception):
    """A peer that the package index does not give, or that does not start."""


@dataclass(frozen=True)
class Environment:
    """What is installed from the package index.

    Attributes:
        name: Of its folder.
        packages: Requirements of the peer.
        imported: Modules that have to load for it to count as installed.
    """

    name: str
    packages: tuple[str, ...]
    imported: tuple[str, ...]


ENVIRONMENTS = {
    environment.name: environment
    for environment in (
        Environment("mediapipe", ("mediapipe==1.2.2",), ("mediapipe",)),
        Environment("opencv", ("opencv-python-headless==5.0.0.93",), ("cv2",)),
        Environment("openvino", ("openvino==2026.4.1",), ("openvino",)),
        Environment(
            "programs", ("mediapipe==1.2.2", "openvino==2026.4.1"), ("mediapipe", "openvino")
        ),
        Environment("ultralytics", ("ultralytics>=8.3", "torch>=2.4"), ("ultralytics",)),
    )
}


def prepared(environment: Environment, work: Path) -> tuple[str, dict[str, str]]:
    """Its Python, and the versions of what is in it; installs what is not there yet.

    Args:
        environment: One of :data:`ENVIRONMENTS`.
        work: Folder of the environments.

    Raises:
        NotInstalled: With the last line of what pip, or Python, said.
    """
    folder = (work / "environments" / environment.name).resolve()
    python = folder / "bin" / "python"
    done = folder / ".complete"
    if not done.exists():
        venv.create(folder, with_pip=True, clear=True)
        _call(python, "-m", "pip", "install", "--quiet", "-e", f"{REPO}[onnx]")
        _call(python, "-m", "pip", "install", "--quiet", *environment.packages)
        done.touch()
    _call(python, "-c", f"import {', '.join(environment.imported)}")
    listed = _call(python, "-m", "pip", "list", "--format", "json")
    names = {package.partition("=")[0].partition(">")[0] for package in environment.packages}
    versions = {p["name"]: p["version"] for p in json.loads(listed) if p["name"] in names}
    return os.fspath(python), versions


def _call(python: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            [python, *arguments], capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(str(error)) from error
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise NotInstalled(said[-1] if said else f"exit code {done.returncode}")
    return done.stdout
