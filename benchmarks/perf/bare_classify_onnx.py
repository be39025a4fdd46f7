"""The script that one writes by hand for a Pi, with onnxruntime; see bare_classify.py.

``python bare_classify_onnx.py MODEL.onnx labels.txt THREADS PHOTO``.
"""

import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

model, labels, threads, photo = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(threads)
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
source = session.get_inputs()[0]
_, height, width, _ = source.shape
opened = Image.open(photo)
opened.draft("RGB", (2 * width, 2 * height))
upright = ImageOps.exif_transpose(opened).convert("RGB")
image = ImageOps.fit(upright, (width, height), Image.Resampling.BILINEAR)
tensor = np.asarray(image)[None].astype(np.float32)
scores = session.run([session.get_outputs()[0].name], {source.name: tensor})[0][0]
best = int(scores.argmax())
with open(labels, encoding="utf-8") as stream:
    names = stream.read().splitlines()
sys.stdout.write(f"{names[best]} {scores[best]}\n")
