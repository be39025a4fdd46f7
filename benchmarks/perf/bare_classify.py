"""The script that one writes by hand for a Pi; startup.py compares edge-classify with it.

``python bare_classify.py MODEL.tflite labels.txt THREADS PHOTO``: numpy, Pillow and LiteRT, nothing
else; the same decoding, centre crop and kernel as the toolkit's default.
"""

import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

model, labels, threads, photo = sys.argv[1:]
interpreter = Interpreter(model_path=model, num_threads=int(threads))
interpreter.allocate_tensors()
source = interpreter.get_input_details()[0]
sink = interpreter.get_output_details()[0]
_, height, width, _ = source["shape"]
opened = Image.open(photo)
opened.draft("RGB", (2 * int(width), 2 * int(height)))
upright = ImageOps.exif_transpose(opened).convert("RGB")
image = ImageOps.fit(upright, (int(width), int(height)), Image.Resampling.BILINEAR)
interpreter.set_tensor(source["index"], np.asarray(image)[None].astype(source["dtype"]))
interpreter.invoke()
scores = interpreter.get_tensor(sink["index"])[0]
best = int(scores.argmax())
with open(labels, encoding="utf-8") as stream:
    names = stream.read().splitlines()
sys.stdout.write(f"{names[best]} {scores[best]}\n")
