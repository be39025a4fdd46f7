"""The way from a photo's file to an answer, stage by stage."""

from __future__ import annotations

import time

from edge_runtime.classifier import Classifier
from edge_runtime.prediction import predict
from edge_runtime.preprocess import fit, upright

from .timing import to_ms

#: Classes listed in an answer, as ``edge-classify image`` does by default.
_TOP = 5


def time_stages(classifier: Classifier, photo: str) -> list[float]:
    """Classify one photo on one thread.

    Args:
        classifier: The loaded model.
        photo: Path of a photo that can be read.

    Returns:
        Milliseconds: all of it; read and decode; resize and make the tensor; infer; make the answer.
    """
    clock, backend, info = time.perf_counter_ns, classifier.backend, classifier.info
    start = clock()
    region = upright(photo, info.preprocess)
    read = clock()
    tensor = backend.prepare(fit(region, info.preprocess))
    ready = clock()
    raw = backend.infer(tensor)
    inferred = clock()
    predict(photo, raw, None, info, backend.step, _TOP, 0.0, 0.0)
    end = clock()
    times = (end - start, read - start, ready - read, inferred - ready, end - inferred)
    return [to_ms(each) for each in times]
