"""The process in which damaged files are read: one JSON object a line in, one out.

``{"kind": "photo" or "model", "number": N}`` is answered with ``outcome`` (``ok``, ``refused`` with
the error's class, or ``unexpected`` with a traceback), the CPU seconds that it took and the peak of
resident memory. What ends or hangs this process is seen by :mod:`.watch`.
"""

from __future__ import annotations

import functools
import json
import logging
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.errors import EdgeError
from edge_runtime.manifest import PreprocessSpec

from .models import make_model
from .mutations import mutate
from .photos import photos

_SPEC = PreprocessSpec(32, 24)
_ROI = (0.1, 0.2, 0.9, 0.7)


def photo_bytes(number: int, whole: dict[str, bytes]) -> tuple[str, bytes]:
    """Name and content of the photo of a number."""
    chance = random.Random(f"photo {number}")  # noqa: S311 - not for secrets
    name = chance.choice(sorted(whole))
    return name, mutate(whole[name], chance, list(whole.values()))


def _read_photo(data: bytes, number: int) -> None:
    from edge_runtime.preprocess import preprocess

    pixels = preprocess(data, _SPEC, _ROI if number % 4 == 0 else None)
    if pixels.shape != (24, 32, 3) or pixels.dtype != np.uint8:
        raise ValueError(f"{pixels.dtype} {pixels.shape} came out")


def _read_model(path: Path) -> None:
    """Describe, open, classify and explain; the first refusal is the answer."""
    from edge_runtime.classifier import Classifier
    from edge_runtime.inspection.model import inspect_model

    json.dumps(inspect_model(path))
    classifier = Classifier.open(path, threads=1)
    photo = np.arange(32 * 32 * 3, dtype=np.uint32).astype(np.uint8).reshape(32, 32, 3)
    json.dumps(classifier.classify(photo).to_dict())
    classifier.explain(photo)


def _outcome(work: Callable[[], None]) -> dict[str, Any]:
    try:
        work()
    except EdgeError as error:
        message = str(error)
        if not message.isprintable() and "\n" in message:
            return {
                "outcome": "unexpected",
                "trace": f"a message of several lines: {message[:1000]!r}",
            }
        return {"outcome": "refused", "class": type(error).__name__, "code": error.exit_code}
    except BaseException as error:  # RecursionError, SystemExit: nothing of the kind may pass
        trace = "".join(traceback.format_exception(error))
        return {
            "outcome": "unexpected",
            "class": type(error).__name__,
            "trace": trace[:3000] + trace[-500:],
        }
    return {"outcome": "ok"}


def _forget_peak() -> None:
    """Start the peak of resident memory anew (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def main(bundle: Path | None) -> None:
    """Answer until standard input ends."""
    answers, sys.stdout = sys.stdout, sys.stderr
    logging.getLogger("edge_runtime").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    whole = photos()
    print(file=answers, flush=True)  # ready
    for line in sys.stdin:
        request = json.loads(line)
        number, folder = request["number"], Path(tempfile.mkdtemp(prefix="fuzz-"))
        _forget_peak()
        start = time.process_time()
        if request["kind"] == "photo":
            name, data = photo_bytes(number, whole)
            answer = _outcome(functools.partial(_read_photo, data, number))
        else:
            if bundle is None:
                raise SystemExit("models need a bundle")
            name, path = make_model(bundle, folder, number)
            answer = _outcome(functools.partial(_read_model, path))
        answer |= {"name": name, "seconds": time.process_time() - start, "mb": _peak_mb()}
        shutil.rmtree(folder, ignore_errors=True)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
