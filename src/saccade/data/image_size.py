"""Size of the decoded images: the default, and a size given by the user."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Preprocessing
from saccade.errors import DataError

_MIN_OWN_SIZE = 32
_DEFAULT_SIZES = np.array([32, 64, 96, 128, 224])
_MAX_SIZE = 4096


def default_preprocessing(sizes: NDArray[np.int32]) -> Preprocessing:
    """Return the original size if it is the same for all images and at least 32, else a default square size.

    The default size is the one of 32, 64, 96, 128 and 224 that is nearest to the median of the shorter sides.

    Args:
        sizes: heights and widths, array of shape [n, 2], int32, n at least 1.
    """
    height, width = (int(side) for side in sizes[0])
    if (sizes == sizes[0]).all() and min(height, width) >= _MIN_OWN_SIZE:
        return Preprocessing(height, width)
    nearest = np.abs(_DEFAULT_SIZES - np.median(sizes.min(axis=1))).argmin()
    return Preprocessing(int(_DEFAULT_SIZES[nearest]), int(_DEFAULT_SIZES[nearest]))


def square_preprocessing(image_size: int) -> Preprocessing:
    """Return the preprocessing for square images of a given size in pixels.

    Raises:
        DataError: the size is not from 1 to 4096.
    """
    if not 1 <= image_size <= _MAX_SIZE:
        raise DataError(
            "images can't be brought to that size", expected=f"1 to {_MAX_SIZE} pixels", found=f"{image_size}"
        )
    return Preprocessing(image_size, image_size)
