"""How far what the camera sees is from what the network was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import ModelError

if TYPE_CHECKING:
    import numpy as np

    from ...backends.base import Backend
    from ...training_features import TrainingFeatures


class NoDrift(ModelError):
    """A model for which drift cannot be measured; the message says why."""


class Drift:
    """Measures it with a second copy of the model, so that the stream's own one never waits."""

    def __init__(self, backend: Backend, known: TrainingFeatures) -> None:
        """Open the copy.

        Args:
            backend: The model.
            known: What its bundle says of its training photos.

        Raises:
            ModelError: The model gives no feature map, or one of another size.
        """
        self._pooling, self._known = backend.pooling(), known

    @property
    def threshold(self) -> float:
        """Distance above which a frame is far."""
        return self._known.threshold

    def distance(self, pixels: np.ndarray) -> float:
        """Of a picture as the network sees it, uint8 (h, w, 3), from the training photos: 0..2.

        Raises:
            ModelError: The bundle's means are of another model.
        """
        vector = self._pooling(pixels)
        if vector.size != self._known.means.shape[1]:
            raise ModelError(
                f"The bundle's training features have {self._known.means.shape[1]} channels, the "
                f"model {vector.size}. Export the run again."
            )
        return self._known.distance(vector)


def open_drift(model: str, fmt: str, backend: Backend) -> Drift:
    """Of a model that was opened already.

    Args:
        model: Its path, as the user named it.
        fmt: Which file of a bundle.
        backend: The opened file.

    Raises:
        NoDrift: It is no bundle, or one without the features of its training photos.
        ModelError: These are damaged, or the model gives no feature map.
    """
    from ...bundle import Bundle, is_bundle
    from ...training_features import read_training_features

    if not is_bundle(model):
        raise NoDrift("only a bundle can say what the training photos looked like")
    known = read_training_features(Bundle.open(model), fmt)
    if known is None:
        raise NoDrift(
            "this bundle does not say what the training photos looked like; one that is exported "
            "anew does"
        )
    return Drift(backend, known)
