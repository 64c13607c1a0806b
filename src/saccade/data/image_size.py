"""Preprocessing of a data set: the default size, or a size given by the user, and the fit of the images."""

from __future__ import annotations

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Preprocessing
from saccade.errors import DataError, type_in_words
from saccade.image_fit import Fit

_MIN_OWN_SIZE = 32
_MAX_SMALL_SIZE = 64
_SMALL_SIZES = np.array([32, 64])
_PHOTO_SIZES = np.array([160, 224])
_MAX_SIZE = 4096


def default_fit(height: int, width: int) -> Fit:
    """Return the default fit for the size of the decoded images: "pad" for photographs, else "crop".

    With the features of EfficientNet-Lite0, padding was never distinguishable from cropping on photographs of usual
    aspect ratios, and far better where the classes differ at the ends of the images (`benchmarks/photo_fit.py`).
    """
    return "pad" if min(height, width) > _MAX_SMALL_SIZE else "crop"


def preprocessing_for(wanted: Preprocessing | Fit | None, sizes: NDArray[np.int32]) -> Preprocessing:
    """Return the wanted preprocessing; for a fit alone or None, the default preprocessing.

    Args:
        wanted: preprocessing, or the fit of a preprocessing whose size depends on the images; None for the default fit.
        sizes: heights and widths, array of shape [n, 2], int32, n at least 1.
    """
    return wanted if isinstance(wanted, Preprocessing) else default_preprocessing(sizes, wanted)


def default_preprocessing(sizes: NDArray[np.int32], fit: Fit | None = None) -> Preprocessing:
    """Return the default preprocessing for the sizes of the images.

    Where the median of the shorter sides is above 64 pixels, images are photographs, and become squares of 160 or 224
    pixels, whichever is nearer to the median: an enlarged image takes more time and is not recognized better. Smaller
    images keep their size, if it is the same for all and at least 32; else they become squares of 32 or 64 pixels,
    whichever is nearer to the median.

    Args:
        sizes: heights and widths, array of shape [n, 2], int32, n at least 1.
        fit: fit of the images; None for the default fit.
    """
    median = np.median(sizes.min(axis=1))
    if median > _MAX_SMALL_SIZE:
        side = _nearest(_PHOTO_SIZES, float(median))
        return of_size(side, side, fit)
    height, width = (int(side) for side in sizes[0])
    if (sizes == sizes[0]).all() and min(height, width) >= _MIN_OWN_SIZE:
        return of_size(height, width, fit)
    side = _nearest(_SMALL_SIZES, float(median))
    return of_size(side, side, fit)


def _nearest(sizes: NDArray[np.int64], side: float) -> int:
    return int(sizes[np.abs(sizes - side).argmin()])


def of_size(height: int, width: int, fit: Fit | None) -> Preprocessing:
    """Return the preprocessing for a size and a fit; None for the default fit of this size."""
    return Preprocessing(height, width, fit=fit or default_fit(height, width))


def wanted_preprocessing(image_size: int | None, fit: Fit | None) -> Preprocessing | Fit | None:
    """Return what a user asks for: a square size with a fit; or the fit alone, where the data gives the size.

    Raises:
        DataError: the size or the fit is invalid.
    """
    if fit is not None and (not isinstance(fit, str) or fit not in get_args(Fit)):
        found = repr(fit) if isinstance(fit, str) else type_in_words(fit)
        raise DataError("there is no such fit of images", expected=" or ".join(get_args(Fit)), found=found)
    return fit if image_size is None else square_preprocessing(image_size, fit)


def square_preprocessing(image_size: int, fit: Fit | None = None) -> Preprocessing:
    """Return the preprocessing for square images of a given size in pixels, with a given fit or the default fit.

    Raises:
        DataError: the size is not from 1 to 4096.
    """
    if not 1 <= image_size <= _MAX_SIZE:
        raise DataError("the image size is invalid", expected=f"1 to {_MAX_SIZE} pixels", found=f"{image_size}")
    return of_size(image_size, image_size, fit)
