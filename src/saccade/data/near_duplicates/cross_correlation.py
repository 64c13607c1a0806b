"""Whether two images are duplicates of each other, by their pixels: best over small shifts, whatever the brightness.

The measure is the normalized cross-correlation (Lewis, "Fast normalized cross-correlation", 1995) of color images,
each channel without its mean. Two ships on a horizon correlate well without being copies; so, at the shift where the
images agree best, what counts is the correlation of their details alone: each image without its own blurred copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

_CHUNK = 256  # pairs
_SHIFT = 2  # pixels of a thumbnail
_BLUR = 5
_LEAST_ROUGH = 0.5
_LEAST_WHOLE = 0.88
_SMALLEST_LENGTH = 1.0


def detail_correlations(
    thumbnails: NDArray[np.uint8], pairs: NDArray[np.int64], mirrored: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """How well the details of pairs agree: float32 [pairs], 1 for copies; 0 where the images differ as a whole.

    Args:
        thumbnails: uint8 [n, side, side, 3].
        pairs: int64 [pairs, 2]: positions.
        mirrored: bool [pairs]: whether the second image of a pair is looked at mirrored.
    """
    gray = _gray_details(thumbnails)

    def of_chunk(start: int) -> NDArray[np.float32]:
        some, turned = pairs[start : start + _CHUNK], mirrored[start : start + _CHUNK]
        found = np.zeros(len(some), np.float32)
        # Most pairs are told apart without their colors and at fewer shifts, at a tenth of the cost.
        likely = np.flatnonzero(_rough(*_both(gray, some, turned)) >= _LEAST_ROUGH)
        if len(likely):
            found[likely] = _of_images(*_both(thumbnails, some[likely], turned[likely]))
        return found

    # NumPy lets go of the interpreter while it computes, so threads share the work.
    with ThreadPoolExecutor() as pool:
        chunks = list(pool.map(of_chunk, range(0, len(pairs), _CHUNK)))
    return np.concatenate(chunks or [np.empty(0, np.float32)])


def _both(
    images: NDArray[Any], pairs: NDArray[np.int64], mirrored: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    first, second = images[pairs[:, 0]], images[pairs[:, 1]]
    second[mirrored] = second[mirrored][:, :, ::-1]
    return first.astype(np.float32), second.astype(np.float32)


def _gray_details(thumbnails: NDArray[np.uint8]) -> NDArray[np.int8]:
    """The details of all images in gray, in steps of 2: int8 [n, side, side], as much memory as a channel takes."""
    gray = np.empty(thumbnails.shape[:3], np.int8)
    for start in range(0, len(thumbnails), _CHUNK):
        some = thumbnails[start : start + _CHUNK].astype(np.float32)
        gray[start : start + _CHUNK] = np.clip(_details(some.mean(axis=3)) / 2, -127, 127).round()
    return gray


def _of_images(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    whole, shifts = _over_shifts(first, second)
    detail: NDArray[np.float32] = np.where(
        whole >= _LEAST_WHOLE, _at_shifts(_details(first), _details(second), shifts), np.float32(0)
    )
    return detail


def _rough(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """About the best correlation of gray details, float32 [n, side, side], over shifts of up to a pixel."""
    middle = np.ascontiguousarray(first[:, 1:-1, 1:-1])
    products = np.max([np.einsum("nhw,nhw->n", middle, shifted) for shifted in _shifted(second, 1)], axis=0)
    squares = np.einsum("nhw,nhw->n", first, first) * np.einsum("nhw,nhw->n", second, second)
    rough: NDArray[np.float32] = products / np.maximum(np.sqrt(squares), _SMALLEST_LENGTH)
    return rough


def _over_shifts(
    first: NDArray[np.float32], second: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The best correlation over all shifts, and the number of the shift that gives it."""
    middle = _centered(first[:, _SHIFT:-_SHIFT, _SHIFT:-_SHIFT])
    # Against an image without its mean, the mean of the other one counts for nothing.
    products = np.stack([np.einsum("nhwc,nhwc->n", middle, shifted) for shifted in _shifted(second, _SHIFT)], axis=1)
    pixels = middle.shape[1] * middle.shape[2]
    sums, squares = (_window_sums(values, middle.shape[1:3]) for values in (second, second * second))
    variations = (squares - sums * sums / pixels).sum(axis=2)
    lengths = np.sqrt(np.einsum("nhwc,nhwc->n", middle, middle)[:, None] * np.maximum(variations, 0))
    each = (products / np.maximum(lengths, _SMALLEST_LENGTH)).astype(np.float32)
    return each.max(axis=1), each.argmax(axis=1)


def _window_sums(values: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The sums of each channel over each window of this shape, row by row: float64 [n, windows, 3]."""
    n, height, width, channels = values.shape
    table = np.zeros((n, height + 1, width + 1, channels))
    table[:, 1:, 1:] = values.cumsum(axis=1, dtype=np.float64).cumsum(axis=2)
    down, right = shape
    sums = table[:, down:, right:] - table[:, :-down, right:] - table[:, down:, :-right] + table[:, :-down, :-right]
    return sums.reshape(n, -1, channels)


def _at_shifts(
    first: NDArray[np.float32], second: NDArray[np.float32], shifts: NDArray[np.int64]
) -> NDArray[np.float32]:
    shifted = np.empty_like(first[:, _SHIFT:-_SHIFT, _SHIFT:-_SHIFT])
    for number, window in enumerate(_shifted(second, _SHIFT)):
        shifted[shifts == number] = window[shifts == number]
    return _correlation(_centered(first[:, _SHIFT:-_SHIFT, _SHIFT:-_SHIFT]), _centered(shifted))


def _shifted(images: NDArray[np.float32], most: int) -> Iterator[NDArray[np.float32]]:
    height, width = images.shape[1] - 2 * most, images.shape[2] - 2 * most
    for down in range(2 * most + 1):
        for right in range(2 * most + 1):
            yield images[:, down : down + height, right : right + width]


def _centered(images: NDArray[np.float32]) -> NDArray[np.float32]:
    # einsum adds up faster than mean does.
    mean = np.einsum("nhwc->nc", images) / (images.shape[1] * images.shape[2])
    centered: NDArray[np.float32] = images - mean[:, None, None]
    return centered


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    squares = np.einsum("nhwc,nhwc->n", first, first) * np.einsum("nhwc,nhwc->n", second, second)
    correlation: NDArray[np.float32] = np.einsum("nhwc,nhwc->n", first, second) / np.maximum(
        np.sqrt(squares), _SMALLEST_LENGTH
    )
    return correlation


def _details(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Images, [n, side, side] or [n, side, side, 3], without their own blurred copies."""
    window = (0, _BLUR, _BLUR, 0)[: images.ndim]
    details: NDArray[np.float32] = images - uniform_filter(images, window, mode="nearest")
    return details
