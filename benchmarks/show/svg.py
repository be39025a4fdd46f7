"""A chart as inline SVG: text that can be selected, colours of the page that it stands in.

Elements carry class names, which the page's style sheet colours, in light and in dark. Everything is
escaped by ElementTree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

_STEPS = (1.0, 2.0, 5.0, 10.0)


class Axis:
    """From values to places; linear or logarithmic, with round numbers as ticks."""

    def __init__(self, low: float, high: float, logarithmic: bool = False) -> None:
        """Span some values; equal ones get room on both sides."""
        if logarithmic:
            low, high = (low / 1.1, high * 1.1) if high < low * 1.05 else (low, high)
        elif high <= low:
            low, high = low - 1, high + 1
        self.low, self.high, self.logarithmic = low, high, logarithmic

    def share(self, value: float) -> float:
        """Place of a value, 0 at the low end, 1 at the high one."""
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, most: int = 6) -> list[float]:
        """Round numbers within the axis, at most so many."""
        if self.logarithmic and self.high >= 3 * self.low:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            for digits in ((1, 2, 5), (1, 3), (1,)):
                found = [d * 10.0**p for p in powers for d in digits]
                found = [value for value in found if self.low <= value <= self.high]
                if len(found) <= most:
                    break
            return found[:: math.ceil(len(found) / most) or 1]
        raw = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(s for s in _STEPS if s * power >= raw * 0.999) * power
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(number * step, 12) for number in range(first, last + 1)]


class Chart:
    """A picture with two axes."""

    def __init__(
        self,
        label: str,
        size: tuple[int, int],
        margins: tuple[int, int, int, int],
        x_axis: Axis,
        y_axis: Axis,
    ) -> None:
        """An empty one.

        Args:
            label: What it shows, for those who do not see it.
            size: Width and height in its own units, about pixels on a phone.
            margins: Left, top, right, bottom.
            x_axis: Of the values to the right.
            y_axis: Of the values upwards.
        """
        self.width, self.height = size
        self.left, self.top, right, bottom = margins
        self.right, self.bottom = self.width - right, self.height - bottom
        self._x, self._y = x_axis, y_axis
        attributes = {"viewBox": f"0 0 {self.width} {self.height}", "role": "img"}
        self.root = ElementTree.Element("svg", attributes | {"aria-label": label})

    def add(self, tag: str, attributes: Mapping[str, Any], text: str | None = None) -> Any:
        """Append an element; numbers are rounded."""
        values = {
            name: f"{value:.1f}" if isinstance(value, float) else str(value)
            for name, value in attributes.items()
        }
        element = ElementTree.SubElement(self.root, tag, values)
        element.text = text
        return element

    def hint(self, element: Any, text: str) -> None:
        """What a pointer that rests on an element is shown."""
        ElementTree.SubElement(element, "title").text = text

    def x(self, value: float) -> float:
        """Place of a value to the right."""
        return self.left + self._x.share(value) * (self.right - self.left)

    def y(self, value: float) -> float:
        """Place of a value upwards."""
        return self.bottom - self._y.share(value) * (self.bottom - self.top)

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        """A straight line between two places."""
        self.add("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": kind})

    def write(self, x: float, y: float, text: str, kind: str = "") -> None:
        """Text at a place."""
        self.add("text", {"x": x, "y": y, "class": kind}, text)

    def axes(self, x_label: str, y_label: str = "", y_format: str = "{:g}") -> None:
        """Grid lines with their values, and the names of the axes."""
        if y_label:
            for value in self._y.ticks():
                y = self.y(value)
                self.line(self.left, y, self.right, y, "grid")
                self.write(self.left - 5.0, y + 4, y_format.format(value), "end")
            self.write(float(self.left), self.top - 8.0, y_label, "faint")
        for value in self._x.ticks():
            x = self.x(value)
            self.line(x, float(self.bottom), x, self.bottom + 4.0, "tick")
            self.write(x, self.bottom + 16.0, f"{value:g}", "middle")
        self.line(
            float(self.left), float(self.bottom), float(self.right), float(self.bottom), "tick"
        )
        self.write((self.left + self.right) / 2, self.height - 3.0, x_label, "middle faint")

    def text(self) -> str:
        """The whole element as markup."""
        return ElementTree.tostring(self.root, encoding="unicode")
