"""Is the loss of a quantised file small enough? What few photos can say about that.

Counting changed answers needs hundreds of photos: 46 that all stay right only prove that less than
6 % are lost (the rule of three). So two more figures are judged, which rest on how far each photo's
two best classes are apart, in logits (its margin), and on what quantising did to the margins of all
photos:

- the expected drop: a photo with a wide margin counts nothing, one that nearly ties counts its
  chance to turn. Its upper bound is a bootstrap over the photos.
- the expected agreement: answers turn where the margin is smaller than the change, so their share is
  the density of margins near zero times the mean change towards zero. That density comes from the
  validation photos alone, since training photos have wider margins than any others; one near tie
  more than was seen is counted (rule of succession). Its lower bound is stated beside it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .units import noise

#: Of the bounds, one-sided.
CONFIDENCE = 0.95

#: Margins below this, in logits, tell how dense they are near zero: several times the change of a
#: usable file, and few enough to be near.
NEAR = 1.0

_RESAMPLES = 2000


@dataclass(frozen=True)
class Counts:
    """What counting answers gives; shares are fractions 0..1.

    Attributes:
        n: Photos.
        drop: Share lost from the float32 network's accuracy; below 0 there is more.
        agreement: Share of photos with the same answer.
    """

    n: int
    drop: float
    agreement: float

    @classmethod
    def of(cls, answers: np.ndarray, found: np.ndarray, labels: np.ndarray) -> Counts:
        """Count.

        Args:
            answers: Of the float32 network, class indices, int (n,).
            found: Of the file, int (n,).
            labels: True class indices, int (n,).
        """
        drop = (answers == labels).mean() - (found == labels).mean()
        return cls(len(labels), float(drop), float((answers == found).mean()))


@dataclass(frozen=True)
class Verdict:
    """Figures of one file on the photos that judge it; shares are fractions 0..1.

    Attributes:
        n: Photos.
        validation: Counts of the validation photos alone.
        accuracy: Share of right answers.
        drop: Share lost from the float32 network's accuracy; below 0 it has more.
        agreement: Share of photos with the same answer.
        expected_drop: The expected loss, from distances between classes.
        drop_upper: Its upper bound at :data:`CONFIDENCE` (bootstrap over the photos).
        expected_agreement: The share of photos with the same answer that is to be expected.
        agreement_lower: Its lower bound at :data:`CONFIDENCE` (Poisson, of the near ties).
        noise: Mean squared change of the logits.
    """

    n: int
    validation: Counts
    accuracy: float
    drop: float
    agreement: float
    expected_drop: float
    drop_upper: float
    expected_agreement: float
    agreement_lower: float
    noise: float

    def failures(self, max_drop: float, min_agreement: float) -> list[str]:
        """Why the file does not hold; empty if it does.

        Args:
            max_drop: Largest share that may be lost.
            min_agreement: Smallest share of photos with the same answer.
        """
        alone = self.validation
        checks = (
            (self.drop <= max_drop, f"loses {100 * self.drop:.2f} points"),
            (self.agreement >= min_agreement, f"agrees on {self.agreement:.1%}"),
            (
                alone.drop <= max_drop,
                f"loses {100 * alone.drop:.2f} points on the validation photos",
            ),
            (
                alone.agreement >= min_agreement,
                f"agrees on {alone.agreement:.1%} of the validation photos",
            ),
            (
                self.drop_upper <= max_drop,
                f"may lose up to {100 * self.drop_upper:.2f} points ({CONFIDENCE:.0%} bound)",
            ),
            (
                self.expected_agreement >= min_agreement,
                f"is expected to agree on {self.expected_agreement:.1%}",
            ),
        )
        return [reason for held, reason in checks if not held]

    def to_dict(self) -> dict[str, Any]:
        """The figures of the trail."""
        return asdict(self)


def judge(
    exact: np.ndarray, found: np.ndarray, labels: np.ndarray, validation: int, seed: int = 0
) -> Verdict:
    """Compare a quantised file with the float32 network.

    Args:
        exact: Logits of the float32 network, float (n, classes).
        found: Logits of the file, float (n, classes).
        labels: True class indices, int (n,).
        validation: How many of the photos, the first ones, are validation photos.
        seed: Of the bootstrap.
    """
    exact, found = exact.astype(np.float64), found.astype(np.float64)
    answers, new = exact.argmax(axis=1), found.argmax(axis=1)
    margin, change = margins(exact, found)
    loss = expected_loss(exact, margin, change, labels)
    turning, turning_most = turning_share(margin[:validation], change)
    counts = Counts.of(answers, new, labels)
    resampled = np.random.default_rng(seed).integers(len(labels), size=(_RESAMPLES, len(labels)))
    return Verdict(
        n=len(labels),
        validation=Counts.of(answers[:validation], new[:validation], labels[:validation]),
        accuracy=float((new == labels).mean()),
        drop=counts.drop,
        agreement=counts.agreement,
        expected_drop=float(loss.mean()),
        drop_upper=float(np.quantile(loss[resampled].mean(axis=1), CONFIDENCE)),
        expected_agreement=1 - turning,
        agreement_lower=1 - turning_most,
        noise=noise(found, exact),
    )


def margins(exact: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far the two best classes are apart, and how much that changed.

    Args:
        exact: As for :func:`judge`.
        found: As for :func:`judge`.

    Returns:
        Margins in logits, float (n,), >= 0, and their changes, float (n,); infinite and zero where
        there is one class only.
    """
    if exact.shape[1] < 2:
        return np.full(len(exact), np.inf), np.zeros(len(exact))
    rows = np.arange(len(exact))
    order = exact.argsort(axis=1)
    first, second = order[:, -1], order[:, -2]
    margin = exact[rows, first] - exact[rows, second]
    return margin, found[rows, first] - found[rows, second] - margin


def expected_loss(
    exact: np.ndarray, margin: np.ndarray, change: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """What each photo is expected to take from the accuracy.

    Args:
        exact: As for :func:`judge`.
        margin: Of :func:`margins`.
        change: Of :func:`margins`.
        labels: As for :func:`judge`.

    Returns:
        float (n,): the chance that the answer turns to the runner-up, where the answer is right;
        minus that chance where the runner-up is.
    """
    if exact.shape[1] < 2:
        return np.zeros(len(exact))
    order = exact.argsort(axis=1)
    # How many of all the changes would have been enough to turn this photo.
    chance = np.searchsorted(np.sort(change), -margin, side="left") / len(change)
    loss: np.ndarray = chance * ((order[:, -1] == labels).astype(float) - (order[:, -2] == labels))
    return loss


def turning_share(margin: np.ndarray, change: np.ndarray) -> tuple[float, float]:
    """Share of photos whose answer turns.

    Args:
        margin: Margins of photos like those to come, float (n,).
        change: Changes of margins, float (m,).

    Returns:
        The share to be expected, and its upper bound at :data:`CONFIDENCE`.
    """
    from scipy.stats import chi2

    near = int((margin < NEAR).sum())
    most = chi2.ppf(CONFIDENCE, 2 * (near + 1)) / 2
    towards = float(np.maximum(-change, 0).mean())
    expected = (near + 1) / (len(margin) + 1) / NEAR * towards
    return min(1.0, expected), float(min(1.0, max(most / len(margin) / NEAR * towards, expected)))
