"""Assignment of images to folds and to nested subsets: stratified by class, with duplicates together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from saccade.augmentation.rng import make_rng


def assign_folds(labels: NDArray[np.int64], groups: NDArray[np.int64], folds: int, seed: int = 0) -> NDArray[np.int64]:
    """Assign images to folds, stratified by label, with the duplicates of an image in one fold.

    Args:
        labels: labels, int64 [n].
        groups: duplicate groups, int64 [n]. Images of the same group are assigned to the same fold.
        folds: number of folds, at least 2.
        seed: random seed of the assignment.

    Returns:
        Fold of each image, from 0, int64 [n].
    """
    _, first, group_of = np.unique(groups, return_index=True, return_inverse=True)
    fold_of = np.empty(len(first), np.int64)
    order = make_rng(seed, 0, "folds").permutation(len(first))
    assigned = 0
    for members in _by_label(labels[first], order):
        # Each class starts at the fold after the last fold of the class before, so that fold 0 is not always largest.
        fold_of[members] = (assigned + np.arange(len(members))) % folds
        assigned += len(members)
    return fold_of[group_of]


def nested_subset_order(
    labels: NDArray[np.int64], groups: NDArray[np.int64], *, seed: int, repeat: int
) -> NDArray[np.int64]:
    """Return an order of the images whose first k images, for every k, are a stratified subset.

    Args:
        labels: labels, int64 [n].
        groups: duplicate groups, int64 [n]. Images of the same group are adjacent in the order.
        seed: random seed of the order.
        repeat: number of the order among several orders of this seed, from 0.

    Returns:
        Positions of the images, int64 [n].
    """
    _, first, group_of, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    place = np.empty(len(first))
    order = make_rng(seed, repeat, "subsets").permutation(len(first))
    for members in _by_label(labels[first], order):
        # Relative position of each group in its class: the first half of the order has the first half of each class.
        ends = np.cumsum(sizes[members])
        place[members] = (ends - sizes[members] / 2) / ends[-1]
    rank = np.empty(len(first), np.int64)
    rank[order[np.argsort(place[order], kind="stable")]] = np.arange(len(first))
    return np.argsort(rank[group_of], kind="stable")


def _by_label(labels: NDArray[np.int64], order: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    return (order[labels[order] == label] for label in np.unique(labels))
