"""Metadata inside ONNX files: ``metadata_props`` and the fields of the standard.

https://github.com/onnx/onnx/blob/main/docs/MetadataProps.md. Beside the toolkit's own description
stand the keys by which readers of Ultralytics' files (and programs that follow them) find the class
names and the input size: https://docs.ultralytics.com/modes/export/
"""

from __future__ import annotations

import json
from typing import Any

from edge_runtime import __version__
from edge_runtime.backends.onnx import METADATA_KEY
from edge_runtime.manifest import ModelInfo

from ..formats.onnx_graph import import_onnx
from .words import author, description, output_description


def describe_onnx(model: bytes, info: ModelInfo, name: str) -> bytes:
    """Add labels and description to an ONNX file.

    Args:
        model: The plain file.
        info: Its description.
        name: Name of the model, for people.

    Returns:
        The file with its description, the same bytes for the same arguments.
    """
    proto = import_onnx().load_model_from_string(model)
    proto.producer_name = "edge-classify"
    proto.producer_version = __version__
    proto.doc_string = f"{description(info)} {output_description(info)}"
    proto.graph.name = name
    del proto.metadata_props[:]
    for key, value in _properties(info, _batch(proto)).items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value
    described: bytes = proto.SerializeToString(deterministic=True)
    return described


def _properties(info: ModelInfo, batch: int | None) -> dict[str, str]:
    spec, about = info.preprocess, info.about
    found = {
        METADATA_KEY: info.to_json(),
        "class_names": json.dumps(list(info.class_names), ensure_ascii=False),
        # A Python literal with integer keys, which JSON does not have.
        "names": repr(dict(enumerate(info.class_names))),
        "task": "classify",
        "imgsz": repr([spec.height, spec.width]),
        "batch": str(batch or 1),
        "dynamic": str(batch is None),
        "author": author(),
        "description": description(info),
        "version": str(about.get("run") or __version__),
        "license": str(about.get("license") or ""),
    }
    return {key: value for key, value in found.items() if value}


def _batch(proto: Any) -> int | None:
    size = proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value
    return int(size) or None
