"""A sample of the inputs through the real command: exit codes, and no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from .models import make_model
from .photos import photos
from .watch import Finding
from .worker import photo_bytes

#: Photos a run of the command.
_FOLDER = 50

#: Seconds for a run: a folder of photos, or a model and its trial in a child process.
_SECONDS = 120

#: Exit codes that a damaged model may have: read all the same, a key beside it that is not known,
#: refused, a component is missing.
_MODEL_CODES = (0, 2, 3, 5)


def run_photos(model: Path, numbers: Sequence[int]) -> list[Finding]:
    """Folders of damaged photos: 0 or 1, and a result for every photo."""
    findings, whole = [], photos()
    for start in range(0, len(numbers), _FOLDER):
        some = numbers[start : start + _FOLDER]
        with tempfile.TemporaryDirectory() as name:
            for number in some:
                kind, data = photo_bytes(number, whole)
                suffix = Path(kind).suffix.replace("ppm", "bmp").replace("pbm", "gif")
                Path(name, f"{number}{suffix}").write_bytes(data)
            code, out, err = _run("image", "--model", str(model), "--json", name)
        bad = [line for line in out.splitlines() if not _is_json(line)]
        lines = len(out.splitlines())
        if code not in (0, 1) or bad or lines != len(some) or "Traceback" in err:
            detail = f"exit code {code}, {lines} results of {len(some)}; {err[-1000:]}"
            findings.append(Finding("photo", some[0], "command", detail))
    return findings


def run_models(bundle: Path, photo: Path, numbers: Iterable[int]) -> list[Finding]:
    """Damaged models, one a run: a designed exit code, whatever the interpreter does."""
    findings = []
    for number in numbers:
        with tempfile.TemporaryDirectory() as name:
            _, path = make_model(bundle, Path(name), number)
            for words in (["info", str(path)], ["image", "--model", str(path), str(photo)]):
                code, _, err = _run(*words)
                if code not in _MODEL_CODES or "Traceback" in err:
                    detail = f"{words[0]}: exit code {code}; {err[-1000:]}"
                    findings.append(Finding("model", number, "command", detail))
    return findings


def _run(*words: str) -> tuple[int, str, str]:
    with tempfile.TemporaryDirectory() as cache:
        try:
            done = subprocess.run(
                [sys.executable, "-m", "edge_runtime.cli", *words],
                capture_output=True,
                timeout=_SECONDS,
                check=False,
                env=os.environ | {"EDGE_CLASSIFY_CACHE": cache},
            )
        except subprocess.TimeoutExpired:
            return -1, "", f"more than {_SECONDS} s"
    return done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace")


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
