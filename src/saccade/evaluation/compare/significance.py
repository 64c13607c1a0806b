"""Significance tests for the difference between two models or two recipes.

The accuracy of a recipe has two sources of variance: the test images and the seeds. McNemar's test and the bootstrap
consider only the variance over images: they compare two trained models. A comparison of two recipes needs the variance
over images and the variance over seeds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, t

from saccade.evaluation.wilson_interval import wilson_interval

LEVEL = 0.05
"""Significance level of every verdict."""

DEFAULT_SEED_SPREAD = 0.002
"""Standard deviation of the accuracy over seeds that is assumed without several seeds, 0 to 1; see docs/compare.md."""

_RESAMPLES = 10_000
# A smaller variance of accuracies is a rounding error: one image of a million in one run of a thousand gives 1e-18.
_ZERO_VARIANCE = 1e-20


@dataclass(frozen=True)
class Difference:
    """Difference between the accuracies of two sets of runs on the same images: second minus first.

    Attributes:
        difference: difference of the mean accuracies, -1 to 1.
        interval: 95% interval of the difference, over other seeds and other images.
        images_interval: 95% bootstrap interval of the difference, for the same models over other images.
        p: two-sided p-value of the difference between the recipes.
        models_p: two-sided p-value of the difference between the two models, by McNemar's exact test; None if a side
            has several runs.
        first_only: number of images that only the first model predicts correctly; None if a side has several runs.
        second_only: number of images that only the second model predicts correctly; None if a side has several runs.
        seed_spreads: standard deviations of the accuracy over seeds, of the first and of the second side, 0 to 1.
        measured: True if the standard deviations are estimates from the runs, False for `DEFAULT_SEED_SPREAD`.
    """

    difference: float
    interval: tuple[float, float]
    images_interval: tuple[float, float]
    p: float
    models_p: float | None
    first_only: int | None
    second_only: int | None
    seed_spreads: tuple[float, float]
    measured: bool


@dataclass(frozen=True)
class _SeedVariance:
    """Variance of the accuracy over the seeds of one side.

    Attributes:
        excess: variance per run beyond the variance over images.
        variance: variance of the accuracies of the runs.
        freedom: degrees of freedom of the variance.
        runs: number of runs.
    """

    excess: float
    variance: float
    freedom: float
    runs: int


def compare_correct(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Difference:
    """Compare two sets of runs; each set has the runs of one recipe with several seeds, or a single run.

    The variance of the difference of the mean accuracies is the sum of the variance over images, which includes the
    randomness of each prediction, and the excess variance over seeds. This is the analysis of variance of readers and
    cases, with seeds as readers and images as cases. The degrees of freedom are those of Welch and Satterthwaite.

    Sources: N. A. Obuchowski, H. E. Rockette, "Hypothesis testing of diagnostic accuracy for multiple readers and
    multiple tests", Communications in Statistics 24 (1995); S. L. Hillis, "A comparison of denominator degrees of
    freedom methods for multiple observer ROC analysis", Statistics in Medicine 26 (2007). For the need of
    both variances: X. Bouthillier et al., "Accounting for variance in machine learning benchmarks", MLSys 2021.

    Args:
        first: correct predictions of the first side's runs on n images, bool [runs, n], n at least 2.
        second: correct predictions of the second side's runs on the same images in the same order, bool [runs, n].
    """
    differences = second.mean(axis=0) - first.mean(axis=0)
    difference = float(differences.mean())
    images_variance = float(differences.var(ddof=1)) / len(differences)
    if len(first) == len(second) == 1:
        # Few images without a disagreement don't show that there is none among others: the smallest variance is that
        # of A. Agresti, Y. Min, Statistics in Medicine 24 (2005), who add half an image to each of the four counts.
        images_variance = max(images_variance, (len(differences) + 2) ** -2)
    sides = _seed_variances(first, second)
    variance = images_variance + sum(side.excess / side.runs for side in sides)
    if variance < _ZERO_VARIANCE:
        p, interval = _test_equal_differences(difference, len(differences))
    else:
        freedom = _degrees_of_freedom(variance, images_variance, len(differences), sides)
        p, interval = _t_test(difference, variance, freedom)
    only, models_p = _compare_models(first, second)
    return Difference(
        difference=difference,
        interval=interval,
        images_interval=bootstrap_interval(differences),
        # For few images the t-test is too optimistic; the exact test is valid.
        p=p if models_p is None else max(p, models_p),
        models_p=models_p,
        first_only=only[0],
        second_only=only[1],
        seed_spreads=(math.sqrt(sides[0].excess), math.sqrt(sides[1].excess)),
        measured=len(first) > 1 or len(second) > 1,
    )


def mean_interval(correct: NDArray[np.bool_]) -> tuple[float, float]:
    """Compute the 95% interval of the mean accuracy of runs.

    For a single run this is the Wilson interval; for several runs, an interval over other seeds and other images.

    Args:
        correct: correct predictions of each run on n images, bool [runs, n], n at least 2.
    """
    if len(correct) == 1:
        return wilson_interval(int(correct.sum()), correct.shape[1])
    per_image, seeds = correct.mean(axis=0), _measured_variance(correct)
    n = len(per_image)
    images_variance = float(per_image.var(ddof=1)) / n
    variance = images_variance + seeds.excess / seeds.runs
    if variance < _ZERO_VARIANCE:  # each image has the same number of correct predictions
        return wilson_interval(n * float(per_image.mean()), n)
    denominator = images_variance**2 / (n - 1) + (seeds.variance / seeds.runs) ** 2 / seeds.freedom
    half = float(t.ppf(1 - LEVEL / 2, variance**2 / denominator)) * math.sqrt(variance)
    mean = float(per_image.mean())
    return max(0.0, mean - half), min(1.0, mean + half)


def mcnemar(first_only: int, second_only: int) -> float:
    """Compute the two-sided p-value of McNemar's exact test for two models on the same images.

    Source: Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12 (1947); for classifiers T. G. Dietterich, "Approximate statistical tests for comparing supervised
    classification learning algorithms", Neural Computation 10 (1998).

    Args:
        first_only: number of images that only the first model predicts correctly.
        second_only: number of images that only the second model predicts correctly.
    """
    fewer, either = min(first_only, second_only), first_only + second_only
    return min(1.0, 2 * float(binom.cdf(fewer, either, 0.5)))


def bootstrap_interval(differences: NDArray[np.float64], *, seed: int = 0) -> tuple[float, float]:
    """Compute the 95% bootstrap percentile interval of a mean over images, with 10,000 resamples.

    Source: B. Efron, R. J. Tibshirani, "An introduction to the bootstrap", Chapman & Hall 1993, chapter 13.

    Args:
        differences: difference of each image, float64 [n].
        seed: seed of the resampling.

    Returns:
        Lower and upper end of the interval.
    """
    # There are few different values, and their counts in a resample have a multinomial distribution.
    values, counts = np.unique(differences, return_counts=True)
    n = len(differences)
    resampled = np.random.Generator(np.random.Philox(seed)).multinomial(n, counts / n, size=_RESAMPLES)
    low, high = np.percentile(resampled @ values / n, [100 * LEVEL / 2, 100 * (1 - LEVEL / 2)])
    return float(low), float(high)


def seed_spread(correct: NDArray[np.bool_]) -> float:
    """Estimate the standard deviation of the accuracy over seeds for infinitely many images.

    The accuracies of two equally good runs differ because the predictions for ambiguous images vary from run to run.
    This variance decreases with the number of images and is subtracted here. The remaining variance is the variance of
    the quality of the runs; a negative estimate is set to 0.

    Source: K. Jordan, "On the variance of neural network training with respect to test sets and distributions",
    ICLR 2024, section 3. The remaining variance of complete trainings is small there.

    Args:
        correct: correct predictions of each run, bool [runs, n]; at least two runs.
    """
    return math.sqrt(_excess(correct))


def _t_test(difference: float, variance: float, freedom: float) -> tuple[float, tuple[float, float]]:
    """Compute the two-sided p-value and the 95% interval of a difference by Student's t; variance greater than 0."""
    deviation = math.sqrt(variance)
    half = float(t.ppf(1 - LEVEL / 2, freedom)) * deviation
    p = float(2 * t.sf(abs(difference) / deviation, freedom))
    return p, (max(-1.0, difference - half), min(1.0, difference + half))


def _test_equal_differences(difference: float, n: int) -> tuple[float, tuple[float, float]]:
    """Compute the two-sided p-value and the 95% interval if n images have the same difference.

    A fraction of at least (0.05 / 2)^(1 / n) of all images has this difference (C. J. Clopper, E. S. Pearson,
    Biometrika 26, 1934); the differences of the other images are unknown, from -1 to 1. The p-value is the level at
    which the interval contains 0; for a difference of 1, the p-value is that of a sign test of n images.
    """
    fraction = (LEVEL / 2) ** (1 / n)
    low, high = fraction * difference - (1 - fraction), fraction * difference + (1 - fraction)
    return min(1.0, 2 * (1 + abs(difference)) ** -n), (max(-1.0, low), min(1.0, high))


def _excess(correct: NDArray[np.bool_]) -> float:
    """Return the variance of the accuracy over seeds minus the variance from the randomness of each prediction."""
    per_prediction = float(correct.var(axis=0, ddof=1).mean()) / correct.shape[1]
    excess = float(correct.mean(axis=1).var(ddof=1)) - per_prediction
    return excess if excess > 0 else 0.0


def _seed_variances(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> tuple[_SeedVariance, _SeedVariance]:
    """Return the variance over seeds of each side.

    A side with a single run takes the variance of the other side, or the default for two single runs.
    """
    of_first, of_second = (_measured_variance(side) if len(side) > 1 else None for side in (first, second))
    default = _SeedVariance(DEFAULT_SEED_SPREAD**2, 0.0, math.inf, 1)
    return of_first or _of_one_run(of_second or default), of_second or _of_one_run(of_first or default)


def _measured_variance(correct: NDArray[np.bool_]) -> _SeedVariance:
    runs = len(correct)
    return _SeedVariance(_excess(correct), float(correct.mean(axis=1).var(ddof=1)), runs - 1, runs)


def _of_one_run(seeds: _SeedVariance) -> _SeedVariance:
    return _SeedVariance(seeds.excess, seeds.variance, seeds.freedom, 1)


def _degrees_of_freedom(
    variance: float, images_variance: float, n: int, sides: tuple[_SeedVariance, _SeedVariance]
) -> float:
    denominator = images_variance**2 / (n - 1)
    variances = [side.variance / side.runs for side in sides]
    if sides[0].variance == sides[1].variance:
        # Both sides share one estimate, so that the errors are added before squaring.
        denominator += sum(variances) ** 2 / sides[0].freedom
    else:
        denominator += sum(one**2 / side.freedom for one, side in zip(variances, sides, strict=True))
    return max(1.0, variance**2 / denominator) if denominator else math.inf


def _compare_models(
    first: NDArray[np.bool_], second: NDArray[np.bool_]
) -> tuple[tuple[int, int] | tuple[None, None], float | None]:
    if len(first) > 1 or len(second) > 1:
        return (None, None), None
    only = int((first & ~second).sum()), int((second & ~first).sum())
    return only, mcnemar(*only)
