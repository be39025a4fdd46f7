"""How far a photo is from those that a network was trained on, by the features in front of its head.

A bundle may hold the mean of each class's pooled feature vectors, of length one, and for each model
file the distance that its own validation photos stay within. A photo's distance is one minus the
cosine of the angle between its vector and the nearest mean. Lee et al. 2018 measure by Mahalanobis,
Sun et al. 2022 by the nearest neighbours; on an EfficientNetV2B0 with 200 training photos, the
frames of another camera and scene were told from photos of the test part at least as well by this
(area under the ROC curve 1.000; Mahalanobis with a shared covariance 0.999, single channels 0.994),
and a class costs 2.5 kB.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import BundleError
from .manifest import FEATURES_NAME, check_inside

if TYPE_CHECKING:
    from .bundle import Bundle

#: Version of the block in the manifest; a reader leaves a larger one aside.
VERSION = 1

#: Bytes that it may have: ten thousand classes of 2,048 channels are 41 MB.
_MAX_BYTES = 64 << 20

#: Share of the validation photos that lies within the distance of a file.
WITHIN = 0.99


@dataclass(frozen=True)
class TrainingFeatures:
    """What a bundle says of the features of its training photos.

    Attributes:
        means: float32 (classes, k), of length one.
        threshold: Distance above which a photo is far from them, for one model file.
    """

    means: np.ndarray
    threshold: float

    def distance(self, vector: np.ndarray) -> float:
        """Of a pooled feature vector, float (k,), from the nearest mean: 0..2."""
        return float(distances(vector[None], self.means)[0])


def class_means(vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Means of length one.

    Args:
        vectors: float (n, k), pooled features.
        labels: int (n,), class indices; a class without a photo has no mean.

    Returns:
        float32 (classes with a photo, k).
    """
    found = [vectors[labels == index].mean(axis=0) for index in np.unique(labels)]
    return _of_length_one(np.stack(found))


def distances(vectors: np.ndarray, means: np.ndarray) -> np.ndarray:
    """One minus the cosine to the nearest of ``means``, float32 (n,), of float (n, k)."""
    result: np.ndarray = 1 - (_of_length_one(vectors) @ means.T).max(axis=1)
    return result


def threshold_of(found: np.ndarray) -> float:
    """The distance that :data:`WITHIN` of some photos stay within; of few photos the largest."""
    return float(np.quantile(found, WITHIN, method="higher"))


def block(
    means: bytes, thresholds: Mapping[str, float], photos: int, checked: int
) -> dict[str, Any]:
    """The entry ``training_features`` of a manifest.

    Args:
        means: Content of its file, ``.npy`` of float16 (classes, k).
        thresholds: By format.
        photos: How many training photos the means are of.
        checked: How many validation photos the thresholds are of.
    """
    return {
        "version": VERSION,
        "file": FEATURES_NAME,
        "bytes": len(means),
        "sha256": hashlib.sha256(means).hexdigest(),
        "measure": "1 - cosine to the nearest class mean of pooled features",
        "photos": photos,
        "checked": checked,
        "within": WITHIN,
        "thresholds": {fmt: round(value, 6) for fmt, value in thresholds.items()},
    }


def read_training_features(bundle: Bundle, fmt: str) -> TrainingFeatures | None:
    """What a bundle holds for one of its files.

    Args:
        bundle: The bundle.
        fmt: Format of the file.

    Returns:
        None where it holds nothing for it, or in a newer form than this program reads.

    Raises:
        BundleError: The entry or its file is damaged.
    """
    entry = bundle.manifest.training_features
    where = f"{bundle.source}: training_features"
    version = entry.get("version")
    if not isinstance(version, int) or version > VERSION:
        return None
    try:
        threshold = entry["thresholds"].get(fmt)
        if threshold is None:
            return None
        check_inside(entry["file"])
        content = _content(bundle, entry["file"])
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            raise BundleError(f"{where}: {entry['file']} was altered or damaged. Copy it again.")
        means = np.load(io.BytesIO(content), allow_pickle=False).astype(np.float32)
        if means.ndim != 2 or not means.size or not np.isfinite(means).all():
            raise BundleError(f"{where}: expected the mean of each class, found {means.shape}.")
        if not math.isfinite(threshold):
            raise BundleError(f"{where}: the threshold of {fmt} is {threshold!r}.")
    except (KeyError, TypeError, AttributeError, ValueError, EOFError) as error:
        raise BundleError(f"{where}: not readable ({error!r}). Export the run again.") from error
    return TrainingFeatures(_of_length_one(means), float(threshold))


def _content(bundle: Bundle, name: str) -> bytes:
    path = bundle.path / name
    try:
        if not path.resolve().is_relative_to(bundle.path.resolve()):
            raise BundleError(f"{path}: leaves the bundle's folder. Refused.")
        with open(path, "rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}. Copy the bundle again.") from error
    if len(content) > _MAX_BYTES:
        raise BundleError(f"{path}: more than {_MAX_BYTES >> 20} MiB. Refused.")
    return content


def _of_length_one(vectors: np.ndarray) -> np.ndarray:
    wide = np.asarray(vectors, np.float32)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    result: np.ndarray = wide / np.maximum(lengths, np.float32(1e-12))
    return result
