"""The child process that loads a model file and runs it once, for :mod:`.running`.

Run as ``python -m edge_runtime.trial.worker``, see :mod:`edge_runtime.child.asking`. A request
holds ``model`` (path) and ``engine`` (fields of :class:`~edge_runtime.engine.Engine`); the answer
``interpreter``, ``version``, ``load_ms``, ``ms`` (one inference, the second), ``scores`` (the first
output where it is small) and, as far as they apply, ``delegate``, ``placement``, ``providers``, ``available``.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..child.answering import serve
from ..engine import Engine

#: Value of every element of the inputs: a grey that is far from the zero point of any type.
FILL = 100

#: Side that stands for a dynamic one, and scores that are worth telling.
_SIDE, _TOLD = 224, 16

_TYPES = {
    "float": "float32", "double": "float64", "float16": "float16", "uint8": "uint8",
    "int8": "int8", "int16": "int16", "uint16": "uint16", "int32": "int32", "int64": "int64",
}  # fmt: skip


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Answer a request."""
    _make_expendable()
    engine = Engine(**request["engine"])
    start = time.perf_counter()
    load = _load_onnx if request["model"].endswith(".onnx") else _load_tflite
    about, run = load(request["model"], engine)
    loaded = time.perf_counter()
    run()
    again = time.perf_counter()
    scores = run()
    end = time.perf_counter()
    times = {"load_ms": round((loaded - start) * 1e3, 3), "ms": round((end - again) * 1e3, 3)}
    return {**about, **times, "scores": scores}


def _load_tflite(where: str, engine: Engine) -> tuple[dict[str, Any], Callable[[], Any]]:
    import numpy as np

    from ..backends.base import path_or_bytes
    from ..backends.delegates import describe, placement
    from ..backends.interpreters import open_interpreter
    from ..backends.litert import check_header
    from ..errors import ModelError, first_line

    check_header(where)
    loaded = open_interpreter(path_or_bytes(where), engine, where)
    interpreter = loaded.interpreter
    try:
        inputs = {
            side["index"]: np.full(side["shape"], FILL, side["dtype"])
            for side in interpreter.get_input_details()
            if np.dtype(side["dtype"]).kind in "fiu"
        }
        outputs = interpreter.get_output_details()
    except ValueError as error:  # a name that is no UTF-8 text, a negative size
        raise ModelError(
            f"{where}: damaged, its inputs and outputs cannot be read ({error}). "
            "Copy the file again."
        ) from error

    def run() -> list[float] | None:
        try:
            for index, values in inputs.items():
                interpreter.set_tensor(index, values)
            interpreter.invoke()
            return _told(interpreter.get_tensor(outputs[0]["index"]) if outputs else None)
        except (ValueError, RuntimeError) as error:
            raise ModelError(
                f"{where}: {loaded.name} cannot run it ({first_line(error)}). Export it again."
            ) from error

    where_runs = placement(interpreter)
    about = {
        "interpreter": loaded.name,
        "version": loaded.version,
        "delegate": describe(loaded.delegate, where_runs),
        "placement": where_runs,
    }
    return about, run


def _load_onnx(where: str, engine: Engine) -> tuple[dict[str, Any], Callable[[], Any]]:
    import numpy as np

    from ..backends.base import path_or_bytes
    from ..backends.onnx_session import import_onnxruntime, open_session
    from ..errors import ModelError, first_line

    session = open_session(path_or_bytes(where), engine, where)
    inputs, guessed = {}, False
    for side in session.get_inputs():
        kind = _TYPES.get(side.type.removeprefix("tensor(").removesuffix(")"))
        sizes = [n if isinstance(n, int) and n > 0 else None for n in side.shape or []]
        guessed |= kind is None or None in sizes[1:]
        shape = [n or (_SIDE if place else 1) for place, n in enumerate(sizes)]
        if kind is not None:
            inputs[side.name] = np.full(shape, FILL, kind)

    def run() -> list[float] | None:
        try:
            return _told(session.run(None, inputs)[0])
        except Exception as error:  # onnxruntime's own exceptions share no public base class
            if guessed:  # not the file's fault
                return None
            raise ModelError(
                f"{where}: onnxruntime cannot run it ({first_line(error)}). Export it again."
            ) from error

    about = {
        "interpreter": "onnxruntime",
        "version": import_onnxruntime().__version__,
        "providers": list(session.get_providers()),
        "available": list(import_onnxruntime().get_available_providers()),
    }
    return about, run


def _told(values: Any) -> list[float] | None:
    if values is None or values.size > _TOLD or values.dtype.kind not in "fiu":
        return None
    return [float(value) for value in values.ravel()]


def _make_expendable() -> None:
    """Where memory gives out, this process goes first; a crash leaves no core on the card."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with contextlib.suppress(OSError):  # not Linux
        Path("/proc/self/oom_score_adj").write_text("1000")


def main() -> None:
    """Answer the request on stdin."""
    serve(work)


if __name__ == "__main__":
    main()
