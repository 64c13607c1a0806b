"""Preprocessing of a data set: the default size, or a size given by the user, and the fit of the images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import FULL_BITS, Preprocessing
from saccade.errors import DataError, type_in_words
from saccade.image_fit import Fit, Scale

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


@dataclass(frozen=True)
class PreprocessingOptions:
    """What a user asks of the preprocessing; the rest depends on the images.

    Attributes:
        size: height and width, in pixels; None: by the sizes of the images.
        fit: fit of the images; None: the default fit for the size.
        scale: range of the 16-bit gray samples.
    """

    size: tuple[int, int] | None = None
    fit: Fit | None = None
    scale: Scale = "full"

    def resolve(self, sizes: NDArray[np.int32], used_bits: int = FULL_BITS) -> Preprocessing:
        """Return the preprocessing for images.

        Args:
            sizes: heights and widths, array of shape [n, 2], int32, n at least 1.
            used_bits: number of bits that the 16-bit gray samples of the images use.
        """
        found = default_preprocessing(sizes, self.fit) if self.size is None else of_size(*self.size, self.fit)
        return replace(found, sample_bits=used_bits if self.scale == "auto" else FULL_BITS)


def preprocessing_for(
    wanted: Preprocessing | PreprocessingOptions, sizes: NDArray[np.int32], used_bits: int = FULL_BITS
) -> Preprocessing:
    """Return the wanted preprocessing; for options, that of images as in `PreprocessingOptions.resolve`."""
    return wanted if isinstance(wanted, Preprocessing) else wanted.resolve(sizes, used_bits)


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


def wanted_preprocessing(image_size: int | None, fit: Fit | None, scale: Scale = "full") -> PreprocessingOptions:
    """Return the options of a user.

    Raises:
        DataError: the size, the fit or the scale is invalid.
    """
    _check_choice("fit of images", fit, get_args(Fit))
    _check_choice("scale of 16-bit samples", scale, get_args(Scale))
    if image_size is not None:
        square_preprocessing(image_size, fit)
    return PreprocessingOptions(None if image_size is None else (image_size, image_size), fit, scale)


def _check_choice(what: str, value: object, choices: tuple[str, ...]) -> None:
    if value is not None and (not isinstance(value, str) or value not in choices):
        found = repr(value) if isinstance(value, str) else type_in_words(value)
        raise DataError(f"there is no such {what}", expected=" or ".join(choices), found=found)


def square_preprocessing(image_size: int, fit: Fit | None = None) -> Preprocessing:
    """Return the preprocessing for square images of a given size in pixels, with a given fit or the default fit.

    Raises:
        DataError: the size is not from 1 to 4096.
    """
    if not 1 <= image_size <= _MAX_SIZE:
        raise DataError("the image size is invalid", expected=f"1 to {_MAX_SIZE} pixels", found=f"{image_size}")
    return of_size(image_size, image_size, fit)
