"""Pairs of images that may be duplicates of each other.

Each image is described by sixteen numbers: its lowest spatial frequencies in gray (a discrete cosine transform, as in
perceptual hashes: Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010), without the
mean, scaled to length 1. So brightness and contrast don't count, and mirroring an image changes the signs of the odd
frequencies. Images are compared by the scalar products of these numbers, block by block: for 60,000 images
that takes three seconds, a tenth of what a search tree takes in sixteen dimensions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn

from saccade.progress import NO_PROGRESS, Progress

_FREQUENCIES = 16
_SIDE = 8
_LEAST_SIMILARITY = 0.92
# Images with almost nothing in them, a clear sky say, have hundreds of neighbors: no more than these are looked at.
_NEIGHBORS = 8
_CHUNK = 4096
# A block of products that stays in a processor's cache while it is searched.
_ROWS = 512
_COLUMNS = 2048
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_FLAT = 8.0


def candidate_pairs(
    thumbnails: NDArray[np.uint8], progress: Progress = NO_PROGRESS
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Pairs whose descriptors are near each other, as they are or with one mirrored.

    Args:
        thumbnails: uint8 [n, side, side, 3].
        progress: counts images compared; each is compared twice.

    Returns:
        int64 [pairs, 2], the lower position first, each pair at most twice; and bool [pairs]: whether one is mirrored.
    """
    descriptors, described = _descriptors(thumbnails)
    positions = np.flatnonzero(described)
    chosen = descriptors[positions]
    upright = positions[_near(chosen, chosen, progress)]
    mirrored = positions[_near(chosen, _mirrored(chosen), progress)]
    return np.concatenate([upright, mirrored]), np.repeat([False, True], [len(upright), len(mirrored)])


def _near(first: NDArray[np.float32], second: NDArray[np.float32], progress: Progress) -> NDArray[np.int64]:
    """Of each descriptor the nearest few of those that are near it; int64 [pairs, 2], each pair once.

    The similarity of `first[i]` and `second[j]` is that of `first[j]` and `second[i]`: only j > i is looked at.
    """
    n, columns_first = len(first), np.ascontiguousarray(second.T)
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = []
    for top in range(0, n, _ROWS):
        for left in range(top, n, _COLUMNS):
            similarity = first[top : top + _ROWS] @ columns_first[:, left : left + _COLUMNS]
            places = np.flatnonzero(similarity >= _LEAST_SIMILARITY)
            row, column = np.divmod(places, similarity.shape[1])
            above = column + left > row + top
            parts.append((row[above] + top, column[above] + left, similarity.ravel()[places[above]]))
        progress.update(min(_ROWS, n - top))
    if not parts:
        return np.empty((0, 2), np.int64)
    rows, columns, similarities = (np.concatenate(values) for values in zip(*parts, strict=True))
    return _nearest_of_each(rows, columns, similarities)


def _nearest_of_each(
    rows: NDArray[np.int64], columns: NDArray[np.int64], similarities: NDArray[np.float32]
) -> NDArray[np.int64]:
    """The pairs that are among the nearest few of one of their two."""
    pairs = np.stack([rows, columns], axis=1).astype(np.int64)
    kept = np.zeros(len(pairs), np.bool_)
    by_similarity = np.argsort(-similarities, kind="stable")
    both = np.concatenate([pairs[by_similarity, 0], pairs[by_similarity, 1]])
    pair_of = np.tile(by_similarity, 2)
    # Sorted by image, and for each image by similarity.
    order = np.lexsort((np.tile(np.arange(len(pairs)), 2), both))
    of_image = both[order]
    first = np.flatnonzero(np.r_[True, of_image[1:] != of_image[:-1]]) if len(order) else np.empty(0, np.int64)
    rank = np.arange(len(order)) - np.repeat(first, np.diff(np.r_[first, len(order)]))
    kept[pair_of[order][rank < _NEIGHBORS]] = True
    return pairs[kept]


def _descriptors(thumbnails: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """float32 [n, 16], and which images have anything in them to describe."""
    low = np.empty((len(thumbnails), _FREQUENCIES), np.float32)
    for at in range(0, len(thumbnails), _CHUNK):
        low[at : at + _CHUNK] = _low_frequencies(thumbnails[at : at + _CHUNK])
    lengths = np.linalg.norm(low, axis=1, keepdims=True)
    return low / np.maximum(lengths, 1e-6), lengths[:, 0] > _FLAT


def _low_frequencies(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    coefficients = dctn(thumbnails.astype(np.float32) @ _LUMA, axes=(1, 2), norm="ortho")[:, :_SIDE, :_SIDE]
    low: NDArray[np.float32] = coefficients.reshape(len(thumbnails), -1)[:, _order()]
    return low


def _order() -> NDArray[np.int64]:
    """Places of the lowest frequencies but the mean in a flattened square of them."""
    sums = np.add.outer(np.arange(_SIDE), np.arange(_SIDE)).ravel()
    return np.argsort(sums, kind="stable")[1 : _FREQUENCIES + 1]


def _mirrored(descriptors: NDArray[np.float32]) -> NDArray[np.float32]:
    signs: NDArray[np.float32] = np.where(_order() % _SIDE % 2, -1.0, 1.0).astype(np.float32)
    return descriptors * signs
