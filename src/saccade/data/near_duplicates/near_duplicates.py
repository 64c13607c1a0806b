"""Which images are duplicates of each other, exact or near: one shot, re-encoded, shifted, brightened or mirrored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from saccade.data.near_duplicates.cross_correlation import detail_correlations
from saccade.data.near_duplicates.perceptual_hash import candidate_pairs
from saccade.progress import NO_PROGRESS, Progress, counting

LEAST_DETAIL = 0.72
"""Correlation of details from which on a pair counts as near-duplicates; chosen on CIFAR-10, see docs/audit.md."""

# Where most images have several look-alikes, as handwritten digits do, a copy must be eight times as like as the best
# of those. A few may be copies indeed: every image in two formats, or in a burst of shots.
_MOST_DUPLICATES = 5
_ALIKE = 0.5
_CLOSER = 8.0
_THUMBNAIL = 32  # pixels
_CHUNK = 2048  # images
_MANY = 20_000


@dataclass(frozen=True)
class Duplicates:
    """Which images are duplicates of each other.

    Attributes:
        exact: int64 [n]: equal numbers for files of equal contents.
        near: int64 [n]: equal numbers for images that are joined by pairs of near, or exact, copies.
        strict: whether most images have a look-alike, so that a pair must agree better than usual to count.
    """

    exact: NDArray[np.int64]
    near: NDArray[np.int64]
    strict: bool


def find_near_duplicates(
    store: NDArray[np.uint8], rows: NDArray[np.int64], hashes: Sequence[str], *, progress: bool = False
) -> Duplicates:
    """Finds exact duplicates by their hashes, and near ones by descriptors and then pixels.

    Args:
        store: uint8 [any, height, width, 3].
        rows: int64 [n]: the row of each image.
        hashes: n content hashes.
        progress: whether to show progress on standard error, where it takes long.
    """
    _, first, exact = np.unique(np.asarray(hashes), return_index=True, return_inverse=True)
    shown = progress and len(first) > _MANY
    with counting("looking for duplicates", total=2 * len(first), unit="images", shown=shown) as bar:
        pairs, least = near_pairs(make_thumbnails(store, rows[first]), bar)
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(len(first), len(first)))
    _, component = connected_components(graph, directed=False)
    return Duplicates(exact.astype(np.int64), component[exact].astype(np.int64), least > LEAST_DETAIL)


def near_pairs(thumbnails: NDArray[np.uint8], progress: Progress = NO_PROGRESS) -> tuple[NDArray[np.int64], float]:
    """The pairs of near-duplicates among thumbnails, int64 [pairs, 2], and the correlation from which on they count."""
    pairs, mirrored = candidate_pairs(thumbnails, progress)
    details = detail_correlations(thumbnails, pairs, mirrored)
    least = _threshold(len(thumbnails), pairs, details)
    return pairs[details >= least], least


def _threshold(n: int, pairs: NDArray[np.int64], details: NDArray[np.float32]) -> float:
    if not n:
        return LEAST_DETAIL
    ranked = _best_of_each(n, pairs, details)
    return LEAST_DETAIL if np.median(ranked[:, -1]) < _ALIKE else 1 - (1 - float(np.median(ranked[:, 0]))) / _CLOSER


def _best_of_each(n: int, pairs: NDArray[np.int64], details: NDArray[np.float32]) -> NDArray[np.float32]:
    """The correlations of each image with those that it agrees best with, falling: float32 [n, `_MOST_DUPLICATES`]."""
    image, agreement = pairs.T.ravel(), np.tile(details, 2)
    order = np.lexsort((-agreement, image))
    image, agreement = image[order], agreement[order]
    rank = np.arange(len(image)) - np.searchsorted(image, image)
    best = np.zeros((n, _MOST_DUPLICATES), np.float32)
    best[image[rank < _MOST_DUPLICATES], rank[rank < _MOST_DUPLICATES]] = agreement[rank < _MOST_DUPLICATES]
    return best


def make_thumbnails(store: NDArray[np.uint8], rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Images averaged down, or brought up, to uint8 [n, 32, 32, 3]."""
    small = np.empty((len(rows), _THUMBNAIL, _THUMBNAIL, 3), np.uint8)
    for start in range(0, len(rows), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        pixels = store[rows[chunk]]
        small[chunk] = pixels if pixels.shape[1:3] == (_THUMBNAIL, _THUMBNAIL) else _shrunk(pixels)
    return small


def _shrunk(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    size = (_THUMBNAIL, _THUMBNAIL)
    return np.stack([np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BOX)) for one in pixels])
