"""What follows from a configuration: ``resolve``. Keras is loaded only to look up a layer."""

from __future__ import annotations

import os
from typing import Any

from ..config.schema import Config
from ..distribution import MULTI_WORKER
from ..network.backbones import build_base, get_backbone
from ..network.model import fine_tune_index
from ..network.warm_start import resolve_start
from ..network.weights import check_weights


def resolve(config: Config) -> Config:
    """Fill in what follows: input size, index of ``fine_tune_at``, absolute paths.

    Raises:
        UsageError: Unknown backbone, no such weights file or layer.
    """
    backbone = get_backbone(config.model.backbone)
    if config.model.from_run is None:
        check_weights(config.model.weights)
    else:
        config = resolve_start(config)
    update: dict[str, Any] = {}
    if os.path.isfile(config.model.weights):
        update["weights"] = os.path.abspath(config.model.weights)
    at = config.model.fine_tune_at
    if at is None and not config.from_scratch:
        update["fine_tune_at"] = backbone.fine_tune_at
    elif isinstance(at, (float, str)) and config.strategy != MULTI_WORKER:
        # Whose processes connect before Keras builds anything; the network finds its layer then.
        update["fine_tune_at"] = fine_tune_index(build_base(backbone, 32), at)
    evaluation = config.evaluation
    if evaluation.out_of_fold is not None:
        file = os.path.abspath(evaluation.out_of_fold)
        evaluation = evaluation.model_copy(update={"out_of_fold": file})
    image = config.image.model_copy(update={"size": config.image.size or backbone.size})
    model = config.model.model_copy(update=update)
    return config.model_copy(update={"image": image, "model": model, "evaluation": evaluation})
