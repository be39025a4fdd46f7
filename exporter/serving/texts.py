"""What stands beside the models: TensorFlow Serving's list of them, and how to start each server."""

from __future__ import annotations

from collections.abc import Sequence

from edge_runtime.manifest import LABELS_NAME, ModelInfo

#: Where the containers of both servers find the models.
_MOUNTED = "/models"

CONFIG_FILE = "models.config"


def models_config(names: Sequence[str]) -> str:
    """``--model_config_file`` of TensorFlow Serving.

    Message ``tensorflow.serving.ModelServerConfig`` in text form, see
    https://www.tensorflow.org/tfx/serving/serving_config.

    Args:
        names: Of the models; each lies in a folder of its name.
    """
    lines = ["model_config_list {"]
    for name in names:
        lines += [
            "  config {",
            f'    name: "{name}"',
            f'    base_path: "{_MOUNTED}/{name}"',
            '    model_platform: "tensorflow"',
            "  }",
        ]
    return "\n".join([*lines, "}"]) + "\n"


def readme(info: ModelInfo, triton: Sequence[str], tf_serving: Sequence[str]) -> str:
    """``README.txt``: the commands, and what the servers want to be sent.

    Args:
        info: Preprocessing, and the kind of the scores.
        triton: Names of the models for Triton.
        tf_serving: Of those for TensorFlow Serving.
    """
    spec, kind = info.preprocess, info.output.kind
    shape = f"{spec.height} x {spec.width} x 3"
    parts = [
        f"""\
Every model takes `image`: float32, n x {shape}, RGB, 0 to 255, for any n, and gives
`{kind}`: float32, n x {len(info.class_names)}, in the order of {LABELS_NAME}. A photo is turned as its EXIF
data says and resized (fit {spec.fit}, kernel {spec.kernel}); edge_runtime does it:

    from edge_runtime import Bundle
    from edge_runtime.preprocess import preprocess
    image = preprocess("photo.jpg", Bundle.open("bundle").manifest.info.preprocess)
    batch = image[None].astype("float32")
"""
    ]
    if triton:
        parts.append(
            f"""\
NVIDIA Triton, in this folder (with --gpus all where there are GPUs; other releases do as well):

    docker run --rm -p 8000:8000 -p 8001:8001 -v "$PWD/triton:{_MOUNTED}:ro" \\
        nvcr.io/nvidia/tritonserver:24.12-py3 tritonserver --model-repository={_MOUNTED}

Models: {", ".join(triton)}
    curl http://localhost:8000/v2/models/{triton[0]}/config
"""
        )
    if tf_serving:
        parts.append(
            f"""\
TensorFlow Serving, in this folder:

    docker run --rm -p 8500:8500 -p 8501:8501 -v "$PWD/tf_serving:{_MOUNTED}:ro" \\
        tensorflow/serving --model_config_file={_MOUNTED}/{CONFIG_FILE}

Models: {", ".join(tf_serving)}; signatures serving_default, serve (the same) and gradcam
    curl http://localhost:8501/v1/models/{tf_serving[0]}/metadata
"""
        )
    return "\n".join(parts)
