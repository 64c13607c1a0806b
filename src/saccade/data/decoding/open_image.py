"""Opening of an encoded image by Pillow's plugin of its format: the header is read, and no pixel is decoded."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

from saccade.data.decoding.image_format import webp_canvas
from saccade.data.decoding.tiff import check_layout
from saccade.errors import ImageError

# A JPEG of 32x32 pixels takes 65 us by its plugin, and 112 us by Image.open and convert.
_PLUGINS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
}
_warnings_lock = threading.Lock()


def open_image(encoded: bytes, file_format: str, max_pixels: int) -> ImageFile.ImageFile:
    """Read the header of an encoded image, and check the number of pixels.

    Args:
        encoded: the image.
        file_format: format by `detect_format`.
        max_pixels: largest number of pixels.

    Raises:
        ImageError: the image is too large, is a PNG without an end, is a TIFF that Pillow decodes wrongly, or needs a
            package that is not installed.
        Exception: any error of Pillow for a damaged header.
    """
    if file_format == "WebP":
        check_pixels(webp_canvas(encoded) or (0, 0), max_pixels)
    if file_format == "PNG" and encoded.rfind(b"IEND") < 0:
        raise ImageError("truncated PNG")  # Pillow accepts a file without its end if all pixels are there
    stream = io.BytesIO(encoded)
    if file_format == "JPEG" and b"Exif" not in encoded:
        image: ImageFile.ImageFile = JpegImagePlugin.JpegImageFile(stream)
    else:
        plugin = _PLUGINS.get(file_format) or _rare_plugin(file_format)
        with quiet_pillow():
            image = plugin(stream)
    check_pixels(image.size, max_pixels)
    if file_format == "TIFF":
        check_layout(image)
    return image


def check_pixels(size: tuple[int, int], max_pixels: int) -> None:
    """Check the number of pixels of an image.

    Raises:
        ImageError: there are more than `max_pixels`.
    """
    width, height = size
    if width * height > max_pixels:
        raise ImageError(f"too large: {width} x {height} pixels, more than {max_pixels // 1_000_000} megapixels")


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Raise Pillow's warning of decompression bombs as an error, and ignore Pillow's other warnings.

    The lock is needed because Python's warning filters are global to the process.
    """
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _rare_plugin(file_format: str) -> type[ImageFile.ImageFile]:
    """Return the plugin of a format that few data sets have, which is imported when the first image needs it."""
    if file_format == "TIFF":
        from PIL import TiffImagePlugin

        return TiffImagePlugin.TiffImageFile
    if file_format == "AVIF":
        from PIL import AvifImagePlugin

        AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # there is a worker process for each processor
        return AvifImagePlugin.AvifImageFile
    return _heif_plugin()


def _heif_plugin() -> type[ImageFile.ImageFile]:
    try:
        from pi_heif import options
        from pi_heif.as_plugin import HeifImageFile
    except ImportError:
        raise ImageError("HEIC images need the package pi-heif: pip install 'saccade[heif]'") from None
    options.DECODE_THREADS = 1
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    return cast("type[ImageFile.ImageFile]", HeifImageFile)
