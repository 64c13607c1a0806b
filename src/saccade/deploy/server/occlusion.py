"""Where the network looked: how its answer changes when a part of the image is covered.

Source: M. D. Zeiler, R. Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, section 4.2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GRID = 8
_GRAY = 128


def covered(pixels: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """An image, uint8 [height, width, 3], covered with gray around each place of a grid in turn.

    Each patch is twice as wide and as high as a field of the grid, so that neighbors overlap.

    Returns:
        `GRID` times `GRID` images, row by row.
    """
    height, width = pixels.shape[:2]
    rows, columns = _spans(height), _spans(width)
    images = []
    for row in rows:
        for column in columns:
            image = pixels.copy()
            image[row, column] = _GRAY
            images.append(image)
    return images


def _spans(length: int) -> list[slice]:
    field = length / GRID
    starts = [min(max(round((place - 0.5) * field), 0), length - 1) for place in range(GRID)]
    ends = [round((place + 1.5) * field) for place in range(GRID)]
    return [slice(start, max(end, start + 1)) for start, end in zip(starts, ends, strict=True)]
