"""Selective prediction: the confidence threshold from which a run's predictions keep a target accuracy.

The same held-out images choose the threshold and bound its error rate. A bound for one threshold fixed in advance does
not hold for the lowest of all thresholds that pass: with the latter, 12 of 100 target accuracies were missed where 5
were allowed (`benchmarks/abstention.py`). Therefore the thresholds are tested in a fixed sequence, from the highest
down, each at the full level, and the sequence ends at the first threshold that fails: fixed-sequence testing,
A. N. Angelopoulos, S. Bates, E. J. Candes, M. I. Jordan, L. Lei, "Learn then test: calibrating predictive algorithms to
achieve risk control", 2021, arXiv:2110.01052, section 4.

Error rate: let only the thresholds above some confidence reach the target accuracy. A missed target requires that the
first threshold below this confidence passes its test, which has a probability of at most 5%.

The thresholds are quantiles of the confidences, independent of the labels: every twentieth of the images. A grid of
confidence values would be as valid, but a trained network may place nine images in ten between 0.99 and 1, where such a
grid has no point. Quantiles depend on the images. This does not weaken the test if more confident predictions are at
least as often correct: then each image below the critical confidence is incorrect with a larger probability than the
target allows, so that the error count at the next quantile is no smaller than the binomial test assumes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from saccade.errors import RunError, number_in_words
from saccade.runs.predictions import VALIDATION_PREDICTIONS
from saccade.runs.run import Run
from saccade.sanitize import counted

_LEVEL = 0.95
_QUANTILES = 20
# A first threshold with the fewest possible images would allow no error. With three times as many images it allows
# three or four errors, so that one incorrect label does not end the sequence at its start. A fifth of all images is
# always enough.
_START_FACTOR = 3
_START_FRACTION = 0.2


@dataclass(frozen=True)
class Abstention:
    """Confidence threshold for abstention, found on validation images.

    Attributes:
        target_accuracy: target accuracy of the predictions that are not abstained, 0 to 1.
        threshold: confidence below which a prediction is abstained, 0 to 1.
        num_images: number of validation images.
        predicted: number of validation images whose prediction is not abstained.
        incorrect: number of incorrect predictions among these.
        bound: 95% upper bound on the error rate of the predictions that are not abstained; at most 1 - target accuracy.
    """

    target_accuracy: float
    threshold: float
    num_images: int
    predicted: int
    incorrect: int
    bound: float

    @property
    def coverage(self) -> float:
        """Coverage: share of the validation images whose prediction is not abstained, 0 to 1."""
        return self.predicted / self.num_images


def fit_abstention(run: Run, target_accuracy: float) -> Abstention:
    """Find the confidence threshold at which a run's predictions for its validation images reach a target accuracy.

    Args:
        run: run with validation images, or cross-validated run, whose out-of-fold predictions are used.
        target_accuracy: target accuracy, greater than 0 and less than 1.

    Raises:
        RunError: the target accuracy is not such a number, the run was trained without validation images, or no
            threshold reaches the target accuracy.
    """
    if not _is_fraction(target_accuracy):
        raise RunError(
            "the target accuracy is out of range",
            expected="a number greater than 0 and less than 1, such as 0.99",
            found=number_in_words(target_accuracy),
        )
    if run.calibration() is None:
        raise RunError(
            f"the run '{run.path}' can't abstain: its confidence was never compared with true labels",
            expected="a run trained to its end with validation images, or cross-validated",
            found=f"validation_split = {run.recipe.validation_split:g} in its recipe, {run.status().state}",
            remedy="train with validation images, --set validation_split=0.1, or with few images: --folds 5",
        )
    predictions = run.predictions(VALIDATION_PREDICTIONS)
    confidences = predictions.probabilities.max(axis=1)
    incorrect = predictions.probabilities.argmax(axis=1) != predictions.labels
    return find_threshold(confidences, incorrect, target_accuracy)


def _is_fraction(target_accuracy: object) -> bool:
    return (
        not isinstance(target_accuracy, bool) and isinstance(target_accuracy, Real) and 0 < float(target_accuracy) < 1
    )


def find_threshold(
    confidences: NDArray[np.float32], incorrect: NDArray[np.bool_], target_accuracy: float
) -> Abstention:
    """Find the last confidence threshold of a fixed sequence before the first one that fails.

    A threshold passes if the 95% upper bound on the error rate is at most 1 - target accuracy. The bound is exact for
    binomial counts: C. J. Clopper, E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of
    the binomial", Biometrika 26 (1934), one-sided.

    Args:
        confidences: confidence of each prediction, float32 [n]; n at least 1.
        incorrect: whether each prediction is incorrect, bool [n].
        target_accuracy: target accuracy, greater than 0 and less than 1.

    Raises:
        RunError: the first threshold fails, or there are too few images for any threshold.
    """
    order = np.argsort(-confidences, kind="stable")
    ordered, errors = confidences[order], np.cumsum(incorrect[order], dtype=np.int64)
    kept, bounds = _passed(ordered, errors, target_accuracy)
    if not len(kept):
        raise _unreachable(ordered, errors, target_accuracy)
    return Abstention(
        target_accuracy=target_accuracy,
        threshold=float(ordered[kept[-1] - 1]),
        num_images=len(confidences),
        predicted=int(kept[-1]),
        incorrect=int(errors[kept[-1] - 1]),
        bound=float(bounds[-1]),
    )


def _passed(
    ordered: NDArray[np.float32], errors: NDArray[np.int64], target_accuracy: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the thresholds before the first one that fails.

    Args:
        ordered: confidences in descending order, float32 [n].
        errors: cumulative number of incorrect predictions, int64 [n].
        target_accuracy: target accuracy, greater than 0 and less than 1.

    Returns:
        The number of images that each threshold keeps, and the upper bound on its error rate.
    """
    kept = _sequence(ordered, target_accuracy)
    bounds = _upper_bounds(errors[kept - 1], kept)
    failed = np.flatnonzero(bounds > 1 - target_accuracy)
    passed = failed[0] if len(failed) else len(kept)
    return kept[:passed], bounds[:passed]


def _sequence(ordered: NDArray[np.float32], target_accuracy: float) -> NDArray[np.int64]:
    """Return the number of images that each threshold keeps, in the order of the tests; empty for too few images."""
    n, minimum = len(ordered), _min_images(target_accuracy)
    first = max(minimum, min(_START_FACTOR * minimum, _START_FRACTION * n))
    steps = np.ceil(n * np.arange(1, _QUANTILES + 1) / _QUANTILES - 1e-9).astype(np.int64)
    steps = steps[steps >= first]
    # Predictions of equal confidence are kept or abstained together.
    return np.unique(n - np.searchsorted(ordered[::-1], ordered[steps - 1], side="left"))


def _min_images(target_accuracy: float) -> int:
    """Return the fewest images with only correct predictions whose 95% bound reaches a target accuracy."""
    return math.ceil(math.log(1 - _LEVEL) / math.log(target_accuracy))


def _unreachable(ordered: NDArray[np.float32], errors: NDArray[np.int64], target_accuracy: float) -> RunError:
    n, minimum = len(ordered), _min_images(target_accuracy)
    lower_targets = (hundredths / 100 for hundredths in range(math.ceil(100 * target_accuracy - 1e-9) - 1, 0, -1))
    reachable = next((target for target in lower_targets if len(_passed(ordered, errors, target)[0])), None)
    return RunError(
        f"no confidence threshold reaches the target accuracy {target_accuracy:.4g}",
        expected=f"at least {minimum:,} held-out images"
        if n < minimum
        else "fewer errors among the most confident predictions",
        found=f"{counted(n, 'image')} held out, {int(errors[-1]):,} of their predictions incorrect",
        remedy="hold out more images"
        + (f", or accept a lower target accuracy, such as {reachable:g}" if reachable else ""),
    )


def _upper_bounds(errors: NDArray[np.int64], trials: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the one-sided 95% Clopper-Pearson upper bounds on error rates, float64 [n]."""
    from scipy.special import betaincinv  # not at the top, because most predictions do not need SciPy

    bounds = np.ones(len(trials))
    below_one = errors < trials
    bounds[below_one] = betaincinv(errors[below_one] + 1, (trials - errors)[below_one], _LEVEL)
    return bounds
