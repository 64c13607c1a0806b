"""The power law of a learning curve: error = a + b * images^-c, fitted, with its uncertainty.

Sources: J. Hestness et al., "Deep learning scaling is predictable, empirically", arXiv 1712.00409 (2017): errors fall
by such laws once there is enough data to be better than a guess; T. Viering, M. Loog, "The shape of learning curves: a
review", arXiv 2103.10948 (2021): with a constant, for what no number of images mends, and with the warning that some
curves are no power laws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

Floats = NDArray[np.float64]

# Below, a curve can hardly be told from a straight line in the logarithm; above, from one that has ended.
_EXPONENTS = np.geomspace(0.05, 2.0, 400)
_RESAMPLES = 1000
_LEVEL = 0.05


@dataclass(frozen=True, eq=False)
class MeasuredErrors:
    """What trainings on several numbers of images got wrong, all asked about the same images.

    Attributes:
        num_images: trained on, float64 [sizes], rising.
        incorrect: for each size, bool [trainings, n]: which of n images each of its trainings, at least two, got wrong.
    """

    num_images: Floats
    incorrect: tuple[NDArray[np.bool_], ...]

    @property
    def trainings(self) -> Floats:
        """How many trainings each size has, float64 [sizes]."""
        return np.array([len(incorrect) for incorrect in self.incorrect], np.float64)

    @property
    def means(self) -> Floats:
        """The mean error of each size, 0 to 1, float64 [sizes]."""
        return np.array([incorrect.mean() for incorrect in self.incorrect])


@dataclass(frozen=True, eq=False)
class Law:
    """Power laws: that of the measured errors first, then those of errors as they might have been.

    Attributes:
        constants: float64 [1 + resamples, 3]: a, b and c of each.
        errors: float64 [1 + resamples, sizes]: the mean errors that each was fitted to, and others of larger sizes.
        widening: at least 1: by how much intervals grow because the sizes lie far from the first law.
    """

    constants: Floats
    errors: Floats
    widening: float

    def at(self, images: float) -> Floats:
        """The error with so many images by each law, 0 to 1, float64 [1 + resamples]."""
        a, b, c = self.constants.T
        return np.asarray(np.clip(a + b * images**-c, 0.0, 1.0), np.float64)

    def interval(self, values: Floats) -> tuple[float, float]:
        """The 95% interval of a quantity from its values by each law, float64 [1 + resamples], widened."""
        first = values[0]
        low, high = np.percentile(values[1:], [100 * _LEVEL / 2, 100 * (1 - _LEVEL / 2)])
        return float(first + self.widening * min(0.0, low - first)), float(
            first + self.widening * max(0.0, high - first)
        )


def fit_law(measured: MeasuredErrors, *, without: int = 0, seed: int = 0) -> Law:
    """Fits the law, and fits it anew to errors as they might have been with other images and other trainings.

    Other images to ask about are drawn from those there are (B. Efron, R. J. Tibshirani, "An introduction to the
    bootstrap", 1993), the same for all sizes, since all sizes were asked about the same. Other trainings are drawn from
    the normal distribution, with a variance that all sizes share but for the factor e (1 - e): three trainings of one
    size say too little of their own.

    Args:
        measured: at least three sizes beside those left out.
        without: so many of the largest sizes are left out of the fits, for a test of the law on them.
        seed: of the drawing.
    """
    sizes = len(measured.num_images) - without
    means, trainings = measured.means, measured.trainings
    spread = np.clip(means * (1 - means), 0.5 / measured.incorrect[0].shape[1], None)
    scale = _training_variance(measured, spread)
    weights = trainings[:sizes] / spread[:sizes]
    errors = np.concatenate([means[None], _redrawn(measured, scale * spread / trainings, seed)])
    constants = fit_constants(measured.num_images[:sizes], errors[:, :sizes], weights)
    law = Law(constants, errors, 1.0)
    misses = means[:sizes] - np.array([law.at(images)[0] for images in measured.num_images[:sizes]])
    return Law(constants, errors, max(1.0, _widening(float((weights * misses**2).sum()), scale, sizes - 3)))


def fit_constants(images: Floats, errors: Floats, weights: Floats) -> Floats:
    """The constants of the laws that lie nearest to errors, by weighted least squares.

    For a given c the law is linear in a and b, neither of which may be negative: these are solved for exactly, for 400
    values of c from 0.05 to 2 (G. Golub, V. Pereyra, "The differentiation of pseudo-inverses and nonlinear least
    squares problems whose variables separate", SIAM J. Numer. Anal. 10, 1973), and the best is taken. So there is no
    first guess, and no minimum that is only local.

    Args:
        images: float64 [sizes], positive.
        errors: float64 [laws, sizes].
        weights: float64 [sizes], positive.

    Returns:
        float64 [laws, 3]: a, b and c.
    """
    unit = float(np.exp(np.log(images).mean()))
    powers = (images / unit)[None] ** -_EXPONENTS[:, None]  # [c, sizes]
    sum_w, sum_x, sum_xx = weights.sum(), powers @ weights, powers**2 @ weights
    sum_y, sum_xy = (errors @ weights)[:, None], errors @ (powers * weights).T  # [laws, 1], [laws, c]
    slope = (sum_w * sum_xy - sum_x * sum_y) / (sum_w * sum_xx - sum_x**2)
    floor = (sum_y - slope * sum_x) / sum_w
    # Where one of them would be negative, the best law without it.
    slope, floor = np.where(floor < 0, sum_xy / sum_xx, slope), np.maximum(floor, 0)
    slope, floor = np.maximum(slope, 0), np.where(slope < 0, sum_y / sum_w, floor)
    misfit = floor**2 * sum_w + slope**2 * sum_xx + 2 * (floor * slope * sum_x - floor * sum_y - slope * sum_xy)
    best = misfit.argmin(axis=1)
    each = np.arange(len(errors))
    exponents = _EXPONENTS[best]
    return np.stack([floor[each, best], slope[each, best] * unit**exponents, exponents], axis=1)


def _training_variance(measured: MeasuredErrors, spread: Floats) -> float:
    """The variance of the error over trainings of one size, in units of e (1 - e), from all sizes together."""
    squares = [
        incorrect.mean(axis=1).var(ddof=1) * (len(incorrect) - 1) / unit
        for incorrect, unit in zip(measured.incorrect, spread, strict=True)
    ]
    return float(np.sum(squares) / (measured.trainings - 1).sum())


def _widening(misfit: float, scale: float, freedom: int) -> float:
    """How many times as far as chance has them the sizes lie from the law, by so few that Student's t tells it."""
    if not freedom or not scale:
        return 1.0
    # From a single degree of freedom nothing can be told: it would make any interval as wide as can be.
    student = t.ppf(1 - _LEVEL / 2, max(2, freedom)) / norm.ppf(1 - _LEVEL / 2)
    return float(student * (misfit / freedom / scale) ** 0.5)


def _redrawn(measured: MeasuredErrors, variances: Floats, seed: int) -> Floats:
    """Mean errors as they might have been, float64 [resamples, sizes]."""
    draw = np.random.Generator(np.random.Philox(seed))
    per_image = np.stack([incorrect.mean(axis=0) for incorrect in measured.incorrect])  # [sizes, n]
    n = per_image.shape[1]
    times = draw.multinomial(n, np.full(n, 1 / n), size=_RESAMPLES)
    noise = draw.standard_normal((_RESAMPLES, len(variances))) * np.sqrt(variances)
    return np.asarray(np.clip(times @ per_image.T / n + noise, 0.0, 1.0), np.float64)
