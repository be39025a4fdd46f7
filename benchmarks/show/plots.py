"""The plots of the page: what is traded for what, and how the latencies are spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..result import Figures, Latency, Result
from .svg import Axis, Chart
from .text import milliseconds, ordered

#: Where a point's number may stand, in the order in which places are tried.
_DIRECTIONS = ((1, -1), (-1, -1), (1, 1), (-1, 1), (0, -1), (0, 1), (1, 0), (-1, 0))
_DISTANCES = (10.0, 18.0, 27.0, 38.0)

#: How near two things may be without hiding one another.
_NEAR = 12.0

#: Room beyond the outermost points, as a share.
_ROOM = 0.08


def tradeoff_chart(result: Result) -> str:
    """Accuracy over latency of the rows that the verdict compared; memory where there is no accuracy.

    Returns:
        An ``svg`` element, numbered as :func:`~benchmarks.show.text.ordered`; empty without rows.
    """
    verdict = result["verdict"]
    if verdict is None or not verdict["compared"]:
        return ""
    numbers = {row["name"]: number for number, row in enumerate(ordered(result), 1)}
    with_accuracy = any(f["accuracy"] is not None for f in verdict["compared"].values())
    points = {}
    for name, figures in verdict["compared"].items():
        value = _height(figures, with_accuracy)
        if value is not None:
            points[name] = (figures["latency_ms"], value)
    if not points:
        return ""
    limits = verdict["limits"]
    latencies = [latency for latency, _ in points.values()]
    heights = [height for _, height in points.values()]
    if (most := limits.get("--max-latency-ms")) is not None:
        latencies.append(most)
    line = limits.get("--min-accuracy" if with_accuracy else "--max-memory-mb")
    if line is not None:
        line = 100 * line if with_accuracy else line
        heights.append(line)
    what = "accuracy" if with_accuracy else "peak memory"
    label = f"{what} over {verdict['percentile']} latency of {len(points)} configurations"
    chart = Chart(
        label, (420, 300), (44, 30, 16, 38), _spanned(latencies, True), _spanned(heights, False)
    )
    chart.axes(
        f"{verdict['percentile']} latency, ms",
        "accuracy, % (higher is better)" if with_accuracy else "peak memory, MB (lower is better)",
    )
    if most is not None:
        chart.line(chart.x(most), float(chart.top), chart.x(most), float(chart.bottom), "limit")
        chart.write(chart.x(most) - 4, chart.bottom - 5.0, f"limit {most:g} ms", "end faint")
    if line is not None:
        chart.line(float(chart.left), chart.y(line), float(chart.right), chart.y(line), "limit")
        unit = "%" if with_accuracy else "MB"
        chart.write(chart.right - 2.0, chart.y(line) + 12, f"limit {line:g} {unit}", "end faint")
    _staircase(chart, points, verdict["pareto"], up=with_accuracy)
    chosen, compared = verdict["recommended"], verdict["compared"]
    _points(chart, points, numbers, verdict["pareto"], chosen, compared, tall=with_accuracy)
    return chart.text()


def histogram_chart(name: str, latency: Latency) -> str:
    """How often an inference took how long.

    Args:
        name: Of the row.
        latency: Of the row.

    Returns:
        An ``svg`` element.
    """
    edges, counts = latency["histogram"]["edges_ms"], latency["histogram"]["counts"]
    used = [place for place, count in enumerate(counts) if count]
    if not used or edges[0] <= 0:
        return ""
    first, last = used[0], used[-1]
    p50, p90, p99 = (latency[key] for key in ("p50_ms", "p90_ms", "p99_ms"))
    label = (
        f"latency of {name}: half of {latency['runs']} inferences took at most "
        f"{milliseconds(p50)} ms, 9 of 10 {milliseconds(p90)} ms, 99 of 100 {milliseconds(p99)} ms, "
        f"the slowest {milliseconds(latency['max_ms'])} ms"
    )
    axis = Axis(edges[first], edges[last + 1], logarithmic=True)
    chart = Chart(label, (380, 130), (10, 26, 10, 34), axis, Axis(0, max(counts)))
    for place in range(first, last + 1):
        if not counts[place]:
            continue
        left, right = chart.x(edges[place]), chart.x(edges[place + 1])
        top = min(chart.y(counts[place]), chart.bottom - 1.5)  # one slow run of 10,000 shows, too
        box = {"x": left, "y": top, "width": max(right - left - 0.5, 0.5)}
        bar = chart.add("rect", box | {"height": chart.bottom - top, "class": "bar"})
        span = f"{milliseconds(edges[place])} to {milliseconds(edges[place + 1])} ms"
        chart.hint(bar, f"{span}: {counts[place]} inferences")
    chart.axes("ms")
    _percentiles(chart, {"p50": p50, "p90": p90, "p99": p99})
    return chart.text()


def _percentiles(chart: Chart, values: Mapping[str, float]) -> None:
    """Dashed lines with names above, which share a line of text where they are close."""
    taken: list[float] = []
    for name, value in values.items():
        x = chart.x(value)
        if not chart.left - 1 <= x <= chart.right + 1:
            continue
        chart.line(x, chart.top - 4.0, x, float(chart.bottom), "mark")
        row = sum(abs(x - other) < 24 for other in taken)
        chart.write(x, chart.top - 6.0 - 10 * min(row, 1), name, "middle faint")
        taken.append(x)


def _height(figures: Figures, with_accuracy: bool) -> float | None:
    value = figures["accuracy"] if with_accuracy else figures["memory_bytes"]
    if value is None:
        return None
    return 100 * value if with_accuracy else value / 1e6


def _spanned(values: Sequence[float], logarithmic: bool) -> Axis:
    low, high = min(values), max(values)
    if logarithmic:
        factor = max((high / low) ** _ROOM, 1.06)
        return Axis(low / factor, high * factor, logarithmic=True)
    room = max((high - low) * _ROOM * 1.5, 1.0)
    return Axis(low - room, high + room)


def _staircase(
    chart: Chart, points: Mapping[str, tuple[float, float]], front: Sequence[str], up: bool
) -> None:
    """The best that is to be had for each latency, over the rows of the front."""
    steps = sorted(points[name] for name in front if name in points)
    path: list[str] = []
    best: float | None = None
    for latency, height in steps:
        if best is not None and (height <= best if up else height >= best):
            continue
        if best is not None:
            path.append(f"{chart.x(latency):.1f},{chart.y(best):.1f}")
        path.append(f"{chart.x(latency):.1f},{chart.y(height):.1f}")
        best = height
    if best is not None:
        path.append(f"{chart.right:.1f},{chart.y(best):.1f}")
        chart.add("polyline", {"points": " ".join(path), "class": "front-line"})


def _points(
    chart: Chart,
    points: Mapping[str, tuple[float, float]],
    numbers: Mapping[str, int],
    front: Sequence[str],
    recommended: str | None,
    compared: Mapping[str, Figures],
    tall: bool,
) -> None:
    places = {name: (chart.x(x), chart.y(y)) for name, (x, y) in points.items()}
    labels: list[tuple[float, float]] = []
    for name, (x, y) in sorted(places.items(), key=lambda item: numbers[item[0]]):
        kind = "best" if name == recommended else "front" if name in front else "other"
        low, high = (
            min(max(chart.x(end), chart.left), chart.right)
            for end in compared[name]["latency_ci_ms"]
        )
        chart.line(low, y, high, y, f"whisker {kind}")
        if tall and (interval := compared[name]["accuracy_ci"]) is not None:
            ends = (chart.y(100 * end) for end in interval)
            bottom, top = (min(max(end, chart.top), chart.bottom) for end in ends)
            chart.line(x, top, x, bottom, f"whisker tall {kind}")
        radius = 6 if kind == "best" else 4
        dot = chart.add("circle", {"cx": x, "cy": y, "r": radius, "class": kind})
        latency, height = points[name]
        chart.hint(dot, f"{name}: {milliseconds(latency)} ms, {height:.1f}")
        lx, ly = _free(chart, (x, y), list(places.values()), labels)
        labels.append((lx, ly))
        if abs(lx - x) > 14 or abs(ly - y) > 14:
            chart.line(x, y, lx, ly, "leader")
        chart.write(lx, ly + 4, str(numbers[name]), f"middle number {kind}")


def _free(
    chart: Chart,
    point: tuple[float, float],
    points: Sequence[tuple[float, float]],
    labels: Sequence[tuple[float, float]],
) -> tuple[float, float]:
    """The nearest place around a point where its number hides no point and no number."""
    x, y = point
    for distance in _DISTANCES:
        for right, down in _DIRECTIONS:
            place = (x + right * distance, y + down * distance)
            inside = (
                chart.left + 6 < place[0] < chart.right - 4
                and chart.top + 4 < place[1] < chart.bottom - 6
            )
            near = any(
                abs(place[0] - other[0]) < _NEAR and abs(place[1] - other[1]) < _NEAR - 2
                for other in (*labels, *(p for p in points if p != point))
            )
            if inside and not near:
                return place
    return (x + _DISTANCES[0], y - _DISTANCES[0])
