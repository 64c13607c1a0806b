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
from saccade.runs.predictions import VALIDATION_ANSWERS
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
    """The confidence below which an answer is "unsure", found on validation pictures.

    Attributes:
        promise: part of the answers that is to be right, 0 to 1.
        threshold: an answer of less confidence is "unsure", 0 to 1.
        pictures: validation pictures that it was found on.
        answered: how many of them it answers.
        wrong: how many of its answers to them are wrong.
        bound: the 95% upper bound on the part of wrong answers, at most 1 - promise.
    """

    promise: float
    threshold: float
    pictures: int
    answered: int
    wrong: int
    bound: float

    @property
    def coverage(self) -> float:
        """The part of the validation pictures that it answers, 0 to 1."""
        return self.answered / self.pictures


def abstention_of(run: Run, promise: float) -> Abstention:
    """The confidence threshold at which a run's validation answers keep a promise.

    Args:
        run: with validation pictures, or cross-validated: then the answers are those of the networks of its folds.
        promise: part of the answers that is to be right, greater than 0 and less than 1.

    Raises:
        RunError: the promise is no such number, the run was trained without validation pictures, or no threshold keeps
            the promise.
    """
    if not _is_part(promise):
        raise RunError(
            "no such part of the answers can be promised to be right",
            expected="a number greater than 0 and less than 1, such as 0.99",
            found=number_in_words(promise),
        )
    if run.calibration() is None:
        raise RunError(
            f"the run '{run.path}' can't abstain: its confidence was never held against the truth",
            expected="a run trained to its end with validation pictures, or cross-validated",
            found=f"validation = {run.recipe.validation:g} in its recipe, {run.status().state}",
            remedy="train with validation pictures, --set validation=0.1, or with few pictures: --folds 5",
        )
    answers = run.answers(VALIDATION_ANSWERS)
    confidences = answers.probabilities.max(axis=1)
    wrong = answers.probabilities.argmax(axis=1) != answers.labels
    return find_threshold(confidences, wrong, promise)


def _is_part(promise: object) -> bool:
    return not isinstance(promise, bool) and isinstance(promise, Real) and 0 < float(promise) < 1


def find_threshold(confidences: NDArray[np.float32], wrong: NDArray[np.bool_], promise: float) -> Abstention:
    """The last confidence threshold of a fixed sequence that passes, where all before it pass.

    A threshold passes if the 95% upper bound on the part of wrong answers is at most 1 - promise. The bound is exact
    for binomial counts: C. J. Clopper, E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case
    of the binomial", Biometrika 26 (1934), one-sided.

    Args:
        confidences: float32 [n], the probability of each answer; n at least 1.
        wrong: bool [n], whether it is wrong.
        promise: part of the answers that is to be right, greater than 0 and less than 1.

    Raises:
        RunError: the first threshold does not pass, or there are too few images for any.
    """
    order = np.argsort(-confidences, kind="stable")
    ordered, errors = confidences[order], np.cumsum(wrong[order], dtype=np.int64)
    kept, bounds = _passed(ordered, errors, promise)
    if not len(kept):
        raise _not_possible(ordered, errors, promise)
    return Abstention(
        promise=promise,
        threshold=float(ordered[kept[-1] - 1]),
        pictures=len(confidences),
        answered=int(kept[-1]),
        wrong=int(errors[kept[-1] - 1]),
        bound=float(bounds[-1]),
    )


def _passed(
    ordered: NDArray[np.float32], errors: NDArray[np.int64], promise: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The thresholds that pass before the first that does not: how many images each keeps, and its bound.

    Args:
        ordered: confidences, falling, float32 [n].
        errors: int64 [n], how many of the answers so far are wrong.
        promise: as for `find_threshold`.
    """
    kept = _sequence(ordered, promise)
    bounds = _upper_bounds(errors[kept - 1], kept)
    failed = np.flatnonzero(bounds > 1 - promise)
    passed = failed[0] if len(failed) else len(kept)
    return kept[:passed], bounds[:passed]


def _sequence(ordered: NDArray[np.float32], promise: float) -> NDArray[np.int64]:
    """How many images each threshold keeps, in the order of the tests; empty where there are too few for any."""
    n, least = len(ordered), _fewest_images(promise)
    first = max(least, min(_ROOM * least, _START * n))
    steps = np.ceil(n * np.arange(1, _STEPS + 1) / _STEPS - 1e-9).astype(np.int64)
    steps = steps[steps >= first]
    # Answers of equal confidence are given or withheld together.
    return np.unique(n - np.searchsorted(ordered[::-1], ordered[steps - 1], side="left"))


def _fewest_images(promise: float) -> int:
    """The fewest images, all answered rightly, whose 95% bound keeps a promise."""
    return math.ceil(math.log(1 - _LEVEL) / math.log(promise))


def _not_possible(ordered: NDArray[np.float32], errors: NDArray[np.int64], promise: float) -> RunError:
    n, least = len(ordered), _fewest_images(promise)
    lower = (hundredths / 100 for hundredths in range(math.ceil(100 * promise - 1e-9) - 1, 0, -1))
    possible = next((each for each in lower if len(_passed(ordered, errors, each)[0])), None)
    return RunError(
        f"no confidence is high enough to promise that {promise:.4g} of the answers are right",
        expected=f"at least {least:,} held-out pictures" if n < least else "few enough errors among the surest answers",
        found=f"{counted(n, 'picture')} held out, {int(errors[-1]):,} of them answered wrongly",
        remedy="hold out more pictures" + (f", or promise less, such as {possible:g}" if possible else ""),
    )


def _upper_bounds(errors: NDArray[np.int64], trials: NDArray[np.int64]) -> NDArray[np.float64]:
    """The one-sided 95% upper bounds, float64 [n], on error rates of which so many trials showed so many errors."""
    from scipy.special import betaincinv  # not above: most predictions have no need of it

    bounds = np.ones(len(trials))
    some_right = errors < trials
    bounds[some_right] = betaincinv(errors[some_right] + 1, (trials - errors)[some_right], _LEVEL)
    return bounds
