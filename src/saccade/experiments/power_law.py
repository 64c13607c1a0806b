"""Fit of the power law of a learning curve, error = a + b * images^-c, with intervals.

Sources: J. Hestness et al., "Deep learning scaling is predictable, empirically", arXiv 1712.00409 (2017): the error
follows a power law once there are enough images to be better than a guess. T. Viering, M. Loog, "The shape of learning
curves: a review", arXiv 2103.10948 (2021): the law has a constant for the irreducible error, and some learning curves
do not follow a power law.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

Floats = NDArray[np.float64]

# A smaller exponent is hardly distinguishable from a line in log(images), a larger one from a constant.
_EXPONENTS = np.geomspace(0.05, 2.0, 400)
_RESAMPLES = 1000
_LEVEL = 0.05


@dataclass(frozen=True, eq=False)
class MeasuredErrors:
    """Errors of trainings on several numbers of images, all measured on the same n held-out images.

    Attributes:
        num_images: numbers of training images in increasing order, float64 [sizes].
        incorrect: for each size, the incorrect predictions of its trainings, at least two, bool [trainings, n].
    """

    num_images: Floats
    incorrect: tuple[NDArray[np.bool_], ...]

    @property
    def trainings(self) -> Floats:
        """Number of trainings of each size, float64 [sizes]."""
        return np.array([len(incorrect) for incorrect in self.incorrect], np.float64)

    @property
    def means(self) -> Floats:
        """Mean error of each size, 0 to 1, float64 [sizes]."""
        return np.array([incorrect.mean() for incorrect in self.incorrect])


@dataclass(frozen=True, eq=False)
class Law:
    """Power laws of the measured errors (first row) and of their bootstrap samples (other rows).

    Attributes:
        constants: a, b and c of each law, float64 [1 + resamples, 3].
        errors: mean error of each size, of the sizes left out of the fit as well, float64 [1 + resamples, sizes].
        widening: factor of the width of intervals, at least 1; larger if the errors are far from the first law.
    """

    constants: Floats
    errors: Floats
    widening: float

    def at(self, images: float) -> Floats:
        """Return the error at a number of images by each law, 0 to 1, float64 [1 + resamples]."""
        a, b, c = self.constants.T
        return np.asarray(np.clip(a + b * images**-c, 0.0, 1.0), np.float64)

    def interval(self, values: Floats) -> tuple[float, float]:
        """Return the widened 95% interval of a quantity from its values by each law, float64 [1 + resamples]."""
        first = values[0]
        low, high = np.percentile(values[1:], [100 * _LEVEL / 2, 100 * (1 - _LEVEL / 2)])
        return float(first + self.widening * min(0.0, low - first)), float(
            first + self.widening * max(0.0, high - first)
        )


def fit_law(measured: MeasuredErrors, *, without: int = 0, seed: int = 0) -> Law:
    """Fit the power law to the measured errors and to bootstrap samples over images and trainings.

    The held-out images are resampled with replacement (B. Efron, R. J. Tibshirani, "An introduction to the bootstrap",
    1993), in the same way for all sizes, because all sizes are measured on the same images. The trainings are sampled
    from a normal distribution. Its variance is proportional to e (1 - e), with one factor for all sizes, because the
    three trainings of one size are too few for an estimate.

    Args:
        measured: errors of at least three sizes besides those left out.
        without: number of the largest sizes that are left out of the fit, for a test of the law.
        seed: random seed of the bootstrap.
    """
    sizes = len(measured.num_images) - without
    means, trainings = measured.means, measured.trainings
    spread = np.clip(means * (1 - means), 0.5 / measured.incorrect[0].shape[1], None)
    scale = _training_variance(measured, spread)
    weights = trainings[:sizes] / spread[:sizes]
    errors = np.concatenate([means[None], _bootstrap_errors(measured, scale * spread / trainings, seed)])
    constants = fit_constants(measured.num_images[:sizes], errors[:, :sizes], weights)
    law = Law(constants, errors, 1.0)
    residuals = means[:sizes] - np.array([law.at(images)[0] for images in measured.num_images[:sizes]])
    return Law(constants, errors, max(1.0, _widening(float((weights * residuals**2).sum()), scale, sizes - 3)))


def fit_constants(images: Floats, errors: Floats, weights: Floats) -> Floats:
    """Fit the constants of power laws by weighted least squares.

    For a given c the law is linear in a and b, which must not be negative. They are solved for exactly, for 400
    values of c from 0.05 to 2, and the best c is returned (variable projection: G. Golub, V. Pereyra, "The
    differentiation of pseudo-inverses and nonlinear least squares problems whose variables separate", SIAM J. Numer.
    Anal. 10, 1973). The method needs no initial guess and finds no local minima.

    Args:
        images: numbers of images, positive, float64 [sizes].
        errors: errors, float64 [laws, sizes].
        weights: weights of the sizes, positive, float64 [sizes].

    Returns:
        Constants a, b and c of each law, float64 [laws, 3].
    """
    unit = float(np.exp(np.log(images).mean()))
    powers = (images / unit)[None] ** -_EXPONENTS[:, None]  # [c, sizes]
    sum_w, sum_x, sum_xx = weights.sum(), powers @ weights, powers**2 @ weights
    sum_y, sum_xy = (errors @ weights)[:, None], errors @ (powers * weights).T  # [laws, 1], [laws, c]
    slope = (sum_w * sum_xy - sum_x * sum_y) / (sum_w * sum_xx - sum_x**2)
    floor = (sum_y - slope * sum_x) / sum_w
    # A constant that would be negative is set to 0, and the other one is fitted again.
    slope, floor = np.where(floor < 0, sum_xy / sum_xx, slope), np.maximum(floor, 0)
    slope, floor = np.maximum(slope, 0), np.where(slope < 0, sum_y / sum_w, floor)
    misfit = floor**2 * sum_w + slope**2 * sum_xx + 2 * (floor * slope * sum_x - floor * sum_y - slope * sum_xy)
    best = misfit.argmin(axis=1)
    each = np.arange(len(errors))
    exponents = _EXPONENTS[best]
    return np.stack([floor[each, best], slope[each, best] * unit**exponents, exponents], axis=1)


def _training_variance(measured: MeasuredErrors, spread: Floats) -> float:
    """Return the variance of the error over trainings in units of e (1 - e), pooled over all sizes."""
    squares = [
        incorrect.mean(axis=1).var(ddof=1) * (len(incorrect) - 1) / unit
        for incorrect, unit in zip(measured.incorrect, spread, strict=True)
    ]
    return float(np.sum(squares) / (measured.trainings - 1).sum())


def _widening(misfit: float, scale: float, degrees_of_freedom: int) -> float:
    """Return the factor for the intervals: the residuals relative to chance, times a Student t correction."""
    if not degrees_of_freedom or not scale:
        return 1.0
    # At least two degrees of freedom: the quantile for one would make every interval extremely wide.
    student = t.ppf(1 - _LEVEL / 2, max(2, degrees_of_freedom)) / norm.ppf(1 - _LEVEL / 2)
    return float(student * (misfit / degrees_of_freedom / scale) ** 0.5)


def _bootstrap_errors(measured: MeasuredErrors, variances: Floats, seed: int) -> Floats:
    """Return bootstrap samples of the mean errors, float64 [resamples, sizes]."""
    rng = np.random.Generator(np.random.Philox(seed))
    per_image = np.stack([incorrect.mean(axis=0) for incorrect in measured.incorrect])  # [sizes, n]
    n = per_image.shape[1]
    times = rng.multinomial(n, np.full(n, 1 / n), size=_RESAMPLES)
    noise = rng.standard_normal((_RESAMPLES, len(variances))) * np.sqrt(variances)
    return np.asarray(np.clip(times @ per_image.T / n + noise, 0.0, 1.0), np.float64)
