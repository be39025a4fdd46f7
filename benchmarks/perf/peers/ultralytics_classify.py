"""Ultralytics' classify task: YOLO11n-cls with fresh weights, whose answers mean nothing.

Its weights are downloaded from a code host, which a measurement should not depend on; the time that a
photo takes does not depend on them. 0.5 GFLOPs at 224 pixels, EfficientNetB0 has 0.8.
"""

import json
import sys
import time

import torch
from ultralytics import YOLO

model, labels, threads, *photos = sys.argv[1:]
torch.set_num_threads(int(threads))
network = YOLO("yolo11n-cls.yaml", task="classify")
for photo in photos:
    answer = network.predict(photo, imgsz=224, device="cpu", verbose=False)[0]
    label = answer.names[int(answer.probs.top1)]
    print(json.dumps({"label": str(label), "done": time.perf_counter()}))
