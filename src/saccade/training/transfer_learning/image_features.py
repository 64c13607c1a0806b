"""Features of the images of a training, from which its linear head is fitted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from saccade.data.dataset import Split
from saccade.training.transfer_learning.features import FeatureExtractor, Features


class TrainingFeatures(Protocol):
    """Features of training images in several versions, and of other images."""

    @property
    def width(self) -> int:
        """Number of features of an image."""

    @property
    def num_versions(self) -> int:
        """Number of versions of each training image; version 0 is the image itself."""

    @property
    def num_unkept(self) -> int:
        """Number of images whose features the cache had no room for."""

    def of_training(self, version: int, advance: Callable[[int], object], out: Features) -> None:
        """Compute the features of a version of the training images into `out`, float32 [n, d].

        Args:
            version: number of the version.
            advance: function that is called with the number of images of each batch.
            out: array for the result.
        """

    def of(self, images: Split, advance: Callable[[int], object]) -> Features:
        """Return the features of training or validation images, float32 [n, d]."""


class MirroredFeatures:
    """Features by a frozen network of the training images and, if wanted, of their mirror images.

    Args:
        extract: feature extractor of the network.
        training: training images.
        mirrored: whether version 1, the mirror images, exists.
    """

    def __init__(self, extract: FeatureExtractor, training: Split, *, mirrored: bool) -> None:
        self._extract, self._training = extract, training
        self.num_versions = 2 if mirrored else 1

    @property
    def width(self) -> int:
        """Number of features of an image."""
        return self._extract.width

    @property
    def num_unkept(self) -> int:
        """Number of images, mirror images included, whose features the cache had no room for."""
        return self._extract.num_unkept

    def of_training(self, version: int, advance: Callable[[int], object], out: Features) -> None:
        """Compute the features of the training images, or of their mirror images, into `out`, float32 [n, d]."""
        self._extract(self._training, version == 1, advance, out)

    def of(self, images: Split, advance: Callable[[int], object]) -> Features:
        """Return the features of any images, float32 [n, d]."""
        return self._extract(images, False, advance)
