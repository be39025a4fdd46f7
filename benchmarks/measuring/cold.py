"""Cold start: what ``edge-classify image`` takes from its start to the answer to one photo."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from edge_runtime.child.asking import module_command
from edge_runtime.errors import ChildDied, EdgeError, MissingComponent, Overdue, SystemFailure
from edge_runtime.settings import ModelSettings

from ..model_options import model_options
from .plan import Configuration

#: The child's working folder is the one that holds the packages.
_HOME = Path(__file__).resolve().parents[2]

#: ``edge-classify``, without the wrapper that pip installs.
COMMAND = module_command("edge_runtime.cli")

_MISSING = MissingComponent.exit_code

#: File of the class names, where the user gave some.
_LABELS = "labels.txt"

#: Pixels of each side of the generated photo: what most classifiers take.
_SIDE = 224


def image_command(
    configuration: Configuration, settings: ModelSettings | None, photo: str, folder: Path
) -> list[str]:
    """The arguments of ``edge-classify`` that answer as a configuration is measured.

    Args:
        configuration: It.
        settings: What the user said of the model.
        photo: Absolute path.
        folder: Where :func:`write_labels` wrote.
    """
    engine, part = configuration.engine, configuration.part
    words = ["image", "--json", "--model", part.path]
    for option, value in (
        ("--format", part.format),
        ("--threads", engine.threads),
        ("--interpreter", engine.interpreter),
        ("--delegate", engine.delegate),
        *(("--provider", provider) for provider in engine.providers),
    ):
        if value is not None:
            words += [option, str(value)]
    return [*words, *_settings_options(settings, folder), "--", photo]


def _settings_options(settings: ModelSettings | None, folder: Path) -> list[str]:
    if settings is None:
        return []
    return model_options(asdict(settings), os.fspath(folder / _LABELS))


def write_labels(settings: ModelSettings | None, folder: Path) -> None:
    """Write what the options of :func:`image_command` name; once, since a disk may become full."""
    if settings is not None and settings.labels is not None:
        text = "\n".join(settings.labels) + "\n"
        (folder / _LABELS).write_text(text, encoding="utf-8")


def write_pattern(folder: Path) -> str:
    """Write a photo to start with where no real one is at hand.

    Args:
        folder: For the file.

    Returns:
        Its path.
    """
    from PIL import Image

    from .opened import pattern

    file = folder / "pattern.png"
    Image.fromarray(pattern(_SIDE, _SIDE)).save(file)
    return os.fspath(file)


def time_start(arguments: Sequence[str], timeout: float) -> float:
    """Start ``edge-classify`` and wait for its first answer.

    Args:
        arguments: Of :func:`image_command`.
        timeout: Seconds until the process is killed.

    Returns:
        Milliseconds from the start of the process to its answer; what it does afterwards, to end,
        is not in them.

    Raises:
        MissingComponent: Its interpreter is not installed.
        ChildDied: It ended without an answer.
        Overdue: It took too long.
        SystemFailure: It could not be started.
        EdgeError: It refused.
    """
    start = time.perf_counter()
    pipe = subprocess.PIPE
    try:
        started = subprocess.Popen([*COMMAND, *arguments], stdout=pipe, stderr=pipe, cwd=_HOME)
    except OSError as error:  # no memory, no more processes
        raise SystemFailure(f"edge-classify image could not be started: {error}.") from error
    with started as process:
        late = threading.Timer(timeout, process.kill)
        late.daemon = True
        late.start()
        try:
            line = process.stdout.readline() if process.stdout else b""
            taken = time.perf_counter() - start
            _, said = process.communicate()
        except BaseException:
            process.kill()
            raise
        finally:
            alive = late.is_alive()
            late.cancel()
    if line and process.returncode == 0:
        return round(taken * 1e3, 3)
    if not alive:
        raise Overdue(f"no answer within {timeout:g} s. Allow more with --timeout.")
    raise _failure(process.returncode, line, said.decode(errors="replace"))


def _failure(code: int, line: bytes, said: str) -> EdgeError:
    """The error of a start that failed."""
    errors = [text.removeprefix("error: ") for text in said.splitlines() if text.strip()]
    reason = errors[-1] if errors else ""
    if line:  # the photo could not be read
        reason = json.loads(line).get("error") or reason
    if code < 0:
        return ChildDied(f"edge-classify image died of signal {-code}. {reason}".rstrip())
    if code == _MISSING:
        return MissingComponent(reason)
    if code and not reason:
        return ChildDied(f"edge-classify image failed with exit code {code}.")
    return EdgeError(reason or "edge-classify image gave no answer.")
