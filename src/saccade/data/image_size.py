"""The size to which images are brought where none is asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Preprocessing
from saccade.errors import DataError

_SMALLEST = 32
_USUAL_SIZES = np.array([32, 64, 96, 128, 224])
_LARGEST = 4096


def default_preprocessing(sizes: NDArray[np.int32]) -> Preprocessing:
    """The images' own size where it is the same for all and at least 32, else a usual square size.

    That is the nearest of 32, 64, 96, 128 and 224 to the median of the images' shorter sides.

    Args:
        sizes: int32 array of shape [n, 2], n at least 1: the heights and widths.
    """
    height, width = (int(side) for side in sizes[0])
    if (sizes == sizes[0]).all() and min(height, width) >= _SMALLEST:
        return Preprocessing(height, width)
    nearest = np.abs(_USUAL_SIZES - np.median(sizes.min(axis=1))).argmin()
    return Preprocessing(int(_USUAL_SIZES[nearest]), int(_USUAL_SIZES[nearest]))


def square_preprocessing(image_size: int) -> Preprocessing:
    """The rule for square images of a chosen size.

    Raises:
        DataError: if the size makes no sense.
    """
    if not 1 <= image_size <= _LARGEST:
        raise DataError(
            "images can't be brought to that size", expected=f"1 to {_LARGEST} pixels", found=f"{image_size}"
        )
    return Preprocessing(image_size, image_size)
