"""How images are dealt to folds, and drawn for growing subsets: by class, with duplicates together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from saccade.augmentation.rng import make_rng


def deal_folds(labels: NDArray[np.int64], groups: NDArray[np.int64], folds: int, seed: int = 0) -> NDArray[np.int64]:
    """Deals images to folds: stratified by label, with the duplicates of an image together.

    Args:
        labels: int64 [n].
        groups: int64 [n]: images with equal numbers stay together.
        folds: how many; at least 2.
        seed: of the draw.

    Returns:
        int64 [n]: the fold of each image, from 0.
    """
    _, first, group_of = np.unique(groups, return_index=True, return_inverse=True)
    fold_of = np.empty(len(first), np.int64)
    order = make_rng(seed, 0, "folds").permutation(len(first))
    dealt = 0
    for members in _by_label(labels[first], order):
        # The next class goes on where this one ended, so that small classes don't all begin with fold 0.
        fold_of[members] = (dealt + np.arange(len(members))) % folds
        dealt += len(members)
    return fold_of[group_of]


def growing_order(labels: NDArray[np.int64], groups: NDArray[np.int64], *, seed: int, repeat: int) -> NDArray[np.int64]:
    """An order whose beginnings, however long, have the classes in the proportions of all images.

    Args:
        labels: int64 [n].
        groups: int64 [n]: images with equal numbers follow one another.
        seed: of the draw.
        repeat: of several draws with this seed, counted from 0.

    Returns:
        int64 [n]: positions of the images.
    """
    _, first, group_of, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    place = np.empty(len(first))
    order = make_rng(seed, repeat, "subsets").permutation(len(first))
    for members in _by_label(labels[first], order):
        # Where each stands in its class, as a part of the class: the same part of every class comes first.
        ends = np.cumsum(sizes[members])
        place[members] = (ends - sizes[members] / 2) / ends[-1]
    rank = np.empty(len(first), np.int64)
    rank[order[np.argsort(place[order], kind="stable")]] = np.arange(len(first))
    return np.argsort(rank[group_of], kind="stable")


def _by_label(labels: NDArray[np.int64], order: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    return (order[labels[order] == label] for label in np.unique(labels))
