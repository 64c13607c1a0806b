"""When to say "unsure": the confidence from which a run's answers keep a promise of accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saccade.errors import RunError
from saccade.runs.answers import VALIDATION_ANSWERS
from saccade.runs.run import Run

_LEVEL = 0.95


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
    """The lowest threshold at which a run's validation answers keep a promise.

    Args:
        run: with validation pictures, or cross-validated: then the answers are those of the networks of its folds.
        promise: part of the answers that is to be right, greater than 0 and less than 1.

    Raises:
        RunError: the run was trained without validation pictures, or no threshold keeps the promise.
    """
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


def find_threshold(confidences: NDArray[np.float32], wrong: NDArray[np.bool_], promise: float) -> Abstention:
    """The lowest threshold at which the 95% upper bound on the part of wrong answers is at most 1 - promise.

    The bound is exact for binomial counts: C. J. Clopper, E. S. Pearson, "The use of confidence or fiducial limits
    illustrated in the case of the binomial", Biometrika 26 (1934), one-sided.

    Args:
        confidences: float32 [n], the probability of each answer; n at least 1.
        wrong: bool [n], whether it is wrong.
        promise: part of the answers that is to be right, greater than 0 and less than 1.

    Raises:
        RunError: there is no such threshold.
    """
    order = np.argsort(-confidences, kind="stable")
    ordered = confidences[order]
    answered = np.arange(1, len(ordered) + 1)
    errors = np.cumsum(wrong[order], dtype=np.int64)
    bounds = _upper_bounds(errors, answered)
    # Answers of equal confidence are given or withheld together.
    whole = np.append(ordered[1:] < ordered[:-1], True)
    kept = np.flatnonzero(whole & (bounds <= 1 - promise))
    if not len(kept):
        least = float(bounds[whole].min())
        raise RunError(
            f"no confidence is high enough to promise that {promise:.4g} of the answers are right",
            found=f"at best {1 - least:.4f}, by the 95% bound on {len(confidences):,} pictures that were held out",
            remedy=f"promise less, such as {np.floor((1 - least) * 100) / 100:g}, or hold out more pictures",
        )
    last = kept[-1]
    return Abstention(
        promise=promise,
        threshold=float(ordered[last]),
        pictures=len(confidences),
        answered=int(answered[last]),
        wrong=int(errors[last]),
        bound=float(bounds[last]),
    )


def _upper_bounds(errors: NDArray[np.int64], trials: NDArray[np.int64]) -> NDArray[np.float64]:
    from scipy.stats import beta  # not above: it takes a third of a second, of which most predictions have no need

    bounds = np.ones(len(trials))
    some_right = errors < trials
    bounds[some_right] = beta.ppf(_LEVEL, errors[some_right] + 1, (trials - errors)[some_right])
    return bounds
