"""The one decoder: the only code that turns the bytes of an image into pixels.

Scanning, training, prediction and serving all come through here, so that they can't drift apart.
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
from saccade.data.decoding.image_format import sniff, webp_canvas
from saccade.errors import ImageError

DECODER_VERSION = 1
"""To be raised whenever the same bytes and rule give other pixels: decoded images in the cache are made anew."""

# Going straight to the plugin takes 65 us for a JPEG of 32x32, Image.open and convert 112 us.
_PLUGINS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
}
_ORIENTATION_TAG = 0x0112
_ORIENTATION_HOLDERS = frozenset({"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"})
_TURNS = {
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
    """What an image's header says: its format, Pillow's mode, and its upright height and width in pixels."""

    format: str
    mode: str
    height: int
    width: int


class Decoded(NamedTuple):
    """A decoded image.

    Attributes:
        pixels: uint8 array of shape [height, width, 3], RGB: of the preprocessing's size, or of the image's own.
        header: what the image was before it was decoded.
    """

    pixels: NDArray[np.uint8]
    header: ImageHeader


def decode(encoded: bytes, preprocessing: Preprocessing | None = None) -> Decoded:
    """Decodes an image, as `Preprocessing` describes; without a rule it keeps its own size.

    JPEG, PNG, GIF (the first frame), BMP and WebP are read, by content. Of 16-bit samples the high byte is kept.
    Color profiles are not applied.

    Raises:
        ImageError: if the bytes are no such image, or a truncated, damaged or too large one.
    """
    file_format = sniff(encoded)
    try:
        return _decode(encoded, file_format, preprocessing or _OWN_SIZE)
    except ImageError:
        raise
    except Exception as error:  # Pillow raises whatever it stumbles on, MemoryError and SyntaxError included
        raise ImageError(_reason(error, file_format)) from None


def read_header(encoded: bytes) -> ImageHeader:
    """An image's format, mode and upright size, from its header alone where the format allows it.

    Raises:
        ImageError: if the bytes are no supported image, or have a damaged header.
    """
    file_format = sniff(encoded)
    try:
        image = _open(encoded, file_format, _OWN_SIZE.max_pixels)
        if file_format == "PNG" and b"eXIf" in encoded:
            image.load()  # the orientation may stand behind the pixels
        return _header(file_format, image.mode, image.size, _orientation(image))
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(_reason(error, file_format)) from None


def fit_pixels(pixels: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """An RGB image [height, width, 3] resized and cropped to the size of `preprocessing`: uint8 [height, width, 3]."""
    return np.asarray(_fit(Image.fromarray(pixels), preprocessing))


def _decode(encoded: bytes, file_format: str, preprocessing: Preprocessing) -> Decoded:
    image = _open(encoded, file_format, preprocessing.max_pixels)
    size = image.size
    needed = 2 * max(preprocessing.height, preprocessing.width)
    if file_format == "JPEG" and 0 < 2 * needed <= min(size):
        # The decoder itself halves large images, to no less than twice what is needed: three times as fast.
        image.draft(None, (needed, needed))
    image.load()
    orientation = _orientation(image)
    header = _header(file_format, image.mode, size, orientation)
    gray = image.mode in ("1", "L") and not image.has_transparency_data
    # Gray is colored last: until then it takes a quarter of the memory.
    upright: Image.Image = image.convert("L") if gray else _to_rgb(image, preprocessing.background)
    if orientation in _TURNS:
        upright = upright.transpose(_TURNS[orientation])
    if preprocessing.height:
        upright = _fit(upright, preprocessing)
    if gray:
        upright = upright.convert("RGB")
    pixels = np.frombuffer(upright.tobytes(), np.uint8).reshape(upright.height, upright.width, 3)
    return Decoded(pixels, header)


def _open(encoded: bytes, file_format: str, max_pixels: int) -> ImageFile.ImageFile:
    """Reads the header; no pixel is decoded before the cap on pixels is checked."""
    if file_format == "WebP":
        _check_pixels(webp_canvas(encoded) or (0, 0), max_pixels)
    if file_format == "PNG" and encoded.rfind(b"IEND") < 0:
        raise ImageError("truncated PNG")  # Pillow does not miss the end as long as it finds all pixels
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
    """Pillow's warning of decompression bombs as an error, its others unheard, whatever the program's own filters.

    The lock is needed because Python's filters belong to the whole process.
    """
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _header(file_format: str, mode: str, size: tuple[int, int], orientation: int) -> ImageHeader:
    width, height = reversed(size) if orientation in _QUARTER_TURNS else size
    return ImageHeader(file_format, mode, height, width)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none or none that can be read."""
    if _ORIENTATION_HOLDERS.isdisjoint(image.info):
        return 1
    try:
        with _quiet_pillow():
            return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # a damaged note on the image does not make the image unreadable
        return 1


def _to_rgb(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    if image.mode.startswith("I"):
        return _gray16_to_rgb(image, background)
    if image.has_transparency_data:
        colored = image.convert("RGBA")
        below = Image.new("RGB", image.size, background)
        below.paste(colored, (0, 0), colored)
        return below
    return image if image.mode == "RGB" else image.convert("RGB")


def _gray16_to_rgb(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """Pillow's own conversion clips 16-bit gray to white; its 16-bit colors keep the high byte, and so do we."""
    gray = np.asarray(image).astype(np.uint16)
    colors = np.repeat((gray >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
    if "transparency" in image.info:
        colors[gray == image.info["transparency"]] = background
    return Image.fromarray(colors)


def _fit(image: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    """Resizes and crops in one step: only the center that will remain is resized, however long the image."""
    width, height = image.size
    if (height, width) == (preprocessing.height, preprocessing.width):
        return image
    scale = min(width / preprocessing.width, height / preprocessing.height)
    left, top = (width - scale * preprocessing.width) / 2, (height - scale * preprocessing.height) / 2
    box = (max(left, 0), max(top, 0), min(width - left, width), min(height - top, height))
    return image.resize((preprocessing.width, preprocessing.height), Image.Resampling.BICUBIC, box=box)


def _reason(error: Exception, file_format: str) -> str:
    message = " ".join(str(error).split()).replace("not identified by this driver", "its header can't be read")
    cause = error.__cause__ or error
    if "truncated" in message.lower() or isinstance(cause, (struct.error, EOFError, IndexError)):
        return f"truncated {file_format}"
    if message == "could not create decoder object":  # which is all that libwebp says
        return f"damaged {file_format}, or not enough memory to decode it"
    if isinstance(error, MemoryError):
        return f"not enough memory to decode this {file_format}"
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return f"too large: the {file_format} has more pixels than are allowed"
    words = "".join(letter for letter in message[:100] if letter.isprintable())
    return f"damaged {file_format}" + (f": {words}" if words else "")
