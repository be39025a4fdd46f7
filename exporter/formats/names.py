"""Names of tensors in the exported files."""

from __future__ import annotations

#: The pixels, in every format.
INPUT_NAME = "image"

#: Second output of ONNX files: the heat maps of all classes.
HEATMAP_NAME = "heatmap"
