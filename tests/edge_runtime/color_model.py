"""A classifier whose answers are known: it names the strongest of red, green and blue.

Its logits are the mean of each colour over the picture, divided by 16, so a pure red photo
scores red at softmax([255/16, 0, 0]), and Grad-CAM of red is the red channel itself.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from edge_runtime import rundir
from edge_runtime.files import sha256_tree, size_of
from edge_runtime.manifest import (
    EMBEDDED_NAME,
    MANIFEST_NAME,
    Artifact,
    Manifest,
    ModelInfo,
    PreprocessSpec,
    artifact_name,
)

SIDE = 32
COLORS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
INFO = ModelInfo(tuple(COLORS), PreprocessSpec(SIDE, SIDE))


@dataclass(frozen=True)
class ColorModels:
    """The same classifier in every form; read-only, copy before changing."""

    run: Path
    saved_model: Path
    tflite: Path
    tflite_int8: Path
    onnx: Path
    bundle: Path


def paint(file: Path, color: tuple[int, int, int], size: tuple[int, int] = (48, 40)) -> Path:
    """Write a photo of one colour."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(file)
    return file


def embed(file: Path, info: ModelInfo) -> None:
    """Append the description to a .tflite, as edge-export does."""
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(EMBEDDED_NAME, info.to_json())


def build(root: Path) -> ColorModels:
    """Write the classifier in every form below a folder."""
    model = _keras_model()
    run = root / "run"
    run.mkdir(parents=True)
    model.save(run / rundir.MODEL)
    rundir.write_info(run, INFO)
    rundir.write_split(run, [])
    rundir.write_json(run / rundir.METRICS, {"val": None, "test": None})
    (run / rundir.CONFIG).write_text("{}\n")
    saved = _saved_model(model, root / "saved")
    bundle = root / "bundle"
    bundle.mkdir()
    tflite = bundle / artifact_name("tflite-fp32")
    tflite_int8 = bundle / artifact_name("tflite-int8")
    onnx = bundle / artifact_name("onnx-fp32")
    _convert(model, saved, tflite, tflite_int8, onnx)
    files = {"tflite-fp32": tflite, "tflite-int8": tflite_int8, "onnx-fp32": onnx}
    write_manifest(bundle, files)
    return ColorModels(run, saved, tflite, tflite_int8, onnx, bundle)


def write_manifest(bundle: Path, files: dict[str, Path], default: str = "tflite-fp32") -> None:
    """List files in a manifest with their true sizes and checksums."""
    artifacts = tuple(
        Artifact(fmt, file.name, size_of(file), sha256_tree(file), "as named", passed=True)
        for fmt, file in files.items()
    )
    (bundle / MANIFEST_NAME).write_text(Manifest(INFO, artifacts, default).to_json())


def edit_manifest(bundle: Path, **changes: object) -> None:
    """Change top-level keys of manifest.json; a callable gets the old value."""
    file = bundle / MANIFEST_NAME
    data = json.loads(file.read_text())
    for key, change in changes.items():
        data[key] = change(data[key]) if callable(change) else change
    file.write_text(json.dumps(data))


def _keras_model():
    from edge_runtime.backends.full_model import import_keras

    keras = import_keras()
    image = keras.Input((SIDE, SIDE, 3), name="image")
    features = keras.layers.Conv2D(3, 1, use_bias=False, name="features")(image)
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(features)
    logits = keras.layers.Dense(3, name="logits")(pooled)
    model = keras.Model(image, keras.layers.Activation("softmax", name="probabilities")(logits))
    model.get_layer("features").set_weights([np.eye(3, dtype=np.float32)[None, None]])
    model.get_layer("logits").set_weights([np.eye(3, dtype=np.float32) / 16, np.zeros(3)])
    return model


def _saved_model(model, folder: Path) -> Path:
    from edge_runtime.backends.full_model import import_tensorflow
    from edge_runtime.gradcam import gradcam_function

    tf = import_tensorflow()
    module = tf.Module()
    module.model = model
    spec = tf.TensorSpec((1, SIDE, SIDE, 3), tf.float32, name="image")
    module.serve = tf.function(
        lambda image: {"probabilities": model(image)}, input_signature=[spec]
    )
    module.gradcam = gradcam_function(model)
    signatures = {"serve": module.serve, "gradcam": module.gradcam}
    tf.saved_model.save(module, str(folder), signatures=signatures)
    extra = folder / "assets.extra"
    extra.mkdir()
    (extra / EMBEDDED_NAME).write_text(INFO.to_json())
    return folder


def _convert(model, saved_model: Path, tflite: Path, tflite_int8: Path, onnx: Path) -> None:
    import onnx as onnx_package
    import tf2onnx

    from edge_runtime.backends.full_model import import_tensorflow

    tf = import_tensorflow()
    spec = tf.TensorSpec((1, SIDE, SIDE, 3), tf.float32, name="image")
    serve = tf.function(lambda image: {"probabilities": model(image)}, input_signature=[spec])

    def converter():
        return tf.lite.TFLiteConverter.from_keras_model(model)

    tflite.write_bytes(converter().convert())
    quantizer = converter()
    quantizer.optimizations = [tf.lite.Optimize.DEFAULT]
    ramp = np.linspace(0, 255, SIDE * SIDE * 3, dtype=np.float32).reshape(1, SIDE, SIDE, 3)
    pure = [np.full((1, SIDE, SIDE, 3), color, np.float32) for color in COLORS.values()]
    quantizer.representative_dataset = lambda: ([picture] for picture in [ramp, *pure])
    quantizer.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    quantizer.inference_input_type = quantizer.inference_output_type = tf.uint8
    tflite_int8.write_bytes(quantizer.convert())
    for file in (tflite, tflite_int8):
        embed(file, INFO)
    proto, _ = tf2onnx.convert.from_function(serve, input_signature=[spec], opset=17)
    entry = proto.metadata_props.add()
    entry.key, entry.value = "edge_classify", INFO.to_json()
    onnx_package.save(proto, onnx)
