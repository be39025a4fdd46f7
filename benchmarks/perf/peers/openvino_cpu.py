"""OpenVINO on the CPU with an ONNX file that takes uint8 NHWC values as float32."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import openvino as ov
from PIL import Image, ImageOps

model, labels, threads, *photos = sys.argv[1:]
names = Path(labels).read_text(encoding="utf-8").splitlines()
core = ov.Core()
settings = {"INFERENCE_NUM_THREADS": int(threads), "PERFORMANCE_HINT": "LATENCY"}
compiled = core.compile_model(core.read_model(model), "CPU", settings)
output = compiled.output("probabilities")
for photo in photos:
    image = ImageOps.fit(ImageOps.exif_transpose(Image.open(photo)).convert("RGB"), (224, 224))
    scores = compiled(np.asarray(image)[None].astype(np.float32))[output][0]
    print(json.dumps({"label": names[int(scores.argmax())], "done": time.perf_counter()}))
