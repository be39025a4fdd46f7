"""The end of a training: figures, thresholds, predictions and the page of a run."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime import rundir
from edge_runtime.confidence import unknown_threshold
from edge_runtime.errors import DataError, UsageError
from edge_runtime.manifest import ModelInfo, OutputSpec

from ..config.io import dump_config
from ..config.schema import Config, EvaluationConfig
from ..report.html import Report, write_report
from ..report.photos import photo_cards
from ..report.plots import plot_confusion
from .answers import predict
from .calibration import (
    apply_thresholds,
    class_thresholds,
    fit_temperature,
    known_answers,
    scaled,
)
from .class_maps import class_maps
from .evaluate import part_metrics, shown_suspects
from .label_errors import Suspect, describe_suspects, find_suspects
from .metrics import check_answers
from .notable import confident_mistakes, describe_photos, doubtful_hits
from .predictions import Predictions, join, read_out_of_fold, write_predictions

_log = logging.getLogger("trainer")

if TYPE_CHECKING:
    from ..data.pixels import Photos

#: With fewer validation photos than this, 5 % of the right answers is not even a few photos.
_FEW = 100


def finish_evaluation(
    folder: Path,
    model: Any,
    parts: Mapping[str, Photos],
    info: ModelInfo,
    config: Config,
    history: Sequence[Mapping[str, Any]],
    left_out: Sequence[Mapping[str, str]],
    environment: Mapping[str, Any],
    title: str | None = None,
    batch_size: int = 32,
) -> tuple[ModelInfo, dict[str, Any]]:
    """Evaluate a trained network and write what a person looks at.

    Writes ``predictions.csv``, ``confusion_matrix.png`` and ``report.html``; the caller writes
    ``preprocess.json`` and, last, ``metrics.json`` from what this returns.

    Args:
        folder: Run directory.
        model: The trained ``keras.Model``, from pixels to probabilities.
        parts: Decoded photos by part: ``train``, ``val`` and, if there is one, ``test``.
        info: Class names and preprocessing.
        config: The configuration.
        history: Rows of ``history.csv``.
        left_out: Each photo that the training does without: ``part``, ``path``, ``error`` and
            ``kind``, ``unreadable``, ``leakage`` (the same file is in a part that measures) or
            ``contradiction`` (it is in another class).
        environment: Versions, machine and whatever else the page should list.
        title: Heading of the page; None for the folder's name.
        batch_size: Photos at once.

    Returns:
        The description with temperature and "unknown" threshold, and the contents of
        ``metrics.json``: ``val``, ``test`` and ``train`` (None where there is none) as
        :func:`trainer.evaluation.evaluate.part_metrics` gives them, ``temperature``, ``unknown``,
        ``class_thresholds``, ``confident_mistakes`` and ``doubtful_hits`` among the test and
        validation photos (as many as the page shows), and ``label_errors``.

    Raises:
        ModelError: The network answers with values that are not numbers.
        MissingComponent: A package of the extra ``train`` is missing.
    """
    settings = config.evaluation
    answers = {
        part: answer_part(model, parts[part], info, part, batch_size)
        for part in ("val", "test", "train")
        if part in parts and len(parts[part].labels) and (part != "train" or settings.train_photos)
    }
    fitted = decide(answers, settings)
    output = OutputSpec(
        info.output.kind, fitted["temperature"]["value"], fitted["unknown"]["threshold"]
    )
    info = replace(info, output=output)
    metrics: dict[str, Any] = {
        part: part_metrics(answers[part], output.temperature) if part in answers else None
        for part in ("val", "test", "train")
    }
    suspects = suspected_label_errors(answers, _out_of_fold(settings, info))
    shown = settings.shown_photos
    held_out = join([answers[part] for part in ("test", "val") if part in answers])
    mistakes, hits = confident_mistakes(held_out, shown), doubtful_hits(held_out, shown)
    metrics |= {
        **fitted,
        "confident_mistakes": describe_photos(held_out, mistakes),
        "doubtful_hits": describe_photos(held_out, hits),
        "label_errors": describe_suspects(suspects),
    }
    main = "test" if "test" in answers else "val"
    write_predictions(join(list(answers.values())), folder / rundir.PREDICTIONS, output.temperature)
    matrix = metrics[main]["confusion_matrix"]
    plot_confusion(matrix, info.class_names, folder / rundir.CONFUSION_PLOT)
    maps = class_maps(model)
    page = Report(
        title=title or folder.name,
        subtitle=(
            f"{config.model.backbone} at {info.preprocess.width} pixels, "
            f"{len(info.class_names)} classes, {len(parts['train'].labels)} training photos"
        ),
        class_names=info.class_names,
        parts={p: metrics[p] for p in dict.fromkeys((main, "val", "train")) if p in answers},
        temperature=fitted["temperature"],
        unknown=fitted["unknown"],
        class_thresholds=fitted["class_thresholds"],
        mistakes=photo_cards(held_out, mistakes, info, maps),
        hits=photo_cards(held_out, hits, info, maps),
        **shown_suspects(suspects, shown),
        history=history,
        counts=_counts(parts, info),
        left_out=left_out,
        notes=_notes(fitted, len(parts["val"].labels)),
        texts={
            "Configuration": dump_config(config),
            "Environment": json.dumps(environment, indent=2, ensure_ascii=False, default=str),
        },
    )
    write_report(page, folder / rundir.REPORT)
    return info, metrics


def answer_part(
    model: Any, photos: Photos, info: ModelInfo, part: str, batch_size: int = 32
) -> Predictions:
    """The network's answers for a decoded part, with absolute paths."""
    return Predictions(
        info.class_names,
        [os.path.abspath(sample.path) for sample in photos.samples],
        [part] * len(photos.samples),
        photos.labels,
        predict(model, photos.images, batch_size),
    )


def decide(answers: Mapping[str, Predictions], settings: EvaluationConfig) -> dict[str, Any]:
    """Fit temperature and thresholds on the validation photos, and say what they do elsewhere.

    Args:
        answers: By part; ``val`` must be there.
        settings: Shares and precisions.

    Returns:
        - ``temperature``: of :func:`trainer.evaluation.calibration.fit_temperature`;
        - ``unknown``: ``threshold`` (calibrated score; None where no answer is right), ``share``,
          ``rule`` (for people) and ``parts``: by part, of
          :func:`trainer.evaluation.calibration.known_answers`;
        - ``class_thresholds``: ``precision`` and ``parts``: by part, rows of
          :func:`trainer.evaluation.calibration.class_thresholds` with the thresholds of ``val``.

    Raises:
        ModelError: The network answers with values that are not numbers.
    """
    val = answers["val"]
    check_answers(val.probabilities)
    temperature = fit_temperature(val.labels, val.probabilities)
    surer = {
        part: scaled(some.probabilities, temperature["value"])
        for part, some in answers.items()
        if part != "train"
    }
    threshold = unknown_threshold(val.labels, surer["val"], settings.unknown_share)
    own = class_thresholds(val.labels, surer["val"], val.class_names, settings.precision)
    unknown: dict[str, Any] = {
        "threshold": threshold,
        "share": settings.unknown_share,
        "rule": (
            f"It is the largest threshold that loses at most {settings.unknown_share:.0%} of the "
            "right answers on the validation photos."
        ),
        "parts": {},
    }
    by_part: dict[str, Any] = {}
    for part, scores in surer.items():
        labels = answers[part].labels
        if threshold is not None:
            unknown["parts"][part] = known_answers(labels, scores, threshold)
        by_part[part] = apply_thresholds(labels, scores, val.class_names, own)
    return {
        "temperature": temperature,
        "unknown": unknown,
        "class_thresholds": {"precision": settings.precision, "parts": by_part},
    }


def suspected_label_errors(
    answers: Mapping[str, Predictions], out_of_fold: Predictions | None = None
) -> list[Suspect]:
    """Suspects among all photos.

    Args:
        answers: By part.
        out_of_fold: Predictions by networks that had not seen the photos; used alone where given.

    Returns:
        Those of photos that the network had not learned, then those of the training photos, which
        it disagrees with although it learned their labels.
    """
    if out_of_fold is not None:
        return find_suspects(out_of_fold)
    fresh = [some for part, some in answers.items() if part != "train"]
    found = find_suspects(join(fresh)) if fresh else []
    if "train" in answers:
        found += find_suspects(answers["train"], learned=True)
    return found


def _out_of_fold(settings: EvaluationConfig, info: ModelInfo) -> Predictions | None:
    """What networks that had not seen the photos said; None where nothing (any more) tells it."""
    if settings.out_of_fold is None:
        return None
    try:
        return read_out_of_fold(settings.out_of_fold, info.class_names)
    except (UsageError, DataError) as error:  # it was there when the training began
        _log.warning(
            "%s Suspected label errors are looked for in this network's own answers.", error
        )
        return None


def _counts(parts: Mapping[str, Photos], info: ModelInfo) -> dict[str, dict[str, int]]:
    return {
        name: {part: int((photos.labels == index).sum()) for part, photos in parts.items()}
        for index, name in enumerate(info.class_names)
    }


def _notes(fitted: Mapping[str, Any], validated: int) -> list[str]:
    if validated >= _FEW:
        return []
    return [
        f"Only {validated} validation photos: temperature and thresholds are rough. "
        f"With fewer than {_FEW} a single photo moves them."
    ]
