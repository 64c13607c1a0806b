"""Image decoder: the only code that turns the bytes of an image into pixels; `fit.py` resizes them.

Training, prediction and serving all call this decoder, so the pixels of an image are equal everywhere.
"""

from __future__ import annotations

import io
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

from saccade.data.dataset import Preprocessing
from saccade.data.decoding.fit import fit_image, jpeg_reduction
from saccade.data.decoding.image_format import detect_format, webp_canvas
from saccade.errors import ImageError

DECODER_VERSION = 1
"""Increase this number when equal bytes and an equal `Preprocessing` give other pixels: the cache decodes again."""

# A JPEG of 32x32 pixels takes 65 us by its plugin, and 112 us by Image.open and convert.
_PLUGINS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
}
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
_QUARTER_TURNS = frozenset({5, 6, 7, 8})
_OWN_SIZE = Preprocessing(0, 0)
_warnings_lock = threading.Lock()


class ImageHeader(NamedTuple):
    """Header of an image: file format, Pillow's mode, and height and width in pixels after the EXIF orientation."""

    format: str
    mode: str
    height: int
    width: int


class Decoded(NamedTuple):
    """Decoded image.

    Attributes:
        pixels: RGB array of shape [height, width, 3], uint8, of the preprocessing's size or the original size.
        header: header of the encoded image.
    """

    pixels: NDArray[np.uint8]
    header: ImageHeader


def decode(encoded: bytes, preprocessing: Preprocessing | None = None) -> Decoded:
    """Decode an image with a `Preprocessing`; without one the image keeps its size.

    The formats are JPEG, PNG, GIF (the first frame), BMP and WebP. Of a 16-bit sample the high byte is kept. Color
    profiles are not applied.

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
        image = _open(encoded, file_format, _OWN_SIZE.max_pixels)
        if file_format == "PNG" and b"eXIf" in encoded:
            image.load()  # the orientation may follow the pixels
        return _header(file_format, image.mode, image.size, _orientation(image))
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(_reason(error, file_format)) from None


def fit_pixels(pixels: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Resize an RGB image, uint8 [height, width, 3], to the size of `preprocessing`, by its fit."""
    return np.asarray(fit_image(Image.fromarray(pixels), preprocessing))


def _decode(encoded: bytes, file_format: str, preprocessing: Preprocessing) -> Decoded:
    image = _open(encoded, file_format, preprocessing.max_pixels)
    size = image.size
    reduction = jpeg_reduction(size, preprocessing) if file_format == "JPEG" else 1
    if reduction > 1:
        # libjpeg divides width and height by 2, 4 or 8, which is three times as fast as a full decoding.
        image.draft(None, (max(1, size[0] // reduction), max(1, size[1] // reduction)))
    image.load()
    orientation = _orientation(image)
    header = _header(file_format, image.mode, size, orientation)
    gray = image.mode in ("1", "L") and not image.has_transparency_data
    # Gray images are converted to RGB last, to save memory.
    upright: Image.Image = image.convert("L") if gray else _to_rgb(image, preprocessing.background)
    if orientation in _TRANSPOSITIONS:
        upright = upright.transpose(_TRANSPOSITIONS[orientation])
    if preprocessing.height:
        upright = fit_image(upright, preprocessing)
    if gray:
        upright = upright.convert("RGB")
    pixels = np.frombuffer(upright.tobytes(), np.uint8).reshape(upright.height, upright.width, 3)
    return Decoded(pixels, header)


def _open(encoded: bytes, file_format: str, max_pixels: int) -> ImageFile.ImageFile:
    """Read the header and check the number of pixels before any pixel is decoded."""
    if file_format == "WebP":
        _check_pixels(webp_canvas(encoded) or (0, 0), max_pixels)
    if file_format == "PNG" and encoded.rfind(b"IEND") < 0:
        raise ImageError("truncated PNG")  # Pillow accepts a file without its end if all pixels are there
    stream = io.BytesIO(encoded)
    if file_format == "JPEG" and b"Exif" not in encoded:
        image: ImageFile.ImageFile = JpegImagePlugin.JpegImageFile(stream)
    else:
        with _quiet_pillow():
            image = _PLUGINS[file_format](stream)
    _check_pixels(image.size, max_pixels)
    return image


def _check_pixels(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise ImageError(f"too large: {width} x {height} pixels, more than {max_pixels // 1_000_000} megapixels")


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Raise Pillow's warning of decompression bombs as an error, and ignore Pillow's other warnings.

    The lock is needed because Python's warning filters are global to the process.
    """
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _header(file_format: str, mode: str, size: tuple[int, int], orientation: int) -> ImageHeader:
    width, height = reversed(size) if orientation in _QUARTER_TURNS else size
    return ImageHeader(file_format, mode, height, width)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where the orientation is missing or damaged."""
    if _ORIENTATION_HOLDERS.isdisjoint(image.info):
        return 1
    try:
        with _quiet_pillow():
            return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # an image with damaged metadata is still readable
        return 1


def _to_rgb(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    if image.mode.startswith("I"):
        return _gray16_to_rgb(image, background)
    if image.has_transparency_data:
        colored = image.convert("RGBA")
        blended = Image.new("RGB", image.size, background)
        blended.paste(colored, (0, 0), colored)
        return blended
    return image if image.mode == "RGB" else image.convert("RGB")


def _gray16_to_rgb(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """Convert 16-bit gray to RGB by the high byte, as Pillow does for 16-bit color; Pillow clips 16-bit gray."""
    gray = np.asarray(image).astype(np.uint16)
    colors = np.repeat((gray >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
    if "transparency" in image.info:
        colors[gray == image.info["transparency"]] = background
    return Image.fromarray(colors)


def _reason(error: Exception, file_format: str) -> str:
    # Pillow raises the same types for truncated and for damaged images: only its messages distinguish them.
    message = " ".join(str(error).split()).replace("not identified by this driver", "its header can't be read")
    cause = error.__cause__ or error
    if "truncated" in message.lower() or isinstance(cause, (struct.error, EOFError, IndexError)):
        return f"truncated {file_format}"
    if message == "could not create decoder object":  # libwebp gives no other detail
        return f"damaged {file_format}, or not enough memory to decode it"
    if isinstance(error, MemoryError):
        return f"not enough memory to decode this {file_format}"
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return f"too large: the {file_format} has more pixels than are allowed"
    words = "".join(letter for letter in message[:100] if letter.isprintable())
    return f"damaged {file_format}" + (f": {words}" if words else "")
