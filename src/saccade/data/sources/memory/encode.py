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
_FILE_FORMATS = frozenset({"JPEG", "PNG", "WEBP", "BMP", "TIFF", "AVIF", "HEIF"})
_MOST_CHANNELS = 4
_LEAST_WIDTH = 15  # last axes up to this length are taken for channels, unless the images are squares
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


def require_images(array: NDArray[Any]) -> None:
    """Require the shape of several images, [n, height, width] or [n, height, width, channels].

    Raises:
        DataError: the array has another shape, such as one with five channels.
    """
    is_batch = array.ndim == 3 and (array.shape[2] > _LEAST_WIDTH or array.shape[2] == array.shape[1])
    if not is_batch and (array.ndim != 4 or array.shape[3] > _LEAST_WIDTH):
        raise DataError(
            "an array is no images",
            expected="[n, height, width] or [n, height, width, channels]",
            found=f"the shape {list(array.shape)}",
            remedy="move the channels to the last axis" if array.ndim == 4 else "give a list of images",
        )


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
        DataError: an array has values from 0 to 1, and another one has larger values; or the arrays of whole numbers
            have values from 0 to 1.
    """
    largest: dict[str, list[tuple[int, float]]] = {"f": [], "i": []}
    for position, value in enumerate(values):
        kind = np.asarray(value).dtype.kind.replace("u", "i") if is_array(value) else ""
        if kind in largest:
            largest[kind].append((position, float(np.max(np.asarray(value), initial=0))))
    numbers, floats = largest["i"], largest["f"]
    if numbers and 0 < max(value for _, value in numbers) <= 1:
        raise DataError(
            "the pixels of the images would be black", expected=_PIXELS, found="whole numbers of 0 and 1",
            remedy="multiply them by 255, or give them as bool",
        )  # fmt: skip
    highest = max((value for _, value in floats), default=None)
    scaled = next((position for position, value in floats if 0 < value <= 1), None)
    if highest is not None and highest > 1 and scaled is not None:
        raise DataError(
            "the pixels of the images are in two ranges",
            expected="floats from 0 to 1, or from 0 to 255, in all images",
            found=f"values from 0 to 1 in image {scaled}, and up to {highest:.6g} in others",
            remedy="give all in one range; an image from 0 to 255 that is nearly black may be given as uint8",
        )  # fmt: skip
    return highest


def _as_pixels(values: NDArray[Any], largest: float | None) -> NDArray[Any]:
    """Return pixels of 8 bits, or of 16 bits for gray images."""
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * 255
    if values.dtype == np.uint16 and values.max() <= 255:
        return values.astype(np.uint8)
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
    """Return an image of Pillow as a TIFF or BMP file: upright, with its transparency and its color profile.

    An image that was opened and not changed is its file, so that both give the same pixels: decoders reduce a large
    file while they read it.
    """
    contents = _file_of(image)
    if contents is not None:
        return contents
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


def _file_of(image: Image.Image) -> bytes | None:
    """Return the contents of the file of an image of Pillow whose pixels were not read yet; None for other images."""
    stream = getattr(image, "fp", None)
    if not getattr(image, "tile", None) or stream is None or image.format not in _FILE_FORMATS or image.tell():
        return None
    try:
        position = stream.tell()
        stream.seek(0)
        contents = stream.read()
        stream.seek(position)
        image.load()  # Pillow closes the file, as after any other use of the image
    except (OSError, ValueError):
        return None
    return bytes(contents)


def _contents(stream: Any) -> bytes:
    try:
        contents = stream.read()
    except (OSError, ValueError) as error:  # closed, or opened as text
        raise DataError(
            "an open file can't be read", expected="a file opened by open(path, 'rb')", found=str(error)[:80]
        ) from None
    if not contents and hasattr(stream, "tell") and stream.tell():
        raise DataError("an open file was read to its end", remedy="call its method seek(0), and give it once only")
    if not isinstance(contents, bytes):
        raise DataError(
            "an open file of an image gives text", expected="a file opened in binary mode, open(path, 'rb')"
        )
    return contents
