"""CSV as in RFC 4180: a header, commas, CR LF, quotes where a value needs them, UTF-8.

A spreadsheet takes a cell that begins with ``= + - @``, a tab or a CR for a formula, and whoever
names a photo should not be able to run one. A relative path that begins so is written with ``./`` in
front, which names the same file; a label, which has no such other name, with an apostrophe, as OWASP
advises ("CSV Injection"): its number in the column ``index`` stays what it is.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from ..prediction import Prediction
from . import Extra

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_FIRST = ("path", "label", "index", "score", "calibrated_score", "unknown")
_TIMES = ("decode", "infer", "total")


class CommaSeparated:
    """One row a photo; what an unreadable photo has not is empty, as its ``error`` is else."""

    def __init__(self, k: int, extra: Sequence[str] = ()) -> None:
        """Fix the columns.

        Args:
            k: Classes in each row, at most as many as the model has.
            extra: Further columns, in front of ``error``.
        """
        self._k, self._extra = k, tuple(extra)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        top = (
            f"top{rank}_{key}"
            for rank in range(1, self._k + 1)
            for key in ("label", "index", "score")
        )
        times = (f"ms_{name}" for name in _TIMES)
        return (*_FIRST, *top, *times, *self._extra, "error")

    def head(self) -> str:
        """The header."""
        return csv_line(self.columns)

    def row(self, prediction: Prediction, extra: Extra) -> str:
        """One row; ``error`` without the path, which has a column of its own."""
        top: list[object] = []
        for label, index, score in prediction.top:
            top += [safe_text(label), index, score]
        top += [None] * (3 * self._k - len(top))
        times = prediction.ms or {}
        error = prediction.error
        return csv_line(
            [
                safe_path(prediction.path),
                None if prediction.label is None else safe_text(prediction.label),
                prediction.index,
                prediction.score,
                prediction.calibrated_score,
                _truth(prediction.unknown),
                *top,
                *(times.get(name) for name in _TIMES),
                *(None if (p := extra.get(key)) is None else safe_path(p) for key in self._extra),
                None if error is None else safe_text(error.removeprefix(f"{prediction.path}: ")),
            ]
        )


def safe_path(path: str) -> str:
    """A path of the same file that no spreadsheet takes for a formula."""
    return f"./{path}" if path.startswith(_FORMULA) else path


def safe_text(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _truth(value: bool | None) -> str | None:
    return None if value is None else str(value).lower()


def csv_line(values: Sequence[object]) -> str:
    """One row with the end of its line."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\r\n").writerow(values)
    return stream.getvalue()
