"""Whether two classifiers, or two recipes, differ: statistics on which images were answered rightly.

Two sources of chance stand between two accuracies and a statement on two recipes: other test images would have given
other accuracies, and so would other seeds. McNemar's test and the bootstrap know the first alone: they tell whether two
trained models differ. A statement on recipes needs both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, t

from saccade.evaluation.metrics import wilson_interval

LEVEL = 0.05
"""The probability of calling two alike recipes different that every verdict allows for."""

DEFAULT_SEED_SPREAD = 0.002
"""What `seed_spread` is taken for where no recipe comes with several seeds, as part of 1; docs/compare.md says why."""

_RESAMPLES = 10_000
# A variance of accuracies below this is rounding: one image of a million, in one run of a thousand, makes 1e-18.
_NO_VARIANCE = 1e-20


@dataclass(frozen=True)
class Difference:
    """How far the accuracies of two sets of runs on the same images are apart, the second's less the first's.

    Attributes:
        difference: of the mean accuracies, -1 to 1.
        interval: 95% interval of it, for other seeds and other images.
        images_interval: 95% bootstrap interval of it, for these very models and other images.
        p: two-sided: how probable a difference of this size is between recipes that are equally good.
        models_p: the same between two models that are equally good, by McNemar's exact test; None where one side has
            several runs.
        first_only: images that only the first was right on; None where one side has several runs.
        second_only: images that only the second was right on; None likewise.
        seed_spreads: what was taken for the standard deviation of the accuracy over seeds of first and second, 0 to 1.
        measured: whether they come from runs that were compared, not from `DEFAULT_SEED_SPREAD`.
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
class _Seeds:
    """What the seeds of one side add to the variance: `excess` a run, from `freedom` degrees and raw `variance`."""

    excess: float
    variance: float
    freedom: float
    runs: int


def compare_correct(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Difference:
    """Compares two sets of runs, each of one recipe with several seeds, or of a single run.

    The variance of the difference of the mean accuracies has two parts: that over images, in which the chance of each
    answer is contained, and that of the accuracy over seeds, of which only what goes beyond the first is added. This is
    the analysis of variance of readers and cases, with seeds for readers and images for cases. The degrees of freedom
    are Welch's and Satterthwaite's.

    Sources: N. A. Obuchowski, H. E. Rockette, "Hypothesis testing of diagnostic accuracy for multiple readers and
    multiple tests", Communications in Statistics 24 (1995); S. L. Hillis, "A comparison of denominator degrees of
    freedom methods for multiple observer ROC analysis", Statistics in Medicine 26 (2007). That both sources of variance
    belong in a comparison: X. Bouthillier et al., "Accounting for variance in machine learning benchmarks", MLSys 2021.

    Args:
        first: bool [runs, n]: which of n images each run of the first was right on. n at least 2.
        second: bool [runs, n]: the same of the second, on the same images in the same order.
    """
    differences = second.mean(axis=0) - first.mean(axis=0)
    difference = float(differences.mean())
    images_variance = float(differences.var(ddof=1)) / len(differences)
    sides = _seeds_of(first, second)
    variance = images_variance + sum(side.excess / side.runs for side in sides)
    if variance < _NO_VARIANCE:
        p, interval = _of_equal_differences(difference, len(differences))
    else:
        freedom = _degrees_of_freedom(variance, images_variance, len(differences), sides)
        p, interval = _by_t(difference, variance, freedom)
    only, models_p = _one_against_one(first, second)
    return Difference(
        difference=difference,
        interval=interval,
        images_interval=bootstrap_interval(differences),
        # Of few images the normal distribution says too much, which the exact test does not.
        p=p if models_p is None else max(p, models_p),
        models_p=models_p,
        first_only=only[0],
        second_only=only[1],
        seed_spreads=(math.sqrt(sides[0].excess), math.sqrt(sides[1].excess)),
        measured=len(first) > 1 or len(second) > 1,
    )


def mean_interval(correct: NDArray[np.bool_]) -> tuple[float, float]:
    """The 95% interval of the mean accuracy of runs: Wilson's for one; of several, for other seeds and images.

    Args:
        correct: bool [runs, n]: which of n images, at least 2, each run was right on.
    """
    if len(correct) == 1:
        return wilson_interval(int(correct.sum()), correct.shape[1])
    per_image, seeds = correct.mean(axis=0), _measured_seeds(correct)
    n = len(per_image)
    images_variance = float(per_image.var(ddof=1)) / n
    variance = images_variance + seeds.excess / seeds.runs
    if variance < _NO_VARIANCE:  # the runs are right equally often on each image, so that no spread can be seen
        return wilson_interval(n * float(per_image.mean()), n)
    uncertain = images_variance**2 / (n - 1) + (seeds.variance / seeds.runs) ** 2 / seeds.freedom
    half = float(t.ppf(1 - LEVEL / 2, variance**2 / uncertain)) * math.sqrt(variance)
    mean = float(per_image.mean())
    return max(0.0, mean - half), min(1.0, mean + half)


def mcnemar(first_only: int, second_only: int) -> float:
    """McNemar's exact test of two models on the same images: the two-sided probability of so uneven a split.

    Source: Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12 (1947); for classifiers T. G. Dietterich, "Approximate statistical tests for comparing supervised
    classification learning algorithms", Neural Computation 10 (1998).

    Args:
        first_only: images that only the first model is right on.
        second_only: images that only the second is right on.
    """
    fewer, either = min(first_only, second_only), first_only + second_only
    return min(1.0, 2 * float(binom.cdf(fewer, either, 0.5)))


def bootstrap_interval(differences: NDArray[np.float64], *, seed: int = 0) -> tuple[float, float]:
    """The 95% percentile interval of a mean over images, from 10,000 resamplings of the images.

    Source: B. Efron, R. J. Tibshirani, "An introduction to the bootstrap", Chapman & Hall 1993, chapter 13.

    Args:
        differences: float64 [n], one of each image.
        seed: of the resampling.

    Returns:
        The lower and the upper end.
    """
    # There are few different values, and how often each is drawn is multinomial: no need to draw image by image.
    values, counts = np.unique(differences, return_counts=True)
    n = len(differences)
    drawn = np.random.Generator(np.random.Philox(seed)).multinomial(n, counts / n, size=_RESAMPLES)
    low, high = np.percentile(drawn @ values / n, [100 * LEVEL / 2, 100 * (1 - LEVEL / 2)])
    return float(low), float(high)


def seed_spread(correct: NDArray[np.bool_]) -> float:
    """The standard deviation of the accuracy over seeds, on so many images that their chance is no part of it.

    The accuracies of two runs differ even where the runs are equally good, because an image near the border of two
    classes falls to either side. That part shrinks with the number of images, and is taken away here; what is left
    is how much better one run is than another. It is 0 where nothing is left.

    Source: K. Jordan, "On the variance of neural network training with respect to test sets and distributions",
    ICLR 2024, section 3, which finds that little is left in trainings that ran to their end.

    Args:
        correct: bool [runs, n]; at least two runs.
    """
    return math.sqrt(_excess(correct))


def holm(probabilities: list[float]) -> list[float]:
    """Probabilities made larger, so that of several comparisons none is called different by chance but with 5%.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6
    (1979).
    """
    adjusted, largest = [0.0] * len(probabilities), 0.0
    for rank, place in enumerate(np.argsort(probabilities, kind="stable")):
        largest = max(largest, min(1.0, (len(probabilities) - rank) * probabilities[place]))
        adjusted[place] = largest
    return adjusted


def _by_t(difference: float, variance: float, freedom: float) -> tuple[float, tuple[float, float]]:
    """Two-sided p-value and 95% interval of a difference, by Student's t distribution; variance greater than 0."""
    deviation = math.sqrt(variance)
    half = float(t.ppf(1 - LEVEL / 2, freedom)) * deviation
    p = float(2 * t.sf(abs(difference) / deviation, freedom))
    return p, (max(-1.0, difference - half), min(1.0, difference + half))


def _of_equal_differences(difference: float, n: int) -> tuple[float, tuple[float, float]]:
    """Two-sided p-value and 95% interval where n images all have the same difference, so that no spread can be seen.

    Of all images a part of at least (0.05 / 2)^(1 / n) has this difference (C. J. Clopper, E. S. Pearson, Biometrika
    26, 1934); nothing is known of the rest, whose differences may be anything from -1 to 1. The p-value is the level at
    which the interval begins to hold 0: of a difference of 1 it is that of the sign test of n images.
    """
    fraction = (LEVEL / 2) ** (1 / n)
    low, high = fraction * difference - (1 - fraction), fraction * difference + (1 - fraction)
    return min(1.0, 2 * (1 + abs(difference)) ** -n), (max(-1.0, low), min(1.0, high))


def _excess(correct: NDArray[np.bool_]) -> float:
    """The variance of the accuracy over seeds beyond what chance in each answer explains."""
    chance = float(correct.var(axis=0, ddof=1).mean()) / correct.shape[1]
    excess = float(correct.mean(axis=1).var(ddof=1)) - chance
    return excess if excess > 0 else 0.0


def _seeds_of(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> tuple[_Seeds, _Seeds]:
    """Each side's own seeds; of a single run those of the other side, and without any the default."""
    own = [_measured_seeds(side) if len(side) > 1 else None for side in (first, second)]
    default = _Seeds(DEFAULT_SEED_SPREAD**2, 0.0, math.inf, 1)
    mine, other = own
    return mine or _alone(other or default), other or _alone(mine or default)


def _measured_seeds(correct: NDArray[np.bool_]) -> _Seeds:
    runs = len(correct)
    return _Seeds(_excess(correct), float(correct.mean(axis=1).var(ddof=1)), runs - 1, runs)


def _alone(seeds: _Seeds) -> _Seeds:
    return _Seeds(seeds.excess, seeds.variance, seeds.freedom, 1)


def _degrees_of_freedom(variance: float, images_variance: float, n: int, sides: tuple[_Seeds, _Seeds]) -> float:
    uncertain = images_variance**2 / (n - 1)
    parts = [side.variance / side.runs for side in sides]
    if sides[0].variance == sides[1].variance:
        # One estimate serves both, so that its errors add up.
        uncertain += sum(parts) ** 2 / sides[0].freedom
    else:
        uncertain += sum(fraction**2 / side.freedom for fraction, side in zip(parts, sides, strict=True))
    return max(1.0, variance**2 / uncertain) if uncertain else math.inf


def _one_against_one(
    first: NDArray[np.bool_], second: NDArray[np.bool_]
) -> tuple[tuple[int, int] | tuple[None, None], float | None]:
    if len(first) > 1 or len(second) > 1:
        return (None, None), None
    only = int((first & ~second).sum()), int((second & ~first).sum())
    return only, mcnemar(*only)
