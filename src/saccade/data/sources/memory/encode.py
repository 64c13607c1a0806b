"""Encoding of images in memory without loss: after it they take the way of files, through decoder, cache and server."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from saccade.errors import DataError, type_in_words

_PIXELS = "integers from 0 to 255, or floats from 0 to 1 or from 0 to 255"
_SHAPES = "[height, width], or [height, width, channels] with 1, 3 or 4 channels"
# Modes that a TIFF file holds; Pillow converts the others.
_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "F", "I;16", "I;16B"})
_MOST_CHANNELS = 4
_CHANNELS_FIRST = (3, 4)  # color images of other packages
TAKEN = "a path, an image of Pillow, an array of pixels, the bytes of a file, or an open file"


def is_image(value: object) -> bool:
    """Return whether a value is one image in memory: of Pillow, an array of one image, bytes or an open file."""
    if isinstance(value, bytes | bytearray | memoryview | Image.Image) or hasattr(value, "read"):
        return True
    if not hasattr(value, "__array__"):
        return False
    shape = np.shape(np.asarray(value))
    return len(shape) == 2 or (len(shape) == 3 and (shape[2] <= _MOST_CHANNELS or shape[0] in _CHANNELS_FIRST))


def is_array(value: object) -> bool:
    """Return whether a value is an array, of any package; text and bytes of NumPy are none."""
    return hasattr(value, "__array__") and not isinstance(value, str | bytes | Image.Image)


def encode_image(value: object, *, largest: float | None = None) -> bytes:
    """Return the contents of an image file: those of the value, or the pixels in a BMP or TIFF file.

    Args:
        value: bytes, an open file, an image of Pillow, or an array of pixels.
        largest: largest value of all arrays that belong together; None: that of this array.

    Raises:
        DataError: the value is nothing of these, or its pixels are in no range that is read.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, Image.Image):
        return _encode_image(value)
    if hasattr(value, "read"):
        return _contents(value)
    if hasattr(value, "__array__"):
        return encode_array(np.asarray(value), largest=largest)
    raise DataError("this is no image", expected=TAKEN, found=type_in_words(value))


def encode_array(values: NDArray[Any], *, largest: float | None = None) -> bytes:
    """Return the pixels of an image as a BMP file, or as a TIFF file where there are transparency or 16 bits.

    Args:
        values: array of shape [height, width], or [height, width, channels] with 1, 3 or 4 channels: bool, unsigned
            integers of 8 bits (of 16 bits for gray), other integers from 0 to 255, or floats.
        largest: as for `encode_image`.

    Raises:
        DataError: the array has another shape, or its values are in no such range.
    """
    channels = values.shape[2:]
    if values.ndim == 3 and values.shape[0] in _CHANNELS_FIRST and min(values.shape[1:]) > _MOST_CHANNELS:
        raise DataError(
            "an array is no image", expected=_SHAPES, found=f"the shape {list(values.shape)}",
            remedy="move the channels to the last axis, or give a list of gray images",
        )  # fmt: skip
    if values.ndim not in (2, 3) or 0 in values.shape or channels not in ((), (1,), (3,), (_MOST_CHANNELS,)):
        raise DataError("an array is no image", expected=_SHAPES, found=f"the shape {list(values.shape)}")
    pixels = _as_pixels(values, largest)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    image = Image.fromarray(np.ascontiguousarray(pixels))
    stream = io.BytesIO()
    image.save(stream, "BMP" if image.mode in ("L", "RGB") else "TIFF")
    return stream.getvalue()


def largest_of_floats(values: Iterable[Any]) -> float | None:
    """Return the largest value of all arrays of floats, which gives the range of their pixels; None without any.

    Raises:
        DataError: most of the arrays have values from 0 to 1, and others have larger values.
    """
    found = [
        float(np.max(np.asarray(value), initial=0))
        for value in values
        if is_array(value) and np.asarray(value).dtype.kind == "f"
    ]
    largest = max(found, default=None)
    if largest is not None and largest > 1 and 2 * sum(0 < each <= 1 for each in found) > len(found):
        raise DataError(
            "the pixels of the images are in two ranges",
            expected="floats from 0 to 1, or from 0 to 255, in all images",
            found=f"both among {len(found):,} images",
        )  # fmt: skip
    return largest


def _as_pixels(values: NDArray[Any], largest: float | None) -> NDArray[Any]:
    """Return pixels of 8 bits, or of 16 bits for gray images."""
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * 255
    if values.dtype == np.uint16:
        return values if values.ndim == 2 or values.shape[2] == 1 else (values >> 8).astype(np.uint8)
    if not np.issubdtype(values.dtype, np.integer) and not np.issubdtype(values.dtype, np.floating):
        raise DataError("the pixels of an image are no numbers", expected=_PIXELS, found=f"an array of {values.dtype}")
    with np.errstate(invalid="ignore"):
        low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 255):  # NaN included
        found = f"values from {low:.6g} to {high:.6g}"
        raise DataError("the pixels of an image are in no range that is read", expected=_PIXELS, found=found)
    if np.issubdtype(values.dtype, np.floating):
        scale = 255 if (high if largest is None else largest) <= 1 else 1
        return np.rint(values.astype(np.float64) * scale).astype(np.uint8)
    return values.astype(np.uint8)


def _encode_image(image: Image.Image) -> bytes:
    """Return an image of Pillow as a TIFF or BMP file: upright, with its transparency and its color profile."""
    try:
        upright: Image.Image = ImageOps.exif_transpose(image)
    except (OSError, ValueError) as error:  # the image was closed, or its file is damaged
        raise DataError("an image can't be read", found=str(error)) from None
    profile = upright.info.get("icc_profile")
    if upright.mode in ("La", "RGBa"):
        upright = upright.convert({"La": "LA", "RGBa": "RGBA"}[upright.mode])
    if upright.has_transparency_data and not upright.mode.startswith("I"):
        upright = upright.convert("RGBA")
    elif upright.mode not in _MODES:
        upright = upright.convert("RGB")
    clean = upright.copy()
    clean.info = {"transparency": upright.info["transparency"]} if "transparency" in upright.info else {}
    stream = io.BytesIO()
    if "transparency" in clean.info and clean.mode.startswith("I"):
        clean.save(stream, "PNG", transparency=clean.info["transparency"])  # TIFF has no transparent gray
    elif profile or clean.mode not in ("L", "RGB"):
        clean.save(stream, "TIFF", compression="raw", **({"icc_profile": profile} if profile else {}))
    else:  # as an array of the same pixels
        clean.save(stream, "BMP")
    return stream.getvalue()


def _contents(stream: Any) -> bytes:
    try:
        contents = stream.read()
    except (OSError, ValueError) as error:  # closed, or opened as text
        raise DataError(
            "an open file can't be read", expected="a file opened by open(path, 'rb')", found=str(error)[:80]
        ) from None
    if not isinstance(contents, bytes):
        raise DataError(
            "an open file of an image gives text", expected="a file opened in binary mode, open(path, 'rb')"
        )
    return contents
