"""Size of the decoded images: the default, and a size given by the user."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Preprocessing
from saccade.errors import DataError

_MIN_OWN_SIZE = 32
_MAX_SMALL_SIZE = 64
_SMALL_SIZES = np.array([32, 64])
_PHOTO_SIZE = 224
_MAX_SIZE = 4096


def default_preprocessing(sizes: NDArray[np.int32]) -> Preprocessing:
    """Return the default preprocessing for the sizes of the images.

    Where the median of the shorter sides is above 64 pixels, images are photographs, and become squares of 224 pixels.
    Smaller images keep their size, if it is the same for all and at least 32; else they become squares of 32 or 64
    pixels, whichever is nearer to the median.

    Args:
        sizes: heights and widths, array of shape [n, 2], int32, n at least 1.
    """
    median = np.median(sizes.min(axis=1))
    if median > _MAX_SMALL_SIZE:
        return Preprocessing(_PHOTO_SIZE, _PHOTO_SIZE)
    height, width = (int(side) for side in sizes[0])
    if (sizes == sizes[0]).all() and min(height, width) >= _MIN_OWN_SIZE:
        return Preprocessing(height, width)
    nearest = np.abs(_SMALL_SIZES - median).argmin()
    return Preprocessing(int(_SMALL_SIZES[nearest]), int(_SMALL_SIZES[nearest]))


def square_preprocessing(image_size: int) -> Preprocessing:
    """Return the preprocessing for square images of a given size in pixels.

    Raises:
        DataError: the size is not from 1 to 4096.
    """
    if not 1 <= image_size <= _MAX_SIZE:
        raise DataError("the image size is invalid", expected=f"1 to {_MAX_SIZE} pixels", found=f"{image_size}")
    return Preprocessing(image_size, image_size)
