"""Stratified random sample of a heap, and an interval for the number of wrong images in the whole heap.

A model is wrong on M of N images, and a person answers for n of them. The images are divided into strata by the
model's estimate r of the probability that it is wrong. From stratum h, with N_h images, n_h images are drawn uniformly
without replacement, where k_h turn out to be wrong. The estimate of M is T = sum of N_h k_h / n_h. It is unbiased
whatever the estimates r are: they only choose the strata and the n_h.

Choice of n_h. The variance is smallest for n_h proportional to N_h times the standard deviation of "wrong" in the
stratum (J. Neyman, "On the two different aspects of the representative method", 1934). T. Zrnic and E. J. Candès,
"Active statistical inference", arXiv 2403.03208 (2024), sample with the same probabilities, proportional to
sqrt(r (1 - r)), and mix them with uniform ones against wrong estimates. Both is done here. The uniform share is the
smallest that keeps the variance at most `_MOST_WASTED` above that of a uniform sample where r carries no information.
Their estimator is a mean of r, corrected by weighted errors, with a factor for r (power tuning: A. N. Angelopoulos,
J. C. Duchi, T. Zrnic, "PPI++", arXiv 2311.01453, 2023). For r that is constant within the strata, the best factor in
each stratum leaves T, so T needs no factor.

Interval. For each M' in question, the most likely numbers M_h of wrong images with the sum M' are found. The number M'
belongs to the interval if the probability of a T at most as large as the one found, and that of a T at least as large,
are both more than half of 1 - confidence, for independent hypergeometric k_h with these M_h. The M_h solve the
likelihood equations with the variance of the hypergeometric distribution,

    k_h / n_h - p_h = lambda W_h f_h p_h (1 - p_h) / n_h,

where p_h = M_h / N_h, W_h = N_h / N, f_h = (N_h - n_h) / (N_h - 1), and lambda is the multiplier of the sum.

For one stratum this is the exact interval of C. J. Clopper and E. S. Pearson (1934) for the hypergeometric
distribution, which holds without assumptions. For more strata the tails are exact, but at the most likely M_h instead
of the unknown true ones (a profile limit: P. Kabaila and C. J. Lloyd, "Profile upper confidence limits from discrete
data", Aust. N. Z. J. Stat. 42, 2000), so the coverage is no theorem. `benchmarks/estimate.py` measures it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import gammaln

_ANSWERS_PER_STRATUM = 25
_MOST_STRATA = 8
_MOST_WASTED = 0.15
_CAUTION = 0.8  # of the risk, with several strata: simulated coverage at the full risk is 92 to 100% in place of 95%
_GRID = 1 << 12  # points of the grid of T / N: a rounding error of 0.0001, against intervals of 0.05


@dataclass(frozen=True, eq=False)
class Strata:
    """Strata of a heap of N images, and the number of images to draw from each.

    Attributes:
        stratum: stratum of each image, int64 [N].
        sizes: number of images of each stratum, int64 [H].
        samples: number of images to draw from each stratum, int64 [H].
    """

    stratum: NDArray[np.int64]
    sizes: NDArray[np.int64]
    samples: NDArray[np.int64]

    def draw(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw the images of the sample, uniformly and without replacement in each stratum.

        Returns:
            Positions of the images in a random order, int64 [n].
        """
        drawn = [
            rng.choice(np.flatnonzero(self.stratum == number), size, replace=False)
            for number, size in enumerate(self.samples.tolist())
        ]
        return rng.permutation(np.concatenate(drawn))

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Probability of each image to be drawn, 0 to 1, float64 [N]."""
        return (self.samples / self.sizes)[self.stratum]


def choose_strata(probability_wrong: NDArray[np.float64], sample: int) -> Strata:
    """Divide a heap into strata, and choose the number of images to draw from each.

    Args:
        probability_wrong: estimated probability that the model is wrong, 0 to 1, float64 [N].
        sample: number of images to draw, n, from 1 to N.
    """
    deviation = np.sqrt(probability_wrong * (1 - probability_wrong))
    mean = float(deviation.mean())
    weights = np.ones_like(deviation) if mean == 0 else deviation / mean
    count = min(_MOST_STRATA, max(1, sample // _ANSWERS_PER_STRATUM))
    order = np.argsort(probability_wrong, kind="stable")
    for uniform in np.linspace(0, 1, 101):
        strata = _divide(order, uniform + (1 - uniform) * weights, count, sample)
        shares = strata.sizes / len(probability_wrong)
        if float((shares**2 / strata.samples).sum()) * sample <= 1 + _MOST_WASTED:
            break
    return strata


def _divide(order: NDArray[np.int64], measure: NDArray[np.float64], count: int, sample: int) -> Strata:
    """Divide a heap, in the order of the estimated error, into strata of equal sums of a measure, as samples are."""
    reached = np.cumsum(measure[order]) - measure[order] / 2
    part = np.minimum((reached / measure.sum() * count).astype(np.int64), count - 1)
    stratum = np.empty(len(order), np.int64)
    stratum[order] = np.unique(part, return_inverse=True)[1]
    sizes = np.bincount(stratum)
    wanted = np.bincount(stratum, measure) / measure.sum() * sample
    return Strata(stratum, sizes, _whole_numbers(wanted, np.minimum(sizes, 1), sizes, sample))


def _whole_numbers(
    wanted: NDArray[np.float64], least: NDArray[np.int64], most: NDArray[np.int64], total: int
) -> NDArray[np.int64]:
    """Return whole numbers near `wanted`, from `least` to `most`, whose sum is as near to `total` as these allow."""
    numbers = np.clip(np.floor(wanted + 1e-9).astype(np.int64), least, most)
    while (missing := total - int(numbers.sum())) != 0:
        step = 1 if missing > 0 else -1
        free = np.flatnonzero(numbers < most if missing > 0 else numbers > least)
        if not len(free):
            break
        nearest = free[np.argsort(-step * (wanted - numbers)[free], kind="stable")][: abs(missing)]
        numbers[nearest] += step
    return numbers


@dataclass(frozen=True)
class Interval:
    """Estimate and confidence interval of a fraction of a heap.

    Attributes:
        estimate: estimate, 0 to 1.
        low: lower limit, 0 to 1.
        high: upper limit, 0 to 1.
    """

    estimate: float
    low: float
    high: float


def interval_of_wrong(
    sizes: NDArray[np.int64], samples: NDArray[np.int64], wrong: NDArray[np.int64], confidence: float
) -> Interval:
    """Return the estimate and the interval of the fraction of wrong images in a heap, by a stratified sample.

    Strata without a sample may be wrong as a whole or not at all: the interval allows for both, and the estimate is
    that of the other strata.

    Args:
        sizes: number of images of each stratum, int64 [H].
        samples: number of images that were drawn, int64 [H]; at least one of them is not 0.
        wrong: number of wrong images among these, int64 [H].
        confidence: confidence of the interval, 0 to 1.
    """
    known = samples > 0
    unknown = int(sizes[~known].sum())
    sampled = _Sampled(sizes[known], samples[known], wrong[known])
    risk, heap = (1 - confidence) / 2, int(sizes.sum())
    risk *= _CAUTION if int(known.sum()) > 1 else 1.0
    return Interval(
        sampled.estimate / sampled.heap, sampled.lowest(risk) / heap, (sampled.highest(risk) + unknown) / heap
    )


class _Sampled:
    """Stratified sample with answers, and the distribution of its estimate T of the number of wrong images."""

    def __init__(self, sizes: NDArray[np.int64], samples: NDArray[np.int64], wrong: NDArray[np.int64]) -> None:
        self._sizes, self._samples, self._wrong = sizes, samples, wrong
        self.heap = int(sizes.sum())
        self.estimate = float((sizes * wrong / samples).sum())
        self._least, self._most = wrong, sizes - samples + wrong
        rest = (sizes - samples) / np.maximum(sizes - 1, 1)
        slopes = sizes / self.heap * rest / samples
        limits = self._least / sizes, self._most / sizes
        columns = [values.tolist() for values in (sizes, wrong / samples, slopes, *limits)]
        self._strata = [_Stratum(*values) for values in zip(*columns, strict=True)]
        self._log_factorials = gammaln(np.arange(int(sizes.max()) + 1) + 1.0)
        # The value of T at each k_h, on the grid.
        steps = np.arange(int(samples.max()) + 1)
        self._points = np.rint(np.outer(_GRID * sizes / (samples * self.heap), steps)).astype(np.int64)
        self._found = int(self._points[np.arange(len(sizes)), wrong].sum())

    def highest(self, risk: float) -> int:
        """Return the largest number of wrong images for which a T at most as large is more probable than a risk."""
        low, high = int(np.floor(self.estimate)), int(self._most.sum())
        low = max(low, int(self._least.sum()))
        while low < high:
            middle = (low + high + 1) // 2
            if self._probability_below(self._found + 1, middle) > risk:
                low = middle
            else:
                high = middle - 1
        return low

    def lowest(self, risk: float) -> int:
        """Return the smallest number of wrong images for which a T at least as large is more probable than a risk."""
        low, high = int(self._least.sum()), int(np.ceil(self.estimate))
        high = min(high, int(self._most.sum()))
        while low < high:
            middle = (low + high) // 2
            if 1 - self._probability_below(self._found, middle) > risk:
                high = middle
            else:
                low = middle + 1
        return high

    def _probability_below(self, limit: int, wrong: int) -> float:
        """Return the probability that T is below a point of the grid, if a number of images is wrong in the heap."""
        likely = _whole_numbers(self._fractions(wrong) * self._sizes, self._least, self._most, wrong)
        total = np.zeros(limit)
        total[:1] = 1
        for size, sample, number, points in zip(self._sizes, self._samples, likely, self._points, strict=True):
            first, probabilities = self._hypergeometric(int(size), int(number), int(sample))
            there = points[first : first + len(probabilities)]
            summed = np.zeros(limit)
            for point, probability in zip(there[there < limit].tolist(), probabilities.tolist(), strict=False):
                summed[point:] += probability * total[: limit - point]
            total = summed
        return float(total.sum())

    def _fractions(self, wrong: int) -> NDArray[np.float64]:
        """Return the most likely fraction of wrong images in each stratum, if this number is wrong in the heap."""

        def excess(multiplier: float) -> float:
            # Plain numbers: for eight strata they are several times faster than arrays.
            return sum(stratum.size * stratum.fraction(multiplier) for stratum in self._strata) - wrong

        slopes = [stratum.slope for stratum in self._strata if stratum.slope > 0]
        end, found = 0.0, excess(0.0)
        if slopes and abs(found) > 1e-6:
            sign = 1.0 if found > 0 else -1.0
            end = sign / min(slopes)
            while sign * excess(end) > 0 and abs(end) < 1e15:
                end *= 2
            if sign * excess(end) <= 0:
                end = brentq(excess, 0.0, end, xtol=1e-6 * abs(end))
        return np.array([stratum.fraction(end) for stratum in self._strata])

    def _hypergeometric(self, size: int, wrong: int, sample: int) -> tuple[int, NDArray[np.float64]]:
        """Return the numbers of wrong images in a sample that are not too improbable: the first, and all probabilities.

        Args:
            size: number of images.
            wrong: number of wrong images.
            sample: number of images of the sample.
        """
        factorial = self._log_factorials
        numbers = np.arange(max(0, sample - (size - wrong)), min(sample, wrong) + 1)
        constant = factorial[wrong] + factorial[size - wrong] + factorial[sample] + factorial[size - sample]
        rest = factorial[numbers] + factorial[wrong - numbers] + factorial[sample - numbers]
        logarithms = constant - factorial[size] - rest - factorial[size - wrong - sample + numbers]
        probable = np.flatnonzero(logarithms > -25)  # others have a probability below 1e-10
        return int(numbers[probable[0]]), np.exp(logarithms[probable])


class _Stratum(NamedTuple):
    """Stratum with answers: its most likely fraction of wrong images, as a function of the multiplier lambda."""

    size: int
    observed: float
    slope: float
    low: float
    high: float

    def fraction(self, multiplier: float) -> float:
        """Return the root between 0 and 1 of c p^2 - (1 + c) p + k / n = 0, within the possible fractions."""
        c = multiplier * self.slope
        root = math.sqrt(max((1 + c) ** 2 - 4 * c * self.observed, 0.0))
        # For a positive 1 + c, a form without cancellation for small c.
        found = 2 * self.observed / (1 + c + root) if 1 + c > 0 else (1 + c - root) / (2 * c)
        return min(max(found, self.low), self.high)
