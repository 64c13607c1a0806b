"""Pairs of pictures that may be copies of each other, found without comparing all pairs.

Each picture is described by sixteen numbers: its lowest spatial frequencies in grey (a discrete cosine transform, as in
perceptual hashes: Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010), without the
mean, scaled to length 1. So brightness and contrast don't count. Mirroring a picture changes the signs of the odd
frequencies. Near descriptors are looked up in a k-d tree.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn
from scipy.spatial import cKDTree

_FREQUENCIES = 16
_SIDE = 8
_RADIUS = 0.4
# Pictures with almost nothing in them, a clear sky say, have hundreds of neighbours: no more than these are looked at.
_NEIGHBOURS = 8
# A branch is passed over unless it reaches within half the radius: three times as fast, at no loss on planted copies.
_SLACK = 1.0
_CHUNK = 4096
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_FLAT = 8.0


def candidate_pairs(thumbnails: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Pairs whose descriptors are near each other, as they are or with one mirrored.

    Args:
        thumbnails: uint8 [n, side, side, 3].

    Returns:
        int64 [pairs, 2], the lower position first, each pair at most twice; and bool [pairs]: whether one is mirrored.
    """
    descriptors, described = _descriptors(thumbnails)
    positions = np.flatnonzero(described)
    if len(positions) < 2:
        return np.empty((0, 2), np.int64), np.empty(0, np.bool_)
    tree = cKDTree(descriptors[positions])
    upright = _near(tree, descriptors[positions], positions)
    mirrored = _near(tree, _mirrored(descriptors[positions]), positions)
    return np.concatenate([upright, mirrored]), np.repeat([False, True], [len(upright), len(mirrored)])


def _near(tree: cKDTree, queries: NDArray[np.float64], positions: NDArray[np.int64]) -> NDArray[np.int64]:
    _, found = tree.query(queries, k=_NEIGHBOURS + 1, distance_upper_bound=_RADIUS, eps=_SLACK, workers=-1)
    first, rank = np.nonzero(found < len(positions))
    pairs = np.stack([positions[first], positions[found[first, rank]]], axis=1)
    pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    return cast(NDArray[np.int64], np.unique(pairs, axis=0).reshape(-1, 2))


def _descriptors(thumbnails: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """float64 [n, 16], and which pictures have anything in them to describe."""
    low = np.concatenate([_low_frequencies(thumbnails[at : at + _CHUNK]) for at in range(0, len(thumbnails), _CHUNK)])
    lengths = np.linalg.norm(low, axis=1, keepdims=True)
    return low / np.maximum(lengths, 1e-6), lengths[:, 0] > _FLAT


def _low_frequencies(thumbnails: NDArray[np.uint8]) -> NDArray[np.float64]:
    coefficients = dctn(thumbnails.astype(np.float32) @ _LUMA, axes=(1, 2), norm="ortho")[:, :_SIDE, :_SIDE]
    low: NDArray[np.float64] = coefficients.reshape(len(thumbnails), -1)[:, _order()].astype(np.float64)
    return low


def _order() -> NDArray[np.int64]:
    """Places of the lowest frequencies but the mean in a flattened square of them."""
    sums = np.add.outer(np.arange(_SIDE), np.arange(_SIDE)).ravel()
    return np.argsort(sums, kind="stable")[1 : _FREQUENCIES + 1]


def _mirrored(descriptors: NDArray[np.float64]) -> NDArray[np.float64]:
    return descriptors * np.where(_order() % _SIDE % 2, -1.0, 1.0)
