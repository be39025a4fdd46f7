"""The messages that Triton and TensorFlow Serving read, for protobuf's own strict text parser.

Names, numbers and types are those of ``model_config.proto`` (Triton) and
``model_server_config.proto`` (TensorFlow Serving), without the fields of messages that no test
needs; a field that is not here is an error of the parser.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

_TRITON = {
    "DataType": {
        "TYPE_INVALID": 0,
        "TYPE_BOOL": 1,
        "TYPE_UINT8": 2,
        "TYPE_INT8": 6,
        "TYPE_INT32": 8,
        "TYPE_INT64": 9,
        "TYPE_FP16": 10,
        "TYPE_FP32": 11,
    },
    "Format": {"FORMAT_NONE": 0, "FORMAT_NHWC": 1, "FORMAT_NCHW": 2},
    "ModelInput": {
        "name": (1, "string"),
        "data_type": (2, "DataType"),
        "format": (3, "Format"),
        "dims": (4, "int64*"),
        "is_shape_tensor": (6, "bool"),
        "allow_ragged_batch": (7, "bool"),
        "optional": (8, "bool"),
    },
    "ModelOutput": {
        "name": (1, "string"),
        "data_type": (2, "DataType"),
        "dims": (3, "int64*"),
        "label_filename": (4, "string"),
        "is_shape_tensor": (6, "bool"),
    },
    "ModelDynamicBatching": {
        "preferred_batch_size": (1, "int32*"),
        "max_queue_delay_microseconds": (2, "uint64"),
        "preserve_ordering": (3, "bool"),
        "priority_levels": (4, "uint64"),
        "default_priority_level": (5, "uint64"),
    },
    "ModelConfig": {
        "name": (1, "string"),
        "platform": (2, "string"),
        "max_batch_size": (4, "int32"),
        "input": (5, "ModelInput*"),
        "output": (6, "ModelOutput*"),
        "default_model_filename": (8, "string"),
        "dynamic_batching": (11, "ModelDynamicBatching"),
        "backend": (17, "string"),
        "runtime": (25, "string"),
    },
}

_TF_SERVING = {
    "ModelConfig": {
        "name": (1, "string"),
        "base_path": (2, "string"),
        "model_platform": (4, "string"),
    },
    "ModelConfigList": {"config": (1, "ModelConfig*")},
    "ModelServerConfig": {"model_config_list": (1, "ModelConfigList")},
}


def _pool(package: str, schema: dict[str, dict[str, Any]]) -> descriptor_pool.DescriptorPool:
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto", package=package, syntax="proto3"
    )
    enums = {name for name, rows in schema.items() if isinstance(next(iter(rows.values())), int)}
    for name, rows in schema.items():
        if name in enums:
            enum = file.enum_type.add(name=name)
            for key, number in rows.items():
                enum.value.add(name=key, number=number)
            continue
        message = file.message_type.add(name=name)
        for key, (number, kind) in rows.items():
            label = field.LABEL_REPEATED if kind.endswith("*") else field.LABEL_OPTIONAL
            added = message.field.add(name=key, number=number, label=label)
            kind = kind.rstrip("*")
            if kind in schema:
                added.type = field.TYPE_ENUM if kind in enums else field.TYPE_MESSAGE
                added.type_name = f".{package}.{kind}"
            else:
                added.type = field.Type.Value(f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


def _parse(package: str, schema: dict[str, dict[str, Any]], name: str, text: str) -> Any:
    pool = _pool(package, schema)
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
    return text_format.Parse(text, kind(), descriptor_pool=pool)


def parse_triton(text: str) -> Any:
    """``config.pbtxt`` as ``inference.ModelConfig``; raises ParseError at anything unknown."""
    return _parse("inference", _TRITON, "ModelConfig", text)


def parse_tf_serving(text: str) -> Any:
    """``models.config`` as ``tensorflow.serving.ModelServerConfig``."""
    return _parse("tensorflow.serving", _TF_SERVING, "ModelServerConfig", text)
