"""Where each converted file keeps what a heat map is made of."""

from __future__ import annotations

from pathlib import Path

from edge_runtime.manifest import FORMAT_SUFFIXES, HeatmapSpec

from .formats.names import HEATMAP_NAME


def heatmap_spec(fmt: str, plain: Path, has_head: bool) -> HeatmapSpec | None:
    """What a file's description says about its heat map.

    Args:
        fmt: Its format.
        plain: The file as converted.
        has_head: Whether the network ends in global average pooling and a linear layer.

    Returns:
        None where the file gives none; a SavedModel has a signature of its own for it.
    """
    suffix = FORMAT_SUFFIXES[fmt]
    if not has_head:
        return None
    if suffix == ".onnx":
        return HeatmapSpec(output=HEATMAP_NAME)
    if suffix == ".tflite":
        from edge_runtime.backends.tflite_head import find_heatmap

        return find_heatmap(plain.read_bytes(), plain.name)
    return None
