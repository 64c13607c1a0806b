"""Out-of-distribution (OOD) p-value: fraction of validation images at least as unlike the training images as an image.

Networks often predict with high confidence for images of none of their classes. Statistics of early activations, or
pretrained features, detect images that look unlike the training images (`saccade.models.ood_statistics`); the
confidence is the better detector of other classes.
The score combines both: the squared Mahalanobis distance of the statistics from those of training images, and the
confidence of the prediction. Each is ranked among validation images, and the ranks are combined like p-values by R. A.
Fisher's method ("Statistical methods for research workers", 1925).

Source of the distance: K. Lee, K. Lee, H. Lee, J. Shin, "A simple unified framework for detecting out-of-distribution
samples and adversarial attacks", NeurIPS 2018, here without classes and on early layers or on pretrained features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from saccade.errors import RunError

OOD_THRESHOLD = 0.05
"""OOD p-value below which an image counts as out of distribution: 5% of in-distribution images have such a p-value."""

_RANKED = ("distances", "doubts", "surprises")

# Shrinkage of the covariance: this fraction of the mean variance is added to each variance.
_SHRINKAGE = 1e-2


@dataclass(frozen=True, eq=False)
class OodPValue:
    """OOD p-value, fitted to the training and validation images of a run.

    Attributes:
        mean: mean of the statistics of training images, float32 [d].
        whitening: whitening matrix of the statistics of training images, float32 [d, d].
        distances: squared Mahalanobis distances of validation images, ascending, float32 [n].
        doubts: 1 - confidence of the predictions for validation images, ascending, float32 [n].
        surprises: combined scores of validation images, ascending, float32 [n].
    """

    mean: NDArray[np.float32]
    whitening: NDArray[np.float32]
    distances: NDArray[np.float32]
    doubts: NDArray[np.float32]
    surprises: NDArray[np.float32]

    def p_values(self, statistics: NDArray[np.float32], confidences: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the fraction of validation images that are at least as unusual, 0 to 1, float64 [n].

        Scores of images like the training images are uniform: 5% of them are below 0.05.

        Args:
            statistics: statistics of n images, from `saccade.models.ood_statistics`, float32 [n, d].
            confidences: confidences of the predictions, float32 [n].
        """
        surprise = self._surprise(squared_mahalanobis(statistics, self.mean, self.whitening), 1 - confidences)
        return _fraction_above(self.surprises, surprise)

    def _surprise(self, distances: NDArray[np.float32], doubts: NDArray[np.float32]) -> NDArray[np.float32]:
        product = _fraction_above(self.distances, distances) * _fraction_above(self.doubts, doubts)
        return np.asarray(-np.log(product), np.float32)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float32]], size: int) -> OodPValue:
        """Return the OOD p-value with these attributes, by name.

        Args:
            arrays: attributes by name.
            size: number of statistics of an image, d.

        Raises:
            RunError: names, shapes or values are not those of an OOD p-value of this size.
        """
        n = num_ranked(arrays)
        shapes = {"mean": (size,), "whitening": (size, size)} | dict.fromkeys(_RANKED, (n,))
        found = {name: array.shape for name, array in arrays.items()}
        if found != shapes or not n or not all(np.isfinite(array).all() for array in arrays.values()):
            raise RunError("the run's statistics for OOD p-values are damaged", expected=f"{shapes}", found=f"{found}")
        return cls(**arrays)

    @classmethod
    def fit(
        cls,
        training: NDArray[np.float32],
        validation: NDArray[np.float32],
        confidences: NDArray[np.float32],
    ) -> OodPValue:
        """Fit the OOD p-value.

        Args:
            training: statistics of training images, float32 [m, d].
            validation: statistics of validation images, float32 [n, d].
            confidences: confidences of the predictions for the validation images, float32 [n].
        """
        mean, whitening = fit_whitening(training)
        distances = squared_mahalanobis(validation, mean, whitening)
        doubts = np.sort(1 - confidences)
        unranked = cls(mean, whitening, np.sort(distances), doubts, np.empty(0, np.float32))
        return replace(unranked, surprises=np.sort(unranked._surprise(distances, 1 - confidences)))


def is_ood(p_value: float) -> bool:
    """Return whether an image of this OOD p-value counts as out of distribution."""
    return p_value < OOD_THRESHOLD


def num_ranked(arrays: Mapping[str, NDArray[np.float32]]) -> int:
    """Return the number of validation images among which an image is ranked; 0 without statistics."""
    return arrays["distances"].size if "distances" in arrays else 0


def smallest_p_value(num_images: int) -> float:
    """Return the smallest OOD p-value that an image can have among this number of validation images."""
    return 1 / (num_images + 1)


def fit_whitening(statistics: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean, float32 [d], and the whitening matrix, float32 [d, d], of statistics [m, d]."""
    exact = statistics.astype(np.float64)
    mean = exact.mean(axis=0)
    covariance = (exact - mean).T @ (exact - mean) / len(exact)
    covariance += max(_SHRINKAGE * np.trace(covariance) / len(covariance), 1e-12) * np.eye(len(covariance))
    whitening = np.linalg.cholesky(np.linalg.inv(covariance))
    return mean.astype(np.float32), whitening.astype(np.float32)


def squared_mahalanobis(
    statistics: NDArray[np.float32], mean: NDArray[np.float32], whitening: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the squared Mahalanobis distances, float32 [n], of statistics [n, d]."""
    return np.asarray((((statistics - mean) @ whitening) ** 2).sum(axis=1), np.float32)


def _fraction_above(ranked: NDArray[np.float32], values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the empirical p-value (k + 1) / (n + 1) of each value: k of n ranked values are at least as large."""
    above = len(ranked) - np.searchsorted(ranked, values, side="left")
    return (above + 1) / (len(ranked) + 1)
