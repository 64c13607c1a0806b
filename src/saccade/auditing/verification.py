"""Whether two pictures are copies of each other, by their pixels: best over small shifts, whatever the brightness.

The measure is the normalised cross-correlation (Lewis, "Fast normalized cross-correlation", 1995) of colour pictures,
each channel without its mean. Two ships on a horizon correlate well without being copies; so, at the shift where the
pictures agree best, what counts is the correlation of their details alone: each picture without its own blurred copy.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

_CHUNK = 512  # pairs
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
    found = np.zeros(len(pairs), np.float32)
    for start in range(0, len(pairs), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        first, second = thumbnails[pairs[chunk, 0]], thumbnails[pairs[chunk, 1]]
        second[mirrored[chunk]] = second[mirrored[chunk]][:, :, ::-1]
        found[chunk] = _of_pictures(first.astype(np.float32), second.astype(np.float32))
    return found


def _of_pictures(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    found = np.zeros(len(first), np.float32)
    # Most pairs are told apart without their colours and at fewer shifts, at a tenth of the cost.
    likely = np.flatnonzero(_rough(_details(first.mean(axis=3)), _details(second.mean(axis=3))) >= _LEAST_ROUGH)
    if len(likely):
        first, second = first[likely], second[likely]
        whole, shifts = _over_shifts(first, second)
        detail = _at_shifts(_details(first), _details(second), shifts)
        found[likely] = np.where(whole >= _LEAST_WHOLE, detail, 0)
    return found


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
    each = np.stack([_correlation(middle, _centred(moved)) for moved in _moved(second, _SHIFT)])
    best: NDArray[np.float32] = each.max(axis=0)
    return best, each.argmax(axis=0)


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
    centred: NDArray[np.float32] = pictures - pictures.mean(axis=(1, 2), keepdims=True)
    return centred.reshape(len(pictures), -1)


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    squares = np.einsum("np,np->n", first, first) * np.einsum("np,np->n", second, second)
    correlation: NDArray[np.float32] = np.einsum("np,np->n", first, second) / np.maximum(
        np.sqrt(squares), _SMALLEST_LENGTH
    )
    return correlation


def _details(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pictures, [n, side, side] or [n, side, side, 3], without their own blurred copies."""
    window = (0, _BLUR, _BLUR, 0)[: pictures.ndim]
    details: NDArray[np.float32] = pictures - uniform_filter(pictures, window, mode="nearest")
    return details
