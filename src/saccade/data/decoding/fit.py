"""Fit of a decoded image into height and width of a `Preprocessing`: crop, pad or squash."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saccade.data.dataset import Preprocessing

_REDUCTIONS = (8, 4, 2)  # of libjpeg; it has others, which are no faster
_MIN_OVERSIZE = 2  # reduced pixels for each pixel of the result, along a side


def jpeg_reduction(size: tuple[int, int], preprocessing: Preprocessing) -> int:
    """Return the factor, 1, 2, 4 or 8, by which the JPEG decoder may divide width and height.

    The reduced image has at least twice the pixels of its result along a side. With fit "pad" the longer side of the
    image decides, because the whole image is made smaller by the ratio of the longer sides; otherwise the shorter side.

    Args:
        size: the two sides of the encoded image, in pixels; the EXIF orientation may exchange them.
        preprocessing: preprocessing of the image; a height of 0 stands for the original size.
    """
    needed = _MIN_OVERSIZE * max(preprocessing.height, preprocessing.width)
    side = max(size) if preprocessing.fit == "pad" else min(size)
    return next((factor for factor in _REDUCTIONS if 0 < needed * factor <= side), 1)


def fit_image(image: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    """Return an image of the size of `preprocessing`.

    Args:
        image: upright image of mode "RGB" or "L".
        preprocessing: size, fit and background color.
    """
    size = (preprocessing.width, preprocessing.height)
    if image.size == size:
        return image
    if preprocessing.fit == "pad":
        return _padded(image, size, preprocessing.background)
    box = _centered_box(image.size, size) if preprocessing.fit == "crop" else None
    return image.resize(size, Image.Resampling.BICUBIC, box=box)


def _centered_box(image_size: tuple[int, int], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of the largest centered box of the aspect ratio of `size`.

    Only this box is resized, in one step.
    """
    (image_width, image_height), (width, height) = image_size, size
    scale = min(image_width / width, image_height / height)
    left, top = (image_width - scale * width) / 2, (image_height - scale * height) / 2
    return max(left, 0), max(top, 0), min(image_width - left, image_width), min(image_height - top, image_height)


def content_box(image_size: tuple[int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the whole image in the center of a padded result.

    An image that is much longer than wide keeps at least one pixel across. The box is that of `PIL.ImageOps.pad`.

    Args:
        image_size: width and height of the upright image, in pixels.
        size: width and height of the result, in pixels.
    """
    (image_width, image_height), (width, height) = image_size, size
    if image_width * height > image_height * width:
        height = max(1, round(image_height / image_width * width))
    else:
        width = max(1, round(image_width / image_height * height))
    left, top = round((size[0] - width) / 2), round((size[1] - height) / 2)
    return left, top, left + width, top + height


def content_boxes(sizes: NDArray[np.int32], preprocessing: Preprocessing) -> NDArray[np.int64] | None:
    """Return the boxes of the images within their padding, int64 [n, 4]; None for another fit than "pad".

    Args:
        sizes: original heights and widths, int32 [n, 2].
        preprocessing: preprocessing of the images.
    """
    if preprocessing.fit != "pad":
        return None
    size = (preprocessing.width, preprocessing.height)
    boxes = [content_box((width, height), size) for height, width in sizes.tolist()]
    return np.array(boxes, np.int64).reshape(-1, 4)


def _padded(image: Image.Image, size: tuple[int, int], background: tuple[int, int, int]) -> Image.Image:
    """Return the whole image, RGB, in the center of a background, as `PIL.ImageOps.pad` does."""
    left, top, right, bottom = content_box(image.size, size)
    resized = image.resize((right - left, bottom - top), Image.Resampling.BICUBIC)
    padded = Image.new("RGB", size, background)
    padded.paste(resized if resized.mode == "RGB" else resized.convert("RGB"), (left, top))
    return padded
