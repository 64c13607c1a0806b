"""Normalized cross-correlation of pairs of images over shifts, scales, small rotations and mirror images.

This is template matching (Lewis, "Fast normalized cross-correlation", 1995): the middle of one image, resized, rotated
and mirrored in many ways, is searched in the other image by the fast Fourier transform. As in `cross_correlation.py`,
only details count: images minus their blurred copies. A coarse search of small images chooses scale and rotation, which
finer searches improve.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import irfft2, rfft2
from scipy.ndimage import uniform_filter

from saccade.data.dataset import PixelStore, read_batches
from saccade.machine import usable_cores
from saccade.progress import NO_PROGRESS, Progress

_SIDE = 64  # pixels of the shorter side of a gray thumbnail
_MIDDLE = 0.75  # part of the side that is searched in the other image
# Least correlation after the coarse search and after a finer one; a pair below it is not searched further.
_MIN_COARSE = 0.55
_MIN_FINE = 0.65
_MIN_NORM = 1.0
_BLOCK = 256  # pairs whose images are read at a time


class _Alignment(NamedTuple):
    """Change of an image: mirrored or not, degrees of rotation, and scale."""

    mirrored: bool
    degrees: float
    scale: float

    def inverse(self) -> _Alignment:
        """Return the change of the other image that aligns it with this one."""
        # An image is mirrored before it is rotated, so that the inverse of a mirrored one has the same sign.
        return _Alignment(self.mirrored, self.degrees if self.mirrored else -self.degrees, 1 / self.scale)


_COARSE = tuple(
    _Alignment(*values) for values in product((False, True), (-6.0, 0.0, 6.0), (0.7, 0.8, 0.9, 1.0, 1.11, 1.25, 1.43))
)
# Steps of the finer searches, in degrees and as a part of the scale.
_STEPS = ((3.0, 0.06), (1.5, 0.03), (0.75, 0.015))


@dataclass(frozen=True)
class _Grid:
    """Side of the compared images, and side of the window of their blurred copies, in pixels."""

    side: int
    blur: int


_SMALL, _LARGE = _Grid(32, 5), _Grid(64, 9)


class _Templates(NamedTuple):
    """Fourier transforms of templates, complex64 [t, side, side // 2 + 1], and their sides in pixels, t integers."""

    transforms: NDArray[np.complex64]
    sides: NDArray[np.int64]


class _Target(NamedTuple):
    """Fourier transform of details, complex64 [side, side // 2 + 1], and summed-area tables, float64 [2, ...]."""

    transform: NDArray[np.complex64]
    tables: NDArray[np.float64]


def aligned_correlations(
    store: PixelStore,
    rows: NDArray[np.int64],
    pairs: NDArray[np.int64],
    *,
    boxes: NDArray[np.int64] | None = None,
    progress: Progress = NO_PROGRESS,
) -> NDArray[np.float32]:
    """Return the highest correlation of the details of each pair of images, float32 [pairs].

    The correlation is 1 for exact duplicates, and at least `_MIN_FINE` or 0: pairs of little correlation are left
    after the first searches.

    Args:
        store: decoded images, as in `Split`.
        rows: row of each image, array of shape [n], int64.
        pairs: positions of two images, array of shape [pairs, 2], int64, sorted by the first one.
        boxes: left, top, right and bottom of each image within its padding, int64 [n, 4]. None: no padding.
        progress: progress, in pairs.
    """

    def thumbnail(position: int, pixels: NDArray[np.uint8]) -> Image.Image:
        image = Image.fromarray(pixels)
        left, top, right, bottom = (0, 0, *image.size) if boxes is None else boxes[position].tolist()
        # The ratio of the sides is kept here, because a rotated square of squeezed pixels is no square.
        shorter = max(1, min(right - left, bottom - top))
        size = (round(_SIDE * (right - left) / shorter), round(_SIDE * (bottom - top) / shorter))
        return image.convert("L").resize(size, Image.Resampling.BOX, box=(left, top, right, bottom))

    def of_first(group: tuple[Image.Image, list[Image.Image]]) -> list[float]:
        first, seconds = group
        templates = _templates(first, _COARSE, _SMALL)
        return [_best_correlation(first, second, templates) for second in seconds]

    blocks = [pairs[start : start + _BLOCK] for start in range(0, len(pairs), _BLOCK)]
    members = [np.unique(block) for block in blocks]
    read = read_batches(store, (rows[positions] for positions in members))
    found: list[float] = []
    # Pillow and SciPy release the interpreter lock, so threads run in parallel.
    with ThreadPoolExecutor(usable_cores()) as pool:
        for block, positions, images in zip(blocks, members, read, strict=True):
            small = dict(zip(positions.tolist(), pool.map(thumbnail, positions.tolist(), images), strict=True))
            groups = [
                (small[first], [small[second] for _, second in members_of_first])
                for first, members_of_first in groupby(block.tolist(), key=lambda pair: pair[0])
            ]
            for correlations in pool.map(of_first, groups):
                found += correlations
                progress.update(len(correlations))
    return np.array(found, np.float32)


def _best_correlation(first: Image.Image, second: Image.Image, templates: _Templates) -> float:
    """Return the highest correlation of two thumbnails, or 0 where a search finds too little."""
    coarse = _correlations(templates, _target(second, _SMALL))
    if coarse.max() < _MIN_COARSE:
        return 0.0
    best = _COARSE[int(coarse.argmax())]
    if best.scale > 1:  # more of the image that shows less is compared
        first, second, best = second, first, best.inverse()
    target = _target(second, _LARGE)
    for step in _STEPS:
        nearby = tuple(_nearby(best, *step))
        correlations = _correlations(_templates(first, nearby, _LARGE), target)
        if correlations.max() < _MIN_FINE:
            return 0.0
        best = nearby[int(correlations.argmax())]
    return float(correlations.max())


def _nearby(alignment: _Alignment, degrees: float, scale: float) -> Iterator[_Alignment]:
    for turn, growth in product((-1, 0, 1), repeat=2):
        yield _Alignment(alignment.mirrored, alignment.degrees + turn * degrees, alignment.scale * (1 + growth * scale))


def _templates(image: Image.Image, alignments: Sequence[_Alignment], grid: _Grid) -> _Templates:
    """Return the details of the middle of a thumbnail, changed by each alignment, with mean 0 and norm 1."""
    padded = np.zeros((len(alignments), grid.side, grid.side), np.float32)
    # A larger scale shows a smaller part of the image, so that the template is never larger than the middle.
    sides = np.array([round(_MIDDLE * grid.side * min(one.scale, 1.0)) for one in alignments], np.int64)
    # A mirrored image that is rotated by d is the mirror image of the image rotated by -d.
    turns = [-one.degrees if one.mirrored else one.degrees for one in alignments]
    rotated = {turn: image.rotate(turn, Image.Resampling.BILINEAR) if turn else image for turn in set(turns)}
    for side in np.unique(sides).tolist():
        numbers = np.flatnonzero(sides == side).tolist()
        parts = list(dict.fromkeys((turns[number], alignments[number].scale) for number in numbers))
        details = _details(np.stack([_middle(rotated[turn], side, scale, grid) for turn, scale in parts]), grid.blur)
        details -= details.mean(axis=(1, 2), keepdims=True)
        details /= np.maximum(np.linalg.norm(details, axis=(1, 2), keepdims=True), _MIN_NORM)
        for number in numbers:
            mirrored, _, scale = alignments[number]
            one = details[parts.index((turns[number], scale))]
            padded[number, :side, :side] = one[:, ::-1] if mirrored else one
    return _Templates(np.conj(rfft2(padded)), sides)


def _middle(image: Image.Image, side: int, scale: float, grid: _Grid) -> NDArray[np.float32]:
    """Return the middle of a thumbnail at a scale, float32 [side, side]."""
    start, end = ((1 + sign * side / grid.side / scale) / 2 for sign in (-1, 1))
    box = (start * image.width, start * image.height, end * image.width, end * image.height)
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR, box=box), np.float32)


def _target(image: Image.Image, grid: _Grid) -> _Target:
    """Return the details of a thumbnail in which templates are searched."""
    size = (grid.side, grid.side)
    details = _details(np.asarray(image.resize(size, Image.Resampling.BOX), np.float32), grid.blur)
    tables = np.zeros((2, grid.side + 1, grid.side + 1))
    tables[:, 1:, 1:] = np.stack([details, details * details]).cumsum(axis=1, dtype=np.float64).cumsum(axis=2)
    return _Target(rfft2(details), tables)


def _correlations(templates: _Templates, target: _Target) -> NDArray[np.float32]:
    """Return the correlation of each template at its best shift, float32 [t]."""
    side = target.tables.shape[1] - 1
    products = irfft2(templates.transforms * target.transform, s=(side, side))
    best = np.empty(len(products), np.float32)
    for length in np.unique(templates.sides).tolist():
        chosen, shifts = templates.sides == length, side - length + 1
        table = target.tables
        sums, squares = (
            table[:, length:, length:] - table[:, :-length, length:] - table[:, length:, :-length]
            + table[:, :-length, :-length]
        )  # fmt: skip
        norms = np.sqrt(np.maximum(squares - sums * sums / length**2, _MIN_NORM))
        best[chosen] = (products[chosen, :shifts, :shifts] / norms).max(axis=(1, 2))
    return best


def _details(images: NDArray[np.float32], blur: int) -> NDArray[np.float32]:
    """Return images, float32 [..., height, width], minus their blurred copies."""
    details: NDArray[np.float32] = images - uniform_filter(images, blur, mode="nearest", axes=(-2, -1))
    return details
