"""The report of :mod:`edge_runtime.inspection.model` for people."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from .engines import engine_lines

#: Columns of the names on the left.
_NAMES = 14

#: Columns of a line, and class names that are listed.
_WIDTH, _LISTED = 100, 40

#: What files of edge-export say of their origin, which has lines of its own.
_SHOWN = frozenset({"versions", "run", "license", "format", "quantization", "weights_sha256"})

_FITS = {"crop": "cropped at the centre", "stretch": "stretched", "pad": "padded with black"}

_KINDS = {
    "bundle": "bundle",
    "tflite": "TFLite file",
    "onnx": "ONNX file",
    "keras": "Keras file",
    "saved_model": "SavedModel",
    "run": "run directory",
}


def format_inspection(report: Mapping[str, Any]) -> str:
    """The report as text, a line a fact."""
    lines = [f"{report['path']}: {_KINDS[report['kind']]}"]
    if not report["described"]:
        lines.append(
            "  No description of edge-export inside, so class names and preprocessing are unknown."
        )
    if report["lacking"]:
        # The message begins with the path, which stands in the first line.
        lacking = report["lacking"].removeprefix(f"{report['path']}: ")
        lines += _wrapped(f"  {'lacking':<{_NAMES}}{lacking}")
    for name, text in _description(report):
        lines += _wrapped(f"  {name:<{_NAMES}}{text}")
    if report["kind"] == "bundle":
        lines += ["", "  Files, * is the default", *_artifacts(report["artifacts"])]
        if report["choice"]:
            lines += _wrapped(f"  {'--format auto':<{_NAMES}}{_choice(report['choice'])}")
    lines += ["", f"  {report['file']} ({size_text(report['bytes'])})"]
    for name, text in _tensors(report):
        lines += _wrapped(f"    {name:<{_NAMES - 2}}{text}")
    for name, text in engine_lines(report):
        lines += _wrapped(f"    {name:<{_NAMES - 2}}{text}")
    return "\n".join(lines)


def _choice(choice: Mapping[str, Any]) -> str:
    """What was measured to be best on this board."""
    threads = choice["threads"]
    count = "" if threads is None else f", {threads} thread{'s' * (threads > 1)}"
    return f"{choice['format']}{count} on this board ({choice['date'][:10]}): {choice['reason']}"


def _wrapped(line: str) -> list[str]:
    indent = " " * (_NAMES + 2)
    return textwrap.wrap(
        line, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def size_text(size: int) -> str:
    """Bytes as people read them."""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def _description(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if report["described"]:
        names = report["class_names"]
        more = f", and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        comma = "; " if any(", " in name for name in names) else ", "
        yield "classes", f"{len(names)}: {comma.join(names[:_LISTED])}{more}"
        spec, feed = report["preprocess"], report["input"]
        yield (
            "photo",
            f"{spec['width']} x {spec['height']} pixels {feed['color']}, {_FITS[spec['fit']]}, "
            f"{spec['kernel']}{_values(feed, bool(report['sources']))}",
        )
        yield "output", _output(report["output"])
    sources: Mapping[str, str] = report["sources"] or {}
    for number, (part, source) in enumerate(sources.items()):
        yield "known from" if not number else "", f"{part.replace('_', ' ')}: {source}"
    about = report["about"] or {}
    versions = report.get("versions") or about.get("versions") or {}
    run = (report.get("source") or {}).get("run") or about.get("run")
    if run:
        yield "run", f"{run}{_accuracy(report.get('source') or {})}"
    if about.get("license"):
        yield "licence", str(about["license"])
    if isinstance(versions, Mapping) and versions:
        yield "made with", ", ".join(f"{name} {version}" for name, version in versions.items())
    if about.get("weights_sha256"):
        yield "weights", f"SHA-256 {about['weights_sha256']}"
    for key, value in about.items():
        if key not in _SHOWN:
            yield key, f" {value}" if len(key) >= _NAMES else str(value)
    photos = (report.get("calibration") or {}).get("n")
    if photos:
        yield "calibrated", f"on {photos} training photos"


def _values(feed: Mapping[str, Any], of_others: bool) -> str:
    """What becomes of the pixel values."""
    mean, std = (
        f"{numbers[0]:g}" if len(numbers) == 1 else f"({', '.join(f'{n:g}' for n in numbers)})"
        for numbers in (feed["mean"], feed["std"])
    )
    layout = f"; {feed['layout']}" if of_others or feed["layout"] != "NHWC" else ""
    if mean == "0" and std == "1":
        return f"{layout}; values 0 to 255, normalised inside the network"
    low = min((0 - m) / s for m, s in _pairs(feed))
    high = max((255 - m) / s for m, s in _pairs(feed))
    return f"{layout}; values (pixel - {mean}) / {std}, which is {low:.4g} to {high:.4g}"


def _pairs(feed: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Mean and std of each channel."""
    longest = max(len(feed["mean"]), len(feed["std"]))
    sides = [feed[key] * (longest if len(feed[key]) == 1 else 1) for key in ("mean", "std")]
    return list(zip(*sides, strict=True))


def _output(output: Mapping[str, Any]) -> str:
    parts = [str(output["kind"])]
    temperature, threshold = output["temperature"], output["unknown_threshold"]
    parts.append("no temperature" if temperature is None else f"temperature {temperature:.4g}")
    parts.append(
        'no "unknown" threshold' if threshold is None else f'"unknown" below {threshold:.4g}'
    )
    return ", ".join(parts)


def _accuracy(source: Mapping[str, Any]) -> str:
    metrics = source.get("metrics") or {}
    found = [
        f"{part} accuracy {figures['accuracy']:.1%}"
        for part in ("val", "test")
        if isinstance(figures := metrics.get(part), Mapping) and "accuracy" in figures
    ]
    return f" ({', '.join(found)})" if found else ""


def _artifacts(artifacts: list[dict[str, Any]]) -> Iterator[str]:
    header = ("  format", "size", "max diff", "agreement", "accuracy", "parity", "quantisation")
    rows = [header]
    for entry in artifacts:
        figures = entry["parity"]
        rows.append(
            (
                f"{'*' if entry['default'] else ' '} {entry['format']}",
                size_text(entry["bytes"]),
                _figure(figures.get("max_abs_diff"), ".1e"),
                _figure(figures.get("agreement"), ".1%"),
                _figure(figures.get("accuracy"), ".1%"),
                "ok" if entry["passed"] else "poor",
                entry["quantization"],
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(header) - 1)]
    entries: list[dict[str, Any] | None] = [None, *artifacts]
    for row, below in zip(rows, entries, strict=True):
        *cells, last = row
        aligned = [cells[0].ljust(widths[0])]
        aligned += [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        yield f"    {'  '.join([*aligned, last])}".rstrip()
        if below is not None and below["recipe"]:
            yield f"        recipe: {_recipe(below['recipe'])}"


def _recipe(recipe: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {len(value) if isinstance(value, (list, dict)) else value}"
        for key, value in recipe.items()
    )


def _figure(value: Any, form: str) -> str:
    return format(value, form) if isinstance(value, (int, float)) else "-"


def _tensors(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    scheme = f", {report['quantization']}" if report["quantization"] else ""
    if report["format"]:
        yield "format", f"{report['format']}{scheme}"
    if report["note"]:
        yield "tensors", f"not shown: {report['note']}"
    for side in ("inputs", "outputs"):
        for tensor in report[side] or ():
            yield side[:-1], _tensor(tensor)
    if report["weights"]:
        found = (f"{kind} {size_text(size)}" for kind, size in report["weights"].items())
        yield "weights", ", ".join(found)
    if report["activations"]:
        found = (f"{count} {kind}" for kind, count in report["activations"].items())
        yield "activations", f"{', '.join(found)} tensors"
    if report["heatmap"]:
        named = {key: name for key, name in report["heatmap"].items() if name}
        for number, (key, name) in enumerate(named.items()):
            yield "heat map" if not number else "", f"{key} {name}"
    elif report["kind"] in ("run", "keras") or report["format"] == "saved_model":
        yield "heat map", "with edge-classify gradcam"
    else:
        yield "heat map", report["no_heatmap"] or "none"
    if report["attached"]:
        yield "inside", ", ".join(report["attached"])


def _tensor(tensor: Mapping[str, Any]) -> str:
    shape = ", ".join("any" if n is None else str(n) for n in tensor["shape"])
    text = f"{tensor['name']}  {tensor['dtype']} ({shape})"
    if tensor["scale"] is not None:
        text += f", scale {tensor['scale']:.6g}, zero point {tensor['zero_point']}"
    return text
