"""OOD score: how much like the training images an image is, by what the first half of the network makes of it.

An image that shows none of the classes is often answered with confidence, and deep features, which are trained to tell
the classes apart, do not give it away. Means and spreads of early activations do, for images that look like nothing
the network was trained on; for images of other classes the confidence tells more. The score is both: the squared
Mahalanobis distance of the early statistics from those of training images, and the answer's confidence, each ranked
among validation images, the ranks combined as R. A. Fisher combines p-values ("Statistical methods for research
workers", 1925).

Source of the distance: K. Lee, K. Lee, H. Lee, J. Shin, "A simple unified framework for detecting out-of-distribution
samples and adversarial attacks", NeurIPS 2018, here without classes and on early layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from saccade.errors import RunError
from saccade.models.batched_inference import batch_slices
from saccade.models.layer_outputs import layer_outputs, network_within, seen_by

_RANKED = ("distances", "doubts", "surprises")
Take = Callable[[slice], NDArray[np.uint8]]

_HALVINGS = (1, 2)
# Below this spread, in the units of activations, a channel counts as constant.
_LEAST_SPREAD = 1e-2
# A part of the mean variance is added to each, so that channels that hardly vary don't decide alone.
_SHRINKAGE = 1e-2


@dataclass(frozen=True, eq=False)
class OodScore:
    """What a run's images look like to its network.

    Attributes:
        mean: of the early statistics of training images, float32 [d].
        whitening: their whitening matrix, float32 [d, d].
        distances: the squared Mahalanobis distances of validation images, ascending, float32 [n].
        doubts: 1 less the confidences of the answers to them, ascending, float32 [n].
        surprises: the combined scores of validation images, ascending, float32 [n].
    """

    mean: NDArray[np.float32]
    whitening: NDArray[np.float32]
    distances: NDArray[np.float32]
    doubts: NDArray[np.float32]
    surprises: NDArray[np.float32]

    def of(self, statistics: NDArray[np.float32], confidences: NDArray[np.float32]) -> NDArray[np.float64]:
        """The part of the validation images that are no more familiar, 0 to 1, float64 [n].

        Of images like the training data it is uniform: 5% of them are below 0.05.

        Args:
            statistics: of n images, as `EarlyStatistics` gives them, float32 [n, d].
            confidences: of the answers to them, float32 [n].
        """
        surprise = self._surprise(squared_distances(statistics, self.mean, self.whitening), 1 - confidences)
        return _fraction_above(self.surprises, surprise)

    def _surprise(self, distances: NDArray[np.float32], doubts: NDArray[np.float32]) -> NDArray[np.float32]:
        parts = _fraction_above(self.distances, distances) * _fraction_above(self.doubts, doubts)
        return np.asarray(-np.log(parts), np.float32)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float32]], size: int) -> OodScore:
        """Made of its attributes by name, for statistics of so many numbers.

        Raises:
            RunError: they are not those of an OOD score of this size.
        """
        n = arrays["distances"].size if "distances" in arrays else 0
        shapes = {"mean": (size,), "whitening": (size, size)} | dict.fromkeys(_RANKED, (n,))
        found = {name: array.shape for name, array in arrays.items()}
        if found != shapes or not n or not all(np.isfinite(array).all() for array in arrays.values()):
            raise RunError(
                "what the run knows of its training images is damaged", expected=f"{shapes}", found=f"{found}"
            )
        return cls(**arrays)

    @classmethod
    def fit(
        cls,
        training: NDArray[np.float32],
        validation: NDArray[np.float32],
        confidences: NDArray[np.float32],
    ) -> OodScore:
        """Learns what is familiar.

        Args:
            training: statistics of training images, float32 [m, d].
            validation: statistics of validation images, float32 [n, d].
            confidences: of the answers to the validation images, float32 [n].
        """
        mean, whitening = whitened(training)
        distances = np.sort(own := squared_distances(validation, mean, whitening))
        doubts = np.sort(1 - confidences)
        unranked = cls(mean, whitening, distances, doubts, np.empty(0, np.float32))
        return cls(mean, whitening, distances, doubts, np.sort(unranked._surprise(own, 1 - confidences)))


class EarlyStatistics:
    """Means and logarithms of the spreads of each channel, where a network has halved its images once and twice.

    Args:
        model: as `build_probability_model` makes it.
    """

    def __init__(self, model: keras.Model) -> None:
        self._network = network_within(model)
        pixels, *passed = layer_outputs(self._network)
        side = max(self._network.input_shape[1:3])
        # The last of the outputs that are as wide as the image, half as wide, a quarter, and so on, but for borders.
        last = {
            round(math.log2(side / max(output.shape[1:3]))): output for _, _, output in passed if len(output.shape) == 4
        }
        stages = [last[halvings] for halvings in _HALVINGS if halvings in last] or list(last.values())
        statistics = []
        for stage in stages:
            statistics.append(keras.ops.mean(stage, axis=(1, 2)))
            statistics.append(keras.ops.log(keras.ops.std(stage, axis=(1, 2)) + _LEAST_SPREAD))
        self._cut = keras.Model(pixels[2], keras.ops.concatenate(statistics, axis=1))

    @property
    def size(self) -> int:
        """How many numbers they are."""
        return int(self._cut.output_shape[1])

    def __call__(self, take: Take, n: int) -> NDArray[np.float32]:
        """The statistics of n images, float32 [n, d].

        Args:
            take: gives the images of a slice, uint8 [length, height, width, 3].
            n: number of images.
        """
        _, height, width, _ = self._network.input_shape
        parts = [
            self._cut.predict_on_batch(seen_by(self._network, take(step))) for step in batch_slices(n, height, width)
        ]
        return np.concatenate(parts) if parts else np.empty((0, self.size), np.float32)


def whitened(statistics: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The mean, float32 [d], of statistics [m, d], and the matrix, float32 [d, d], that makes their covariance one."""
    exact = statistics.astype(np.float64)
    mean = exact.mean(axis=0)
    covariance = (exact - mean).T @ (exact - mean) / len(exact)
    covariance += max(_SHRINKAGE * np.trace(covariance) / len(covariance), 1e-12) * np.eye(len(covariance))
    whitening = np.linalg.cholesky(np.linalg.inv(covariance))
    return mean.astype(np.float32), whitening.astype(np.float32)


def squared_distances(
    statistics: NDArray[np.float32], mean: NDArray[np.float32], whitening: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Squared Mahalanobis distances, float32 [n], of statistics [n, d]."""
    return np.asarray((((statistics - mean) @ whitening) ** 2).sum(axis=1), np.float32)


def _fraction_above(ranked: NDArray[np.float32], values: NDArray[np.float32]) -> NDArray[np.float64]:
    """The part of n ranked values that is at least each value, counted so that it is never 0: (k + 1) / (n + 1)."""
    above = len(ranked) - np.searchsorted(ranked, values, side="left")
    return (above + 1) / (len(ranked) + 1)
