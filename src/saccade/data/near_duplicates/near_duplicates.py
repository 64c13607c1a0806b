"""Search for exact duplicates and near-duplicates: re-encoded, shifted, brightened or mirrored copies of one image."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from saccade.data.dataset import PixelStore, read_batches, slices_of
from saccade.data.near_duplicates.cross_correlation import detail_correlations
from saccade.data.near_duplicates.perceptual_hash import candidate_pairs
from saccade.machine import usable_cores
from saccade.progress import NO_PROGRESS, Progress, counting

MIN_DETAIL_CORRELATION = 0.72
"""Smallest correlation of details of a pair of near-duplicates; chosen on CIFAR-10, see docs/audit.md."""

# If at least half of the images have `_NUM_NEIGHBORS` similar images, as handwritten digits do, the correlation of a
# near-duplicate must be `_STRICT_FACTOR` times closer to 1 than the median of the highest correlation of each image.
# Fewer similar images may all be near-duplicates: the same image in two formats, or in a burst of shots.
_NUM_NEIGHBORS = 5
_SIMILAR = 0.5
_STRICT_FACTOR = 8.0
_THUMBNAIL = 32  # pixels
_CHUNK = 256  # images that are read at a time
_MIN_IMAGES_FOR_PROGRESS = 20_000


@dataclass(frozen=True)
class Duplicates:
    """Groups of duplicates among n images.

    Attributes:
        exact: group of each image, array of shape [n], int64; equal for files of equal contents.
        near: group of each image, array of shape [n], int64; equal for images that are connected by pairs of exact or
            near-duplicates.
        strict: whether most images have similar images, so that near-duplicates need a higher correlation.
    """

    exact: NDArray[np.int64]
    near: NDArray[np.int64]
    strict: bool


def find_near_duplicates(
    store: PixelStore,
    rows: NDArray[np.int64],
    hashes: Sequence[str],
    *,
    boxes: NDArray[np.int64] | None = None,
    progress: bool = False,
) -> Duplicates:
    """Group exact duplicates by their hashes, and near-duplicates by descriptors and by pixels.

    Args:
        store: decoded images, as in `Split`; or thumbnails of `make_thumbnails`, without boxes.
        rows: row of each image, array of shape [n], int64.
        hashes: n content hashes.
        boxes: boxes of the images within their padding, as of `content_boxes`, because equal padding makes different
            images similar. None: no padding.
        progress: whether to show progress on standard error, for more than 20,000 images.
    """
    _, first, exact = np.unique(np.asarray(hashes), return_index=True, return_inverse=True)
    shown = progress and len(first) > _MIN_IMAGES_FOR_PROGRESS
    with counting("looking for duplicates", total=2 * len(first), unit="images", shown=shown) as bar:
        pairs, threshold = near_pairs(make_thumbnails(store, rows[first], None if boxes is None else boxes[first]), bar)
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(len(first), len(first)))
    _, component = connected_components(graph, directed=False)
    return Duplicates(exact.astype(np.int64), component[exact].astype(np.int64), threshold > MIN_DETAIL_CORRELATION)


def near_pairs(thumbnails: NDArray[np.uint8], progress: Progress = NO_PROGRESS) -> tuple[NDArray[np.int64], float]:
    """Return the pairs of near-duplicates, array of shape [pairs, 2], int64, and the threshold of their correlation."""
    pairs, mirrored = candidate_pairs(thumbnails, progress)
    details = detail_correlations(thumbnails, pairs, mirrored)
    threshold = _threshold(len(thumbnails), pairs, details)
    return pairs[details >= threshold], threshold


def _threshold(n: int, pairs: NDArray[np.int64], details: NDArray[np.float32]) -> float:
    if not n:
        return MIN_DETAIL_CORRELATION
    ranked = _best_of_each(n, pairs, details)
    return (
        MIN_DETAIL_CORRELATION
        if np.median(ranked[:, -1]) < _SIMILAR
        else 1 - (1 - float(np.median(ranked[:, 0]))) / _STRICT_FACTOR
    )


def _best_of_each(n: int, pairs: NDArray[np.int64], details: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the highest correlations of each image, in descending order: float32 [n, `_NUM_NEIGHBORS`]."""
    image, correlation = pairs.T.ravel(), np.tile(details, 2)
    order = np.lexsort((-correlation, image))
    image, correlation = image[order], correlation[order]
    rank = np.arange(len(image)) - np.searchsorted(image, image)
    best = np.zeros((n, _NUM_NEIGHBORS), np.float32)
    best[image[rank < _NUM_NEIGHBORS], rank[rank < _NUM_NEIGHBORS]] = correlation[rank < _NUM_NEIGHBORS]
    return best


def make_thumbnails(
    store: PixelStore, rows: NDArray[np.int64], boxes: NDArray[np.int64] | None = None
) -> NDArray[np.uint8]:
    """Return images, without their padding, resized by a box filter: uint8 [n, 32, 32, 3].

    Args:
        store: decoded images, as in `Split`.
        rows: row of each image, array of shape [n], int64.
        boxes: left, top, right and bottom of each image within its padding, int64 [n, 4]. None: no padding.
    """
    small = np.empty((len(rows), _THUMBNAIL, _THUMBNAIL, 3), np.uint8)

    def resize(position: int, pixels: NDArray[np.uint8]) -> None:
        box = None if boxes is None else tuple(boxes[position].tolist())
        image = Image.fromarray(pixels).resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX, box=box)
        small[position] = np.asarray(image)

    chunks = slices_of(len(rows), _CHUNK)
    # Pillow releases the interpreter lock, so threads run in parallel.
    with ThreadPoolExecutor(usable_cores()) as pool:
        for chunk, images in zip(chunks, read_batches(store, (rows[chunk] for chunk in chunks)), strict=True):
            if boxes is None and images.shape[1:3] == (_THUMBNAIL, _THUMBNAIL):
                small[chunk] = images
            else:
                list(pool.map(resize, range(chunk.start, chunk.stop), images))
    return small
