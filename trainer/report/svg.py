"""Charts as inline SVG: text that can be selected, colours of the page that they stand in.

Elements carry class names (``line``, ``axis``, ``a``, ``b``, ``bar``, ``gap``); the page's style
sheet colours them, in light and in dark. Everything is escaped by ElementTree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from ..packages import import_module

_WIDTH, _HEIGHT = 380, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 18, 24, 34

#: With more points than this on a line they are not marked.
_MOST_DOTS = 60


class _Chart:
    """Axes and a mapping from values to the picture."""

    def __init__(
        self, title: str, x_range: tuple[float, float], y_range: tuple[float, float]
    ) -> None:
        self.root = ElementTree.Element(
            "svg", {"viewBox": f"0 0 {_WIDTH} {_HEIGHT}", "role": "img", "aria-label": title}
        )
        self._x, self._y = x_range, y_range
        self.add("text", {"x": str(_LEFT), "y": "14", "class": "title"}, title)

    def add(self, tag: str, attributes: Mapping[str, str], text: str | None = None) -> Any:
        """Append an element."""
        element = ElementTree.SubElement(self.root, tag, dict(attributes))
        element.text = text
        return element

    def x(self, value: float) -> float:
        """Place of a value on the horizontal axis."""
        low, high = self._x
        return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        """Place of a value on the vertical axis."""
        low, high = self._y
        return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    def line(self, ends: tuple[float, float, float, float], kind: str) -> None:
        """A straight line between two places (x1, y1, x2, y2)."""
        names = ("x1", "y1", "x2", "y2")
        self.add(
            "line", {n: f"{v:.1f}" for n, v in zip(names, ends, strict=True)} | {"class": kind}
        )

    def axes(
        self, x_ticks: Mapping[float, str], y_ticks: Mapping[float, str], x_label: str
    ) -> None:
        """Grid lines with their values, and the name of the horizontal axis."""
        for value, text in y_ticks.items():
            y = self.y(value)
            self.line((_LEFT, y, _WIDTH - _RIGHT, y), "grid")
            self.add("text", {"x": str(_LEFT - 5), "y": f"{y + 4:.1f}", "class": "end"}, text)
        for value, text in x_ticks.items():
            place = {"x": f"{self.x(value):.1f}", "y": str(_HEIGHT - _BOTTOM + 14)}
            self.add("text", place | {"class": "middle"}, text)
        middle = (_LEFT + _WIDTH - _RIGHT) / 2
        self.add("text", {"x": f"{middle}", "y": str(_HEIGHT - 4), "class": "middle"}, x_label)

    def text(self) -> str:
        """The whole element as markup."""
        return ElementTree.tostring(self.root, encoding="unicode")


def line_chart(
    title: str,
    series: Mapping[str, Sequence[float | None]],
    marks: Mapping[float, str] | None = None,
    logarithmic: bool = False,
) -> str:
    """Curves over the epochs 1, 2, ...

    Args:
        title: Text above.
        series: By name, up to two curves of equal length; None leaves a gap.
        marks: Vertical dashed lines: place on the epoch axis and text.
        logarithmic: Whether the values (then above 0) are drawn by their logarithm.

    Returns:
        An ``svg`` element; an empty text where no value is finite.
    """
    curves = {name: [_usable(v, logarithmic) for v in values] for name, values in series.items()}
    known = [v for values in curves.values() for v in values if v is not None]
    if not known:
        return ""
    ticks = _ticks(min(known), max(known), logarithmic)
    low, high = min(min(known), *ticks), max(max(known), *ticks)
    count = max(len(values) for values in curves.values())
    chart = _Chart(title, (0.5, count + 0.5), (low, high) if high > low else (low - 1, low + 1))
    chart.axes({e: str(round(e)) for e in _epochs(count)}, ticks, "epoch")
    for place, text in (marks or {}).items():
        chart.line((chart.x(place), _TOP, chart.x(place), _HEIGHT - _BOTTOM), "mark")
        where = {"x": f"{chart.x(place) + 3:.1f}", "y": str(_TOP + 10), "class": "faint"}
        chart.add("text", where, text)
    for kind, (name, values) in zip("ab", curves.items(), strict=False):
        _curve(chart, values, kind)
        if len(curves) > 1:
            x = _WIDTH - _RIGHT - (100 if kind == "a" else 0)
            chart.add("text", {"x": str(x), "y": "14", "class": f"end {kind}"}, f"● {name}")
    return chart.text()


def reliability_chart(title: str, bins: Sequence[Mapping[str, Any]]) -> str:
    """Share of right answers over the score, a bar for each bin; the diagonal is perfect.

    Args:
        title: Text above.
        bins: Of :func:`trainer.evaluation.calibration.reliability`.

    Returns:
        An ``svg`` element. A bar's strength tells how many photos it stands for.
    """
    chart = _Chart(title, (0, 1), (0, 1))
    ticks = {value / 5: f"{value * 20}%" for value in range(6)}
    chart.axes(ticks, ticks, "score of the answer")
    most = max([row["n"] for row in bins], default=1) or 1
    for row in bins:
        if not row["n"]:
            continue
        left, right = chart.x(row["low"]) + 1, chart.x(row["high"]) - 1
        top = chart.y(row["accuracy"])
        place = {
            "x": f"{left:.1f}",
            "y": f"{top:.1f}",
            "width": f"{right - left:.1f}",
            "height": f"{chart.y(0) - top:.1f}",
            "fill-opacity": f"{0.35 + 0.65 * math.sqrt(row['n'] / most):.2f}",
        }
        bar = chart.add("rect", place | {"class": "bar"})
        ElementTree.SubElement(bar, "title").text = (
            f"score {row['low']:.2f} to {row['high']:.2f}: {row['n']} photos, "
            f"mean score {row['score']:.3f}, right {row['accuracy']:.1%}"
        )
        chart.line((left, chart.y(row["score"]), right, chart.y(row["score"])), "gap")
    chart.line((chart.x(0), chart.y(0), chart.x(1), chart.y(1)), "mark")
    return chart.text()


def _usable(value: float | None, logarithmic: bool) -> float | None:
    if value is None or not math.isfinite(value) or (logarithmic and value <= 0):
        return None
    return math.log10(value) if logarithmic else value


def _ticks(low: float, high: float, logarithmic: bool) -> dict[float, str]:
    ticker = import_module("matplotlib.ticker", "matplotlib", "draw the training report")
    if logarithmic:
        powers = range(math.floor(low), math.ceil(high) + 1)
        return {float(power): f"1e{power}" for power in powers}
    values = ticker.MaxNLocator(5).tick_values(low, high if high > low else low + 1)
    return {float(value): f"{value:.6g}" for value in values}


def _epochs(count: int) -> list[float]:
    step = max(1, math.ceil(count / 8))
    return [float(epoch) for epoch in range(step if count > 8 else 1, count + 1, step)]


def _curve(chart: _Chart, values: Sequence[float | None], kind: str) -> None:
    runs: list[list[str]] = [[]]
    for epoch, value in enumerate(values, 1):
        if value is None:
            runs.append([])
            continue
        runs[-1].append(f"{chart.x(epoch):.1f},{chart.y(value):.1f}")
        if len(values) <= _MOST_DOTS:
            place = {"cx": f"{chart.x(epoch):.1f}", "cy": f"{chart.y(value):.1f}", "r": "2.5"}
            chart.add("circle", place | {"class": kind})
    for run in runs:
        if len(run) > 1:
            chart.add("polyline", {"points": " ".join(run), "class": f"line {kind}"})
