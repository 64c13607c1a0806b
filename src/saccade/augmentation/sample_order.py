"""The order of the samples in an epoch, and a random subset of the training images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saccade.augmentation.rng import make_rng

_SUBSET_SIZE = 5000


def sample_order(n: int, *, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order of the n samples of an epoch: a permutation, int64 [n]."""
    return make_rng(seed, epoch, "order").permutation(n).astype(np.int64)


def training_subset(n: int, *, seed: int) -> NDArray[np.int64]:
    """Sample the training images from which weights are initialized and the OOD p-value is fitted.

    Returns:
        Indices of up to 5,000 of n training images, ascending, int64.
    """
    return np.sort(make_rng(seed, 0, "first look").permutation(n)[:_SUBSET_SIZE]).astype(np.int64)
