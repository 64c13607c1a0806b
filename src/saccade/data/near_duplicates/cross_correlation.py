"""Normalized cross-correlation of pairs of images over small shifts.

See Lewis, "Fast normalized cross-correlation", 1995. Each channel of the color images is centered on its mean, so that
brightness has no effect. Two photographs of a ship on the horizon correlate well without being duplicates. Therefore
the result is the correlation of the details, at the shift of the highest correlation. The details of an image are the
image minus its blurred copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from saccade.machine import usable_cores

_CHUNK = 256  # pairs
_MAX_SHIFT = 2  # pixels of a thumbnail
_BLUR = 5  # pixels of a thumbnail
_MIN_GRAY_CORRELATION = 0.5
_MIN_COLOR_CORRELATION = 0.88
_MIN_NORM = 1.0


def detail_correlations(
    thumbnails: NDArray[np.uint8], pairs: NDArray[np.int64], mirrored: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the correlation of the details of each pair, array of shape [pairs], float32.

    The correlation is 1 for exact duplicates, and set to 0 where the color images correlate too little.

    Args:
        thumbnails: array of shape [n, side, side, 3], uint8.
        pairs: positions of two thumbnails, array of shape [pairs, 2], int64.
        mirrored: whether the second image of a pair is mirrored first, array of shape [pairs], bool.
    """
    # Gray images and fewer shifts exclude most pairs, at a tenth of the cost.
    gray = _by_chunks(_gray_correlation, _gray_details(thumbnails), pairs, mirrored)
    likely = np.flatnonzero(gray >= _MIN_GRAY_CORRELATION)
    correlations = np.zeros(len(pairs), np.float32)
    correlations[likely] = _by_chunks(_color_detail_correlation, thumbnails, pairs[likely], mirrored[likely])
    return correlations


def _by_chunks(
    correlation: Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]],
    images: NDArray[Any],
    pairs: NDArray[np.int64],
    mirrored: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Return the correlation of the two images of each pair, array of shape [pairs], float32."""

    def of_chunk(start: int) -> NDArray[np.float32]:
        chunk = slice(start, start + _CHUNK)
        return correlation(*_pair_images(images, pairs[chunk], mirrored[chunk]))

    # NumPy releases the interpreter lock, so threads run in parallel.
    with ThreadPoolExecutor(usable_cores()) as pool:
        chunks = list(pool.map(of_chunk, range(0, len(pairs), _CHUNK)))
    return np.concatenate(chunks or [np.empty(0, np.float32)])


def _pair_images(
    images: NDArray[Any], pairs: NDArray[np.int64], mirrored: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    first, second = images[pairs[:, 0]], images[pairs[:, 1]]
    second[mirrored] = second[mirrored][:, :, ::-1]
    return first.astype(np.float32), second.astype(np.float32)


def _gray_details(thumbnails: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Return the details of all images in gray, divided by 2: int8 [n, side, side]."""
    gray = np.empty(thumbnails.shape[:3], np.int8)
    for start in range(0, len(thumbnails), _CHUNK):
        chunk = thumbnails[start : start + _CHUNK].astype(np.float32)
        gray[start : start + _CHUNK] = np.clip(_details(chunk.mean(axis=3)) / 2, -127, 127).round()
    return gray


def _color_detail_correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    color, shifts = _best_shift(first, second)
    details: NDArray[np.float32] = np.where(
        color >= _MIN_COLOR_CORRELATION,
        _correlation_at_shift(_details(first), _details(second), shifts),
        np.float32(0),
    )
    return details


def _gray_correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Approximate the highest correlation of gray details over shifts of up to one pixel: float32 [n]."""
    middle = np.ascontiguousarray(first[:, 1:-1, 1:-1])
    products = np.max([np.einsum("nhw,nhw->n", middle, shifted) for shifted in _shifted(second, 1)], axis=0)
    squares = np.einsum("nhw,nhw->n", first, first) * np.einsum("nhw,nhw->n", second, second)
    correlation: NDArray[np.float32] = products / np.maximum(np.sqrt(squares), _MIN_NORM)
    return correlation


def _best_shift(
    first: NDArray[np.float32], second: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the highest correlation over all shifts, and the number of its shift, for each pair."""
    middle = _centered(first[:, _MAX_SHIFT:-_MAX_SHIFT, _MAX_SHIFT:-_MAX_SHIFT])
    # One centered image is enough: the product with the mean of the other image is zero.
    products = np.stack(
        [np.einsum("nhwc,nhwc->n", middle, shifted) for shifted in _shifted(second, _MAX_SHIFT)], axis=1
    )
    pixels = middle.shape[1] * middle.shape[2]
    sums, squares = (_window_sums(values, middle.shape[1:3]) for values in (second, second * second))
    variations = (squares - sums * sums / pixels).sum(axis=2)
    lengths = np.sqrt(np.einsum("nhwc,nhwc->n", middle, middle)[:, None] * np.maximum(variations, 0))
    each = (products / np.maximum(lengths, _MIN_NORM)).astype(np.float32)
    return each.max(axis=1), each.argmax(axis=1)


def _window_sums(values: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the sum of each channel over each window of a shape, by a summed-area table: float64 [n, windows, 3]."""
    n, height, width, channels = values.shape
    table = np.zeros((n, height + 1, width + 1, channels))
    table[:, 1:, 1:] = values.cumsum(axis=1, dtype=np.float64).cumsum(axis=2)
    down, right = shape
    sums = table[:, down:, right:] - table[:, :-down, right:] - table[:, down:, :-right] + table[:, :-down, :-right]
    return sums.reshape(n, -1, channels)


def _correlation_at_shift(
    first: NDArray[np.float32], second: NDArray[np.float32], shifts: NDArray[np.int64]
) -> NDArray[np.float32]:
    shifted = np.empty_like(first[:, _MAX_SHIFT:-_MAX_SHIFT, _MAX_SHIFT:-_MAX_SHIFT])
    for number, window in enumerate(_shifted(second, _MAX_SHIFT)):
        shifted[shifts == number] = window[shifts == number]
    return _correlation(_centered(first[:, _MAX_SHIFT:-_MAX_SHIFT, _MAX_SHIFT:-_MAX_SHIFT]), _centered(shifted))


def _shifted(images: NDArray[np.float32], max_shift: int) -> Iterator[NDArray[np.float32]]:
    height, width = images.shape[1] - 2 * max_shift, images.shape[2] - 2 * max_shift
    for down in range(2 * max_shift + 1):
        for right in range(2 * max_shift + 1):
            yield images[:, down : down + height, right : right + width]


def _centered(images: NDArray[np.float32]) -> NDArray[np.float32]:
    # einsum is faster than mean.
    mean = np.einsum("nhwc->nc", images) / (images.shape[1] * images.shape[2])
    centered: NDArray[np.float32] = images - mean[:, None, None]
    return centered


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    squares = np.einsum("nhwc,nhwc->n", first, first) * np.einsum("nhwc,nhwc->n", second, second)
    correlation: NDArray[np.float32] = np.einsum("nhwc,nhwc->n", first, second) / np.maximum(
        np.sqrt(squares), _MIN_NORM
    )
    return correlation


def _details(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return images minus their blurred copies, [n, side, side] or [n, side, side, 3]."""
    window = (0, _BLUR, _BLUR, 0)[: images.ndim]
    details: NDArray[np.float32] = images - uniform_filter(images, window, mode="nearest")
    return details
