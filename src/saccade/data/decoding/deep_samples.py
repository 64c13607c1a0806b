"""Conversion of gray images with more than eight bits for a sample: 16-bit and 32-bit integers, and floats."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saccade.data.dataset import FULL_BITS
from saccade.data.decoding.tiff import deep_values, is_min_white
from saccade.errors import ImageError

MIN_BITS = 8
_LARGEST = (1 << FULL_BITS) - 1
_LARGEST_FLOAT = 255
_ROWS = 256


def is_deep(mode: str) -> bool:
    """Return whether a Pillow mode has one sample of more than eight bits."""
    return mode == "F" or mode.startswith("I")


def deep_to_gray(image: Image.Image, background: tuple[int, int, int], bits: int) -> tuple[Image.Image, int]:
    """Convert a gray image of more than eight bits to mode "L", or to "RGB" if it has a transparent gray.

    Of an integer the eight highest of the lowest `bits` bits are kept: with 16 bits the high byte, as Pillow does for
    16-bit color. Larger values are white. Floats are from 0 to 1 where no value of the image is above 1, else from 0 to
    255. Some rows at a time are converted, to save memory.

    Args:
        image: image of mode "I", "I;16" or another mode of 16-bit samples, or "F".
        background: color of transparent pixels.
        bits: number of bits that the samples of the data use, 8 to 16.

    Returns:
        The converted image, and the number of low bits that its own samples use: 8 to 16; 0 for floats.

    Raises:
        ImageError: the values are in no such range.
    """
    high = _largest_sample(image)
    used_bits = 0 if image.mode == "F" else max(MIN_BITS, int(high).bit_length())
    inverted, transparent = is_min_white(image), image.info.get("transparency")
    gray = np.empty((image.height, image.width), np.uint8)
    clear = np.zeros((image.height, image.width) if transparent is not None else 0, np.bool_)
    for rows, values in _blocks(image):
        gray[rows] = _from_floats(values, high) if image.mode == "F" else _from_integers(values, bits)
        if inverted:
            gray[rows] = 255 - gray[rows]
        if transparent is not None:
            clear[rows] = values == transparent
    if transparent is None:
        return Image.fromarray(gray), used_bits
    colors = np.repeat(gray[:, :, None], 3, axis=2)
    colors[clear] = background
    return Image.fromarray(colors), used_bits


def _blocks(image: Image.Image) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Yield blocks of rows with their samples."""
    for top in range(0, image.height, _ROWS):
        bottom = min(top + _ROWS, image.height)
        block = np.asarray(image.crop((0, top, image.width, bottom)))
        yield slice(top, bottom), deep_values(image, block)


def _largest_sample(image: Image.Image) -> float:
    """Return the largest value.

    Raises:
        ImageError: the values are in no range of `deep_to_gray`.
    """
    with np.errstate(invalid="ignore"):  # NaN
        ends = [(values.min(), values.max()) for _, values in _blocks(image)]
        low, high = (float(end) for end in (np.min([end[0] for end in ends]), np.max([end[1] for end in ends])))
    largest = _LARGEST_FLOAT if image.mode == "F" else _LARGEST
    if low >= 0 and high <= largest:  # false for NaN
        return high
    expected = f"floats from 0 to 1, or from 0 to {largest}" if image.mode == "F" else f"integers from 0 to {largest}"
    raise ImageError(f"values from {low:.6g} to {high:.6g}: expected {expected}")


def _from_integers(values: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    kept = np.minimum(values.astype(np.uint16), (1 << bits) - 1)
    return (kept >> (bits - MIN_BITS)).astype(np.uint8)


def _from_floats(values: NDArray[Any], high: float) -> NDArray[np.uint8]:
    return np.rint(values.astype(np.float64) * (_LARGEST_FLOAT if high <= 1 else 1)).astype(np.uint8)
