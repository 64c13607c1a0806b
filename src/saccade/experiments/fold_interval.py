"""Confidence interval of an out-of-fold accuracy.

The networks of the folds share most of their training images, so the predictions are not independent, and no unbiased
estimate of the variance exists (Y. Bengio, Y. Grandvalet, "No unbiased estimator of the variance of k-fold
cross-validation", JMLR 5, 2004). Intervals that ignore the dependence are too narrow (S. Bates, T. Hastie,
R. Tibshirani, "Cross-validation: what does it estimate and how well does it do it?", JASA 119, 2024).

The variance is therefore multiplied by a correction of C. Nadeau and Y. Bengio ("Inference for the generalization
error", Machine Learning 52, 2003). They correct the mean of K repeated trainings: its variance is not 1/K of the
variance of one training, but 1/K + (held-out images) / (training images). For K folds the factor is
(2K - 1) / (K - 1). Their t interval is not used, because five folds are too few to estimate the spread between folds.
Here the variance is the binomial one, increased if the folds differ by more than chance explains.
`tests/experiments/test_fold_interval.py` measures the coverage of the interval.
"""

from __future__ import annotations

from collections.abc import Sequence

from saccade.evaluation.wilson_interval import wilson_interval
from saccade.runs.cv_record import Fold


def fold_interval(folds: Sequence[Fold]) -> tuple[float, float]:
    """Return the 95% interval of the out-of-fold accuracy: the Wilson interval of the effective sample size.

    Args:
        folds: at least two folds.

    Returns:
        Lower and upper end.
    """
    images, correct = sum(fold.num_images for fold in folds), sum(fold.num_correct for fold in folds)
    correction = (2 * len(folds) - 1) / (len(folds) - 1)
    effective_size = images / (correction * max(1.0, _dispersion(folds, correct / images)))
    return wilson_interval(effective_size * correct / images, effective_size)


def _dispersion(folds: Sequence[Fold], accuracy: float) -> float:
    """Return Pearson's chi-squared of the folds over its degrees of freedom: about 1 if they differ by chance only."""
    variance = accuracy * (1 - accuracy)
    if not variance:
        return 1.0
    return sum(fold.num_images * (fold.accuracy - accuracy) ** 2 for fold in folds) / variance / (len(folds) - 1)
