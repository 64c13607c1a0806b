"""Whether two pictures are copies of each other, by their pixels: best over small shifts, whatever the brightness.

The measure is the normalised cross-correlation (Lewis, "Fast normalized cross-correlation", 1995) of colour pictures,
each channel without its mean. Two ships on a horizon correlate well without being copies; so, at the shift where the
pictures agree best, what counts is the correlation of their details alone: each picture without its own blurred copy.
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
    """How well the details of pairs agree: float32 [pairs], 1 for copies; 0 where the pictures differ as a whole.

    Args:
        thumbnails: uint8 [n, side, side, 3].
        pairs: int64 [pairs, 2]: positions.
        mirrored: bool [pairs]: whether the second picture of a pair is looked at mirrored.
    """
    grey = _grey_details(thumbnails)

    def of_chunk(start: int) -> NDArray[np.float32]:
        some, turned = pairs[start : start + _CHUNK], mirrored[start : start + _CHUNK]
        found = np.zeros(len(some), np.float32)
        # Most pairs are told apart without their colours and at fewer shifts, at a tenth of the cost.
        likely = np.flatnonzero(_rough(*_both(grey, some, turned)) >= _LEAST_ROUGH)
        if len(likely):
            found[likely] = _of_pictures(*_both(thumbnails, some[likely], turned[likely]))
        return found

    # NumPy lets go of the interpreter while it computes, so threads share the work.
    with ThreadPoolExecutor() as pool:
        chunks = list(pool.map(of_chunk, range(0, len(pairs), _CHUNK)))
    return np.concatenate(chunks or [np.empty(0, np.float32)])


def _both(
    pictures: NDArray[Any], pairs: NDArray[np.int64], mirrored: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    first, second = pictures[pairs[:, 0]], pictures[pairs[:, 1]]
    second[mirrored] = second[mirrored][:, :, ::-1]
    return first.astype(np.float32), second.astype(np.float32)


def _grey_details(thumbnails: NDArray[np.uint8]) -> NDArray[np.int8]:
    """The details of all pictures in grey, in steps of 2: int8 [n, side, side], as much memory as a channel takes."""
    grey = np.empty(thumbnails.shape[:3], np.int8)
    for start in range(0, len(thumbnails), _CHUNK):
        some = thumbnails[start : start + _CHUNK].astype(np.float32)
        grey[start : start + _CHUNK] = np.clip(_details(some.mean(axis=3)) / 2, -127, 127).round()
    return grey


def _of_pictures(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    whole, shifts = _over_shifts(first, second)
    detail: NDArray[np.float32] = np.where(
        whole >= _LEAST_WHOLE, _at_shifts(_details(first), _details(second), shifts), np.float32(0)
    )
    return detail


def _rough(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """About the best correlation of grey details, float32 [n, side, side], over shifts of up to a pixel."""
    middle = np.ascontiguousarray(first[:, 1:-1, 1:-1])
    products = np.max([np.einsum("nhw,nhw->n", middle, moved) for moved in _moved(second, 1)], axis=0)
    squares = np.einsum("nhw,nhw->n", first, first) * np.einsum("nhw,nhw->n", second, second)
    rough: NDArray[np.float32] = products / np.maximum(np.sqrt(squares), _SMALLEST_LENGTH)
    return rough


def _over_shifts(
    first: NDArray[np.float32], second: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The best correlation over all shifts, and the number of the shift that gives it."""
    middle = _centred(first[:, _SHIFT:-_SHIFT, _SHIFT:-_SHIFT])
    # Against a picture without its mean, the mean of the other one counts for nothing.
    products = np.stack([np.einsum("nhwc,nhwc->n", middle, moved) for moved in _moved(second, _SHIFT)], axis=1)
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
    moved = np.empty_like(first[:, _SHIFT:-_SHIFT, _SHIFT:-_SHIFT])
    for number, window in enumerate(_moved(second, _SHIFT)):
        moved[shifts == number] = window[shifts == number]
    return _correlation(_centred(first[:, _SHIFT:-_SHIFT, _SHIFT:-_SHIFT]), _centred(moved))


def _moved(pictures: NDArray[np.float32], most: int) -> Iterator[NDArray[np.float32]]:
    height, width = pictures.shape[1] - 2 * most, pictures.shape[2] - 2 * most
    for down in range(2 * most + 1):
        for right in range(2 * most + 1):
            yield pictures[:, down : down + height, right : right + width]


def _centred(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    # einsum adds up faster than mean does.
    mean = np.einsum("nhwc->nc", pictures) / (pictures.shape[1] * pictures.shape[2])
    centred: NDArray[np.float32] = pictures - mean[:, None, None]
    return centred


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    squares = np.einsum("nhwc,nhwc->n", first, first) * np.einsum("nhwc,nhwc->n", second, second)
    correlation: NDArray[np.float32] = np.einsum("nhwc,nhwc->n", first, second) / np.maximum(
        np.sqrt(squares), _SMALLEST_LENGTH
    )
    return correlation


def _details(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pictures, [n, side, side] or [n, side, side, 3], without their own blurred copies."""
    window = (0, _BLUR, _BLUR, 0)[: pictures.ndim]
    details: NDArray[np.float32] = pictures - uniform_filter(pictures, window, mode="nearest")
    return details
