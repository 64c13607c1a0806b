"""The interval of an out-of-fold accuracy.

The networks of the folds share most of their images, so that the answers are not as many independent ones as there
are images, and no unbiased estimate of their variance exists (Y. Bengio, Y. Grandvalet, "No unbiased estimator of the
variance of k-fold cross-validation", JMLR 5, 2004). Intervals that leave this out are too narrow (S. Bates, T. Hastie,
R. Tibshirani, "Cross-validation: what does it estimate and how well does it do it?", JASA 119, 2024).

So the variance is enlarged as C. Nadeau and Y. Bengio ("Inference for the generalization error", Machine Learning 52,
2003) enlarge that of repeated trainings, whose mean has not 1/K but 1/K + (images held out) / (images trained on)
of the variance of one: of K folds, (2K - 1) / (K - 1) times. It is not their t interval, since the spread between five
folds is too little known: the variance is that of right and incorrect predictions, unless the folds lie further apart
than that explains. `tests/experiments/test_fold_interval.py` measures how often it holds.
"""

from __future__ import annotations

from collections.abc import Sequence

from saccade.evaluation.metrics import wilson_interval
from saccade.runs.cv_record import Fold


def fold_interval(folds: Sequence[Fold]) -> tuple[float, float]:
    """The 95% interval of the accuracy out of fold: Wilson's, of as many answers as these are worth.

    Args:
        folds: at least two.

    Returns:
        The lower and the upper end.
    """
    images, correct = sum(fold.num_images for fold in folds), sum(fold.num_correct for fold in folds)
    shared = (2 * len(folds) - 1) / (len(folds) - 1)
    worth = images / (shared * max(1.0, _spread(folds, correct / images)))
    return wilson_interval(worth * correct / images, worth)


def _spread(folds: Sequence[Fold], accuracy: float) -> float:
    """How far the folds lie apart: Pearson's chi-squared over its degrees of freedom, about 1 by chance alone."""
    variance = accuracy * (1 - accuracy)
    if not variance:
        return 1.0
    return sum(fold.num_images * (fold.accuracy - accuracy) ** 2 for fold in folds) / variance / (len(folds) - 1)
