"""Image decoder: the only code that turns the bytes of an image into pixels; `fit.py` resizes them.

Training, prediction and serving all call this decoder, so the pixels of an image are equal everywhere.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saccade.data.dataset import Preprocessing
from saccade.data.decoding.color_profile import to_srgb
from saccade.data.decoding.deep_samples import deep_to_gray, is_deep
from saccade.data.decoding.fit import fit_image, jpeg_reduction
from saccade.data.decoding.image_format import detect_format
from saccade.data.decoding.open_image import open_image, quiet_pillow
from saccade.errors import ImageError

DECODER_VERSION = 2
"""Increase this number when equal bytes and an equal `Preprocessing` give other pixels: the cache decodes again."""

_ORIENTATION_TAG = 0x0112
_ORIENTATION_HOLDERS = frozenset({"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"})
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TURNED_BY_DECODER = frozenset({"TIFF", "HEIC"})
_QUARTER_TURNS = frozenset({5, 6, 7, 8})
_OWN_SIZE = Preprocessing(0, 0)
# Parts of Pillow's messages for intact files whose layout of samples or compression it does not know.
_UNSUPPORTED = ("unknown pixel mode", "conversion from")


class ImageHeader(NamedTuple):
    """Header of an image.

    Attributes:
        format: file format.
        mode: Pillow's mode.
        height: height after the EXIF orientation, in pixels.
        width: width after the EXIF orientation, in pixels.
    """

    format: str
    mode: str
    height: int
    width: int


class Decoded(NamedTuple):
    """Decoded image.

    Attributes:
        pixels: RGB array of shape [height, width, 3], uint8, of the preprocessing's size or the original size.
        header: header of the encoded image.
        used_bits: number of bits that 16-bit gray samples use, 8 to 16; 0 for an image without such samples.
        has_unusable_profile: whether the image has a color profile that can't be used.
    """

    pixels: NDArray[np.uint8]
    header: ImageHeader
    used_bits: int = 0
    has_unusable_profile: bool = False


def decode(encoded: bytes, preprocessing: Preprocessing | None = None) -> Decoded:
    """Decode an image with a `Preprocessing`; without one the image keeps its size.

    The formats are JPEG, PNG, GIF (the first frame), BMP, WebP, TIFF (the first page), AVIF and, with the package
    pi-heif, HEIC. Of a 16-bit sample the high byte is kept, or of gray samples the eight bits that the preprocessing
    says. Colors become sRGB by the color profile of the image.

    Raises:
        ImageError: the bytes are not an image of these formats, or the image is truncated, damaged or too large.
    """
    file_format = detect_format(encoded)
    try:
        return _decode(encoded, file_format, preprocessing or _OWN_SIZE)
    except ImageError:
        raise
    except Exception as error:  # Pillow raises errors of any type, MemoryError and SyntaxError included
        raise ImageError(_reason(error, file_format)) from None


def read_header(encoded: bytes) -> ImageHeader:
    """Read the header of an image, without its pixels where the format allows that.

    Raises:
        ImageError: the bytes are not an image of a supported format, or the header is damaged.
    """
    file_format = detect_format(encoded)
    try:
        image = open_image(encoded, file_format, _OWN_SIZE.max_pixels)
        if file_format == "PNG" and b"eXIf" in encoded:
            image.load()  # the orientation may follow the pixels
        return _header(file_format, image.mode, image.size, _orientation(image, file_format))
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(_reason(error, file_format)) from None


def fit_pixels(pixels: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Resize an RGB image, uint8 [height, width, 3], to the size of `preprocessing`, by its fit."""
    return np.asarray(fit_image(Image.fromarray(pixels), preprocessing))


def _decode(encoded: bytes, file_format: str, preprocessing: Preprocessing) -> Decoded:
    image = open_image(encoded, file_format, preprocessing.max_pixels)
    size = image.size
    reduction = jpeg_reduction(size, preprocessing) if file_format == "JPEG" else 1
    if reduction > 1:
        # libjpeg divides width and height by 2, 4 or 8, which is three times as fast as a full decoding.
        image.draft(None, (max(1, size[0] // reduction), max(1, size[1] // reduction)))
    if file_format == "TIFF":  # Pillow reads the tags with warnings
        with quiet_pillow():
            image.load()
    else:
        image.load()
    orientation = _orientation(image, file_format)
    header = _header(file_format, image.mode, size, orientation)
    bits, has_usable_profile = 0, True
    # Gray images are converted to RGB last, to save memory.
    if image.mode in ("1", "L") and not image.has_transparency_data:
        upright: Image.Image = image.convert("L")
    elif is_deep(image.mode):
        upright, bits = deep_to_gray(image, preprocessing.background, preprocessing.sample_bits)
    else:
        upright, has_usable_profile = _to_rgb(image, preprocessing.background)
    if orientation in _TRANSPOSITIONS:
        upright = upright.transpose(_TRANSPOSITIONS[orientation])
    if preprocessing.height:
        upright = fit_image(upright, preprocessing)
    if upright.mode == "L":
        upright = upright.convert("RGB")
    pixels = np.frombuffer(upright.tobytes(), np.uint8).reshape(upright.height, upright.width, 3)
    return Decoded(pixels, header, bits, not has_usable_profile)


def _header(file_format: str, mode: str, size: tuple[int, int], orientation: int) -> ImageHeader:
    width, height = reversed(size) if orientation in _QUARTER_TURNS else size
    return ImageHeader(file_format, mode, height, width)


def _orientation(image: Image.Image, file_format: str) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where the orientation is missing or damaged, or the decoder applies it."""
    if file_format in _TURNED_BY_DECODER:
        return 1
    if _ORIENTATION_HOLDERS.isdisjoint(image.info):
        return 1
    try:
        with quiet_pillow():
            return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # an image with damaged metadata is still readable
        return 1


def _to_rgb(image: Image.Image, background: tuple[int, int, int]) -> tuple[Image.Image, bool]:
    """Return an image of eight bits in sRGB, and whether its color profile, if any, can be used."""
    if image.has_transparency_data:
        colored, has_usable_profile = to_srgb(image.convert("RGBA"))
        blended = Image.new("RGB", image.size, background)
        blended.paste(colored, (0, 0), colored)
        return blended, has_usable_profile
    return to_srgb(image if image.mode == "RGB" else image.convert("RGB"))


def _reason(error: Exception, file_format: str) -> str:
    # Pillow raises the same types for truncated and for damaged images: only its messages distinguish them.
    message = " ".join(str(error).split()).replace("not identified by this driver", "its header can't be read")
    cause = error.__cause__ or error
    if "truncated" in message.lower() or isinstance(cause, (struct.error, EOFError, IndexError)):
        return f"truncated {file_format}"
    if message == "could not create decoder object":  # libwebp gives no other detail
        return f"damaged {file_format}, or not enough memory to decode it"
    if isinstance(error, MemoryError) or "out of memory" in message.lower() or "memory allocation" in message.lower():
        return f"not enough memory to decode this {file_format}"
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return f"too large: the {file_format} has more pixels than are allowed"
    if any(words in message for words in _UNSUPPORTED):
        return f"a kind of {file_format} that is not supported: convert it to JPEG or PNG"
    words = "".join(letter for letter in message[:100] if letter.isprintable())
    return f"damaged {file_format}" + (f": {words}" if words.strip("-0123456789") else "")
