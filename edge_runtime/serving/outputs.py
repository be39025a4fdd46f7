"""Answers of the Open Inference Protocol v2, as bytes; made on a thread of the pool."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from .problems import Problem
from .tensors import Wanted

#: Values of an answer that are written as JSON, or as classes: some 20 MB.
MAX_WRITTEN = 1_000_000

#: Values that are written at once: others get their turn in between.
_PIECE = 4096


@dataclass(frozen=True)
class Written:
    """An answer.

    Attributes:
        content: All of it.
        header_length: Bytes of its JSON, tensors being behind it; None for JSON alone.
    """

    content: bytes
    header_length: int | None


def write(
    answer: dict[str, Any],
    found: dict[str, np.ndarray],
    wanted: tuple[Wanted, ...],
    class_names: tuple[str, ...],
) -> Written:
    """Write an answer.

    Args:
        answer: What it says beside its outputs.
        found: Outputs of the model.
        wanted: Those that were asked for.
        class_names: In index order.

    Raises:
        Problem: 422 for more values than are written as text.
    """
    _check_size(found, wanted)
    described, tails = [], []
    for one in wanted:
        array = found[one.name]
        datatype, data, raw = "FP32", array, b""
        if one.classes:
            data = _ranked(array, one.classes, class_names)
            datatype = "BYTES"
        entry: dict[str, Any] = {
            "name": one.name, "datatype": datatype, "shape": list(data.shape)
        }  # fmt: skip
        if one.binary:
            if one.classes:
                texts = [text.encode() for text in data.ravel()]
                raw = b"".join(struct.pack("<I", len(text)) + text for text in texts)
            else:
                raw = np.ascontiguousarray(data, "<f4").tobytes()
            entry["parameters"] = {"binary_data_size": len(raw)}
            tails.append(raw)
            described.append(_json(entry))
        else:
            described.append(_json(entry)[:-1] + b',"data":[' + _values(data.ravel()) + b"]}")
    head = _json(answer)[:-1] + b',"outputs":[' + b",".join(described) + b"]}"
    return Written(b"".join([head, *tails]), len(head) if tails else None)


def _check_size(found: dict[str, np.ndarray], wanted: tuple[Wanted, ...]) -> None:
    count = 0
    for one in wanted:
        array = found[one.name]
        if one.classes:
            count += len(array) * min(one.classes, array.shape[1])
        elif not one.binary:
            count += array.size
    if count > MAX_WRITTEN:
        raise Problem(
            422,
            f"The answer has {count} values, and at most {MAX_WRITTEN} are written as text. Ask for "
            "bytes (parameters: binary_data of an output, binary_data_output of the request), or "
            "name fewer outputs, classes or photos.",
        )


def _values(data: np.ndarray) -> bytes:
    pieces = (data[start : start + _PIECE].tolist() for start in range(0, data.size, _PIECE))
    return b",".join(_json(piece)[1:-1] for piece in pieces)


def _json(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")


def _ranked(scores: np.ndarray, classes: int, names: tuple[str, ...]) -> np.ndarray:
    """Triton's classification extension: ``score:index:label``, best first."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :classes]
    rows = [
        [f"{scores[row, index]:f}:{index}:{names[index]}" for index in best]
        for row, best in enumerate(order)
    ]
    return np.array(rows, object)
