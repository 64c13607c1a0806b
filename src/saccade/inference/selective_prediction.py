"""Selective prediction: the confidence threshold from which a run's predictions keep a target accuracy.

The threshold is chosen from several by the same held-out images that vouch for it. A bound that holds for one
threshold fixed beforehand does not hold for the lowest of all that pass: so watched, 12 promises in 100 were false
where 5 were announced (`benchmarks/abstention.py`). So the thresholds are tested in a fixed sequence, from the highest
down, each at the whole level, and the testing ends with the first that fails: the fixed-sequence testing of
A. N. Angelopoulos, S. Bates, E. J. Candes, M. I. Jordan, L. Lei, "Learn then test: calibrating predictive algorithms to
achieve risk control", 2021, arXiv:2110.01052, section 4.

Why this keeps its level: of a sequence of which only the thresholds above some confidence keep the target, a false
promise needs that the first one below this confidence passes its own test, which happens in 5% of cases at most.

The thresholds are quantiles of the confidences, without a look at the labels: every twentieth of the images. A grid of
confidence values would be as valid, but a trained network may put nine images in ten between 0.99 and 1, where such a
grid has no step. Quantiles move with the images, which costs nothing as long as more confident predictions are not less
often right: of the images beyond the confidence down to which the target is kept, each is then wrong more often than
the target allows, so that the count of errors at the next quantile is no smaller than the binomial test assumes.
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
_STEPS = 20
# The first threshold allows no error if it keeps only as many images as the test takes; with three times as many it
# allows three or four, so that one wrong label does not end the sequence where it begins. But a fifth of all is enough.
_ROOM = 3
_START = 0.2


@dataclass(frozen=True)
class Abstention:
    """The confidence below which an answer is "abstained", found on validation images.

    Attributes:
        target_accuracy: part of the answers that is to be right, 0 to 1.
        threshold: an answer of less confidence is "abstained", 0 to 1.
        num_images: validation images that it was found on.
        predicted: how many of them it answers.
        incorrect: how many of its answers to them are wrong.
        bound: the 95% upper bound on the part of incorrect predictions, at most 1 - promise.
    """

    target_accuracy: float
    threshold: float
    num_images: int
    predicted: int
    incorrect: int
    bound: float

    @property
    def coverage(self) -> float:
        """The part of the validation images that it answers, 0 to 1."""
        return self.predicted / self.num_images


def abstention_of(run: Run, target_accuracy: float) -> Abstention:
    """The confidence threshold at which a run's validation answers keep a promise.

    Args:
        run: with validation images, or cross-validated: then the answers are those of the networks of its folds.
        target_accuracy: part of the answers that is to be right, greater than 0 and less than 1.

    Raises:
        RunError: the promise is no such number, the run was trained without validation images, or no threshold keeps
            the promise.
    """
    if not _is_fraction(target_accuracy):
        raise RunError(
            "no such part of the answers can be promised to be right",
            expected="a number greater than 0 and less than 1, such as 0.99",
            found=number_in_words(target_accuracy),
        )
    if run.calibration() is None:
        raise RunError(
            f"the run '{run.path}' can't abstain: its confidence was never held against the truth",
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
    """The last confidence threshold of a fixed sequence that passes, where all before it pass.

    A threshold passes if the 95% upper bound on the part of incorrect predictions is at most 1 - promise. The bound is
    exact for binomial counts: C. J. Clopper, E. S. Pearson, "The use of confidence or fiducial limits illustrated in
    the case of the binomial", Biometrika 26 (1934), one-sided.

    Args:
        confidences: float32 [n], the probability of each answer; n at least 1.
        incorrect: bool [n], whether it is wrong.
        target_accuracy: part of the answers that is to be right, greater than 0 and less than 1.

    Raises:
        RunError: the first threshold does not pass, or there are too few images for any.
    """
    order = np.argsort(-confidences, kind="stable")
    ordered, errors = confidences[order], np.cumsum(incorrect[order], dtype=np.int64)
    kept, bounds = _passed(ordered, errors, target_accuracy)
    if not len(kept):
        raise _not_possible(ordered, errors, target_accuracy)
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
    """The thresholds that pass before the first that does not: how many images each keeps, and its bound.

    Args:
        ordered: confidences, falling, float32 [n].
        errors: int64 [n], how many of the answers so far are wrong.
        target_accuracy: as for `find_threshold`.
    """
    kept = _sequence(ordered, target_accuracy)
    bounds = _upper_bounds(errors[kept - 1], kept)
    failed = np.flatnonzero(bounds > 1 - target_accuracy)
    passed = failed[0] if len(failed) else len(kept)
    return kept[:passed], bounds[:passed]


def _sequence(ordered: NDArray[np.float32], target_accuracy: float) -> NDArray[np.int64]:
    """How many images each threshold keeps, in the order of the tests; empty where there are too few for any."""
    n, least = len(ordered), _fewest_images(target_accuracy)
    first = max(least, min(_ROOM * least, _START * n))
    steps = np.ceil(n * np.arange(1, _STEPS + 1) / _STEPS - 1e-9).astype(np.int64)
    steps = steps[steps >= first]
    # Answers of equal confidence are given or withheld together.
    return np.unique(n - np.searchsorted(ordered[::-1], ordered[steps - 1], side="left"))


def _fewest_images(target_accuracy: float) -> int:
    """The fewest images, all answered rightly, whose 95% bound keeps a promise."""
    return math.ceil(math.log(1 - _LEVEL) / math.log(target_accuracy))


def _not_possible(ordered: NDArray[np.float32], errors: NDArray[np.int64], target_accuracy: float) -> RunError:
    n, least = len(ordered), _fewest_images(target_accuracy)
    lower = (hundredths / 100 for hundredths in range(math.ceil(100 * target_accuracy - 1e-9) - 1, 0, -1))
    possible = next((each for each in lower if len(_passed(ordered, errors, each)[0])), None)
    return RunError(
        f"no confidence is high enough to promise that {target_accuracy:.4g} of the predictions are correct",
        expected=f"at least {least:,} held-out images" if n < least else "few enough errors among the surest answers",
        found=f"{counted(n, 'image')} held out, {int(errors[-1]):,} of them answered wrongly",
        remedy="hold out more images" + (f", or promise less, such as {possible:g}" if possible else ""),
    )


def _upper_bounds(errors: NDArray[np.int64], trials: NDArray[np.int64]) -> NDArray[np.float64]:
    """The one-sided 95% upper bounds, float64 [n], on error rates of which so many trials showed so many errors."""
    from scipy.special import betaincinv  # not above: most predictions have no need of it

    bounds = np.ones(len(trials))
    some_correct = errors < trials
    bounds[some_correct] = betaincinv(errors[some_correct] + 1, (trials - errors)[some_correct], _LEVEL)
    return bounds
