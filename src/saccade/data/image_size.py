"""The size to which pictures are brought where none is asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import PictureRule
from saccade.errors import DataError

_SMALLEST = 32
_USUAL_SIZES = np.array([32, 64, 96, 128, 224])
_LARGEST = 4096


def default_rule(sizes: NDArray[np.int32]) -> PictureRule:
    """The pictures' own size where it is the same for all and at least 32, else a usual square size.

    That is the nearest of 32, 64, 96, 128 and 224 to the median of the pictures' shorter sides.

    Args:
        sizes: int32 array of shape [n, 2], n at least 1: the heights and widths.
    """
    height, width = (int(side) for side in sizes[0])
    if (sizes == sizes[0]).all() and min(height, width) >= _SMALLEST:
        return PictureRule(height, width)
    nearest = np.abs(_USUAL_SIZES - np.median(sizes.min(axis=1))).argmin()
    return PictureRule(int(_USUAL_SIZES[nearest]), int(_USUAL_SIZES[nearest]))


def square_rule(image_size: int) -> PictureRule:
    """The rule for square pictures of a chosen size.

    Raises:
        DataError: if the size makes no sense.
    """
    if not 1 <= image_size <= _LARGEST:
        raise DataError(
            "pictures can't be brought to that size", expected=f"1 to {_LARGEST} pixels", found=f"{image_size}"
        )
    return PictureRule(image_size, image_size)
