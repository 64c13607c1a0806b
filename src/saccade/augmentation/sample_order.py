"""The order of the samples in an epoch, shuffled or balanced, and a random subset of the training images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saccade.augmentation.rng import make_rng
from saccade.recipes import Sampling

_SUBSET_SIZE = 5000


def sample_order(n: int, *, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order of the n samples of an epoch: a permutation, int64 [n]."""
    return make_rng(seed, epoch, "order").permutation(n).astype(np.int64)


def epoch_order(labels: NDArray[np.int64], sampling: Sampling, *, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the samples of an epoch in their order, int64 [n]: shuffled, or balanced, see `balanced_order`.

    Args:
        labels: label of each sample, int64 [n].
        sampling: "shuffled" or "balanced".
        seed: seed of the training.
        epoch: epoch, counted from 0.
    """
    if sampling == "balanced":
        return balanced_order(labels, seed=seed, epoch=epoch)
    return sample_order(len(labels), seed=seed, epoch=epoch)


def balanced_order(labels: NDArray[np.int64], *, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the samples of an epoch in which the classes are equally frequent, in random order (oversampling).

    There are as many draws as samples. Each class that has samples gets the same number of draws; if the number of
    draws is no multiple of the number of classes, random classes get one more. A class repeats its samples only after
    all of them: with 10 samples and 25 draws, each sample is drawn two or three times.

    Args:
        labels: label of each sample, int64 [n].
        seed: seed of the training.
        epoch: epoch, counted from 0.

    Returns:
        Indices of samples, int64 [n].
    """
    rng = make_rng(seed, epoch, "balanced order")
    classes = np.unique(labels)
    draws = np.full(len(classes), len(labels) // max(1, len(classes)))
    draws[rng.permutation(len(classes))[: len(labels) - draws.sum()]] += 1
    chosen = []
    for label, count in zip(classes, draws, strict=True):
        own = np.flatnonzero(labels == label)
        passes, rest = divmod(int(count), len(own))
        chosen += [np.tile(own, passes), rng.permutation(own)[:rest]]
    return rng.permutation(np.concatenate(chosen)).astype(np.int64)


def training_subset(n: int, *, seed: int) -> NDArray[np.int64]:
    """Sample the training images from which weights are initialized and the OOD p-value is fitted.

    Returns:
        Indices of up to 5,000 of n training images, ascending, int64.
    """
    return np.sort(make_rng(seed, 0, "first look").permutation(n)[:_SUBSET_SIZE]).astype(np.int64)
