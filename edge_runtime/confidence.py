"""How far scores and figures can be trusted: calibration, "unknown", intervals, the paired test.

The trainer fits them for the network, the exporter anew for each file that it writes. Plain numpy.
"""

from __future__ import annotations

import math

import numpy as np

#: Equal-width bins of the ECE and of the reliability diagram, as in Guo et al. 2017.
BINS = 15

#: Two-sided normal quantile of 95 %.
_Z = 1.959963984540054

#: A temperature beyond these says that the photos do not determine it.
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.1, 10.0

#: So near a bound, in its logarithm, that there is no minimum within them.
_AT_BOUND = 1e-3

#: Halvings of the interval of ln T, 4.6 wide: down to 1e-13.
_HALVINGS = 45


def expected_calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean distance of the top-1 score from the share of right answers, over :data:`BINS` bins.

    Naeini et al. 2015, "Obtaining Well Calibrated Probabilities Using Bayesian Binning"; Guo et
    al. 2017, "On Calibration of Modern Neural Networks". A bin counts by its photos.

    Args:
        labels: int (n,), class indices; n at least 1.
        probabilities: float (n, classes).

    Returns:
        0..1.
    """
    scores, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    return calibration_error(scores, right)


def calibration_error(scores: np.ndarray, right: np.ndarray) -> float:
    """:func:`expected_calibration_error` of answers of which only the top-1 score is known.

    Args:
        scores: float (n,), 0..1; n at least 1.
        right: bool (n,), whether the answer was right.

    Returns:
        0..1.
    """
    _, sums, rights = _binned(scores, right)
    return float(np.abs(sums - rights).sum() / len(scores))


def calibration_bins(
    labels: np.ndarray, probabilities: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Photos in each bin of their top-1 score; a bin holds scores above its lower edge.

    Args:
        labels: int (n,), class indices.
        probabilities: float (n, classes).

    Returns:
        Of each bin the photos, their summed scores, and the right answers among them, (bins,).
    """
    return _binned(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels)


def _binned(scores: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    edges = np.linspace(0, 1, BINS + 1)
    places = np.clip(np.searchsorted(edges, scores, side="left") - 1, 0, BINS - 1)
    return (
        np.bincount(places, minlength=BINS),
        np.bincount(places, scores, BINS),
        np.bincount(places, right, BINS),
    )


def log_loss(labels: np.ndarray, logits: np.ndarray, temperature: float = 1.0) -> float:
    """Mean negative natural logarithm of the right class's probability.

    Args:
        labels: int (n,), class indices; n at least 1.
        logits: float (n, classes), or logarithms of probabilities.
        temperature: What the logits are divided by.
    """
    scaled = _shifted(logits) / temperature
    own = scaled[np.arange(len(labels)), labels]
    return float((np.log(np.exp(scaled).sum(axis=1)) - own).mean())


def fit_temperature(labels: np.ndarray, logits: np.ndarray) -> tuple[float, str | None]:
    """Fit the temperature that makes the log loss least.

    Guo et al. 2017: one number divides the logits, so the answers stay as they are. The log loss
    is convex in 1/T, so its slope has one root, which is found by bisection.

    Without a single mistake the log loss falls for ever as T goes to 0: the photos say nothing
    about how unsure to be, and the temperature stays 1. Where the answers say nothing about the
    classes it rises to its upper bound, 10, and stays there.

    Args:
        labels: int (n,), class indices; n at least 1.
        logits: float (n, classes), or logarithms of probabilities.

    Returns:
        The temperature, and a note for people; None where a minimum was found within 0.1..10.
    """
    shifted = _shifted(logits)
    own = shifted[np.arange(len(labels)), labels]

    def too_hot(temperature: float) -> bool:
        """Whether the log loss rises with T here: its slope by 1/T is the mean excess logit."""
        powers = np.exp(shifted / temperature)
        expected = (powers * shifted).sum(axis=1) / powers.sum(axis=1)
        return float((expected - own).mean()) < 0

    lowest, highest = math.log(LOWEST_TEMPERATURE), math.log(HIGHEST_TEMPERATURE)
    low, high = lowest, highest
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if too_hot(math.exp(middle)) else (middle, high)
    if not (logits.argmax(axis=1) != labels).any() or low - lowest < _AT_BOUND:
        return 1.0, (
            f"The {len(labels)} photos hold too few mistakes to tell how unsure the network should "
            "be; the scores stay as they are."
        )
    if highest - low < _AT_BOUND:
        return HIGHEST_TEMPERATURE, (
            "The answers say next to nothing about the classes; the scores become nearly equal."
        )
    return math.exp(low), None


def unknown_threshold(labels: np.ndarray, probabilities: np.ndarray, share: float) -> float | None:
    """The score below which an answer is called "unknown".

    It is the largest one that loses at most ``share`` of the right answers, rounded down to four
    decimals so that rounding on another machine moves no photo across it.

    Args:
        labels: int (n,), class indices.
        probabilities: float (n, classes), calibrated.
        share: 0..1.

    Returns:
        0..1; None where no answer is right.
    """
    scores = np.sort(probabilities.max(axis=1)[probabilities.argmax(axis=1) == labels])
    if not len(scores):
        return None
    # 0.05 * 20 is 1 in decimals, and must not become 0 in binary ones.
    lost = min(math.floor(share * len(scores) + 1e-9), len(scores) - 1)
    return math.floor(float(scores[lost]) * 1e4) / 1e4


def _shifted(logits: np.ndarray) -> np.ndarray:
    """Logits in float64 of which the largest is 0, so that no exponential overflows."""
    exact = logits.astype(np.float64)
    result: np.ndarray = exact - exact.max(axis=1, keepdims=True)
    return result


def wilson(count: int, n: int) -> list[float]:
    """The 95 % score interval of a share (Wilson 1927), which holds for few photos and near 1.

    Args:
        count: Photos that count.
        n: All photos, at least 1.

    Returns:
        [low, high], 0..1.
    """
    share, spread = count / n, _Z * _Z / n
    middle = share + spread / 2
    half = _Z * math.sqrt(share * (1 - share) / n + spread / (4 * n))
    return [max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))]


def mcnemar(lost: int, gained: int) -> float:
    """Two-sided p-value of the exact McNemar test (McNemar 1947, binomial form).

    Args:
        lost: Photos that only the first classifier gets right.
        gained: Photos that only the second one gets right.
    """
    n = lost + gained
    tail = sum(math.comb(n, k) for k in range(min(lost, gained) + 1))
    return float(min(1.0, 2 * tail / 2**n))
