"""MediaPipe Tasks' ImageClassifier; the labels are inside the file."""

import json
import sys
import time

import mediapipe as mp

model, labels, threads, *photos = sys.argv[1:]
options = mp.tasks.vision.ImageClassifierOptions(
    base_options=mp.tasks.BaseOptions(model_asset_path=model), max_results=5
)
with mp.tasks.vision.ImageClassifier.create_from_options(options) as classifier:
    for photo in photos:
        answer = classifier.classify(mp.Image.create_from_file(photo))
        label = answer.classifications[0].categories[0].category_name
        print(json.dumps({"label": label, "done": time.perf_counter()}))
