"""Confusion of a classifier of two classes at a threshold of the probability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saccade.errors import EvaluationError
from saccade.evaluation.wilson_interval import wilson_interval


@dataclass(frozen=True)
class ThresholdScores:
    """Predictions of two classes at a threshold: the second class is predicted from this probability on.

    Attributes:
        threshold: smallest probability of the positive class at which this class is predicted, 0 to 1.
        positive: name of the positive class, the second class.
        negative: name of the negative class, the first class.
        true_positives: number of positive images predicted as positive.
        false_positives: number of negative images predicted as positive.
        true_negatives: number of negative images predicted as negative.
        false_negatives: number of positive images predicted as negative.
        sensitivity: fraction of the positive images that are predicted as positive; None without positive images.
        sensitivity_interval: 95% Wilson interval of the sensitivity; None without positive images.
        specificity: fraction of the negative images that are predicted as negative; None without negative images.
        specificity_interval: 95% Wilson interval of the specificity; None without negative images.
    """

    threshold: float
    positive: str
    negative: str
    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int
    sensitivity: float | None
    sensitivity_interval: tuple[float, float] | None
    specificity: float | None
    specificity_interval: tuple[float, float] | None


def scores_at_threshold(
    labels: NDArray[np.int64], probabilities: NDArray[np.floating], class_names: tuple[str, ...], threshold: float
) -> ThresholdScores:
    """Compute the confusion of two classes at a threshold.

    Args:
        labels: true classes, int64 [n].
        probabilities: float [n, 2].
        class_names: names of the two classes.
        threshold: threshold of the probability of the second class, 0 to 1.

    Raises:
        EvaluationError: there are more than two classes.
    """
    require_two_classes(class_names)
    is_positive, predicted = labels == 1, probabilities[:, 1] >= threshold
    true_positives, false_positives = int((is_positive & predicted).sum()), int((~is_positive & predicted).sum())
    positives, negatives = int(is_positive.sum()), int((~is_positive).sum())
    true_negatives = negatives - false_positives
    return ThresholdScores(
        threshold=threshold,
        positive=class_names[1],
        negative=class_names[0],
        true_positives=true_positives,
        false_positives=false_positives,
        true_negatives=true_negatives,
        false_negatives=positives - true_positives,
        sensitivity=true_positives / positives if positives else None,
        sensitivity_interval=wilson_interval(true_positives, positives) if positives else None,
        specificity=true_negatives / negatives if negatives else None,
        specificity_interval=wilson_interval(true_negatives, negatives) if negatives else None,
    )


def require_two_classes(class_names: tuple[str, ...]) -> None:
    """Require two classes.

    Raises:
        EvaluationError: there are more than two classes.
    """
    if len(class_names) != 2:
        raise EvaluationError(
            "a threshold separates two classes only",
            expected="a run of two classes",
            found=f"{len(class_names)} classes",
            remedy="omit --threshold: the class with the highest probability is predicted",
        )
