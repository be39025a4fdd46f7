"""OpenCV's DNN module with an ONNX file that takes uint8 NHWC values as float32."""

import json
import sys
import time
from pathlib import Path

import cv2
import numpy as np

model, labels, threads, *photos = sys.argv[1:]
cv2.setNumThreads(int(threads))
names = Path(labels).read_text(encoding="utf-8").splitlines()
network = cv2.dnn.readNetFromONNX(model)
for photo in photos:
    pixels = cv2.cvtColor(cv2.imread(photo), cv2.COLOR_BGR2RGB)
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    pixels = cv2.resize(pixels[top : top + side, left : left + side], (224, 224))
    network.setInput(pixels[None].astype(np.float32))
    scores = network.forward("probabilities")[0]
    print(json.dumps({"label": names[int(scores.argmax())], "done": time.perf_counter()}))
