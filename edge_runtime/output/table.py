"""A table for people, written row by row: the path comes last, so no width has to be guessed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .plain import columns, fitted, visible

if TYPE_CHECKING:
    from ..manifest import ModelInfo
    from ..prediction import Prediction
    from . import Extra

#: Columns that labels take at most; ImageNet has some of a hundred characters.
_LABEL = 28

#: Columns that the path keeps on a narrow terminal; runners-up give way to it.
_PATH = 24

_SCORE = 6
_GAP = "  "


class Table:
    """Label, scores and runners-up of each photo, its time, its path."""

    def __init__(
        self, info: ModelInfo, k: int, extra: Sequence[str] = (), width: int | None = None
    ) -> None:
        """Fix the columns.

        Args:
            info: The model's labels, temperature and threshold.
            k: How many classes each answer lists.
            extra: Keys of what was done with each photo; shown behind its path.
            width: Columns of the terminal; None for as many as it takes.
        """
        output = info.output
        longest = max(columns(visible(name)) for name in info.class_names)
        label = min(_LABEL, max(len("unknown"), longest))
        heads = [("label", label), ("score", _SCORE)]
        self._sure = output.temperature is not None
        self._doubts = output.unknown_threshold is not None
        if self._sure:
            heads.append(("calibrated", len("calibrated")))
        if self._doubts:
            heads.append(("", len("unknown")))
        ms, runner_up = 8, label + 1 + _SCORE
        taken = sum(width + len(_GAP) for _, width in heads) + ms + len(_GAP)
        self._ranks = max(0, min(k, len(info.class_names)) - 1)
        if width is not None:
            room = width - taken - _PATH
            self._ranks = max(0, min(self._ranks, room // (runner_up + len(_GAP))))
        heads += [(f"rank {rank + 2}", runner_up) for rank in range(self._ranks)]
        heads.append(("ms", ms))
        self._heads, self._label, self._extra = heads, label, tuple(extra)
        used = sum(width + len(_GAP) for _, width in heads)
        self._path = None if width is None else max(8, width - used)

    def head(self) -> str:
        """Names of the columns and a rule."""
        cells = [fitted(name, width) for name, width in self._heads]
        rule = ["-" * width for _, width in self._heads]
        return self._line([*cells, "path"]) + self._line([*rule, "-" * len("path")])

    def row(self, prediction: Prediction, extra: Extra) -> str:
        """One row; of an unreadable photo the reason in a line below."""
        path = visible(prediction.path)
        path += "".join(f" -> {visible(p)}" for k in self._extra if (p := extra.get(k)) is not None)
        if self._path is not None and columns(path) > self._path:
            path = fitted(path, self._path, keep_end=True)
        if prediction.error is not None:
            reason = visible(prediction.error.removeprefix(f"{prediction.path}: "))
            blank = [" " * width for _, width in self._heads[1:]]
            return self._line([fitted("error", self._label), *blank, path]) + f"    {reason}\n"
        cells = [visible(prediction.label or ""), _score(prediction.score)]
        if self._sure:
            cells.append(_score(prediction.calibrated_score))
        if self._doubts:
            cells.append("unknown" if prediction.unknown else "")
        next_best = prediction.top[1 : self._ranks + 1]
        for name, _, score in next_best:
            cells.append(f"{fitted(visible(name), self._label)} {_score(score)}")
        cells += [""] * (self._ranks - len(next_best))
        cells.append(f"{(prediction.ms or {}).get('total', 0.0):8.1f}")
        widths = [width for _, width in self._heads]
        filled = [fitted(cell, width) for cell, width in zip(cells, widths, strict=True)]
        return self._line([*filled, path])

    def _line(self, cells: Sequence[str]) -> str:
        return _GAP.join(cells).rstrip() + "\n"


def _score(score: float | None) -> str:
    return "" if score is None else f"{score:.3f}"
