"""Operations on the pixels of uint8 images, on the host, by Pillow: crops, flips, colors, TrivialAugment, erasing."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from saccade.augmentation.augmentation import Augmentation
from saccade.augmentation.pixel_parameters import TRIVIAL_OPERATIONS, PixelParameters, sample_pixel_parameters
from saccade.machine import usable_cores

# In the order of `PixelParameters.color_factors`.
_COLOR_OPERATIONS = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)


def augment_pixels(
    images: NDArray[np.uint8],
    samples: NDArray[np.int64],
    augmentation: Augmentation,
    *,
    seed: int,
    epoch: int,
    mirror: bool = False,
) -> NDArray[np.uint8]:
    """Augment the pixels of images: resized crop, flips, color jitter, TrivialAugment and erasing, in this order.

    The result for a sample is a function of (seed, epoch, sample): it does not depend on the other images.

    Args:
        images: images, uint8 [n, height, width, 3].
        samples: index of each image in the training split, int64 [n].
        augmentation: ranges of the parameters.
        seed: seed of the training.
        epoch: epoch or view, counted from 0.
        mirror: whether images are mirrored too, as `augmentation.horizontal_flip` says. In a training by gradient steps
            the graph mirrors images.

    Returns:
        Augmented images, uint8 [n, height, width, 3].
    """
    _, height, width, _ = images.shape
    parameters = sample_pixel_parameters(augmentation, samples, (height, width), seed=seed, epoch=epoch, mirror=mirror)
    return apply_pixel_operations(images, parameters)


def apply_pixel_operations(images: NDArray[np.uint8], parameters: PixelParameters) -> NDArray[np.uint8]:
    """Apply the operations to images, uint8 [n, height, width, 3], and return new images of the same shape.

    The images are divided among threads: Pillow releases the interpreter lock while it computes.
    """
    result = np.empty_like(images)

    def apply(rows: NDArray[np.int64]) -> None:
        for row in rows:
            result[row] = _augmented(images[row], parameters, row)

    threads, number = _threads()
    for _ in threads.map(apply, np.array_split(np.arange(len(images)), number)):
        pass  # raises the error of a thread
    return result


@functools.cache
def _threads() -> tuple[ThreadPoolExecutor, int]:
    """Return the threads of this process for the operations, and their number, that of the usable cores.

    They are started once: for each small batch, counting cores and starting threads would take a tenth of the time.
    """
    cores = usable_cores()
    return ThreadPoolExecutor(cores, thread_name_prefix="pixel operations"), cores


def _augmented(pixels: NDArray[np.uint8], parameters: PixelParameters, row: int) -> NDArray[np.uint8]:
    """Return the augmented pixels of one image, uint8 [height, width, 3], by a row of the parameters."""
    image = _cropped(Image.fromarray(pixels), *parameters.crops[row].tolist())
    if parameters.mirrored[row]:
        image = ImageOps.mirror(image)
    if parameters.upside_down[row]:
        image = ImageOps.flip(image)
    for number in parameters.color_orders[row]:
        factor = float(parameters.color_factors[row, number])
        if factor != 1:
            image = _COLOR_OPERATIONS[number](image).enhance(factor)
    name = TRIVIAL_OPERATIONS[parameters.operations[row]].name
    image = trivially_augmented(image, name, float(parameters.magnitudes[row]))
    return _with_erased(np.asarray(image), *parameters.erased[row].tolist())


def _cropped(image: Image.Image, top: int, left: int, height: int, width: int) -> Image.Image:
    """Return a crop of an image, resized to the size of the image: bilinear, antialiased where the crop is larger."""
    if (width, height) == image.size:
        return image
    return image.crop((left, top, left + width, top + height)).resize(image.size, Image.Resampling.BILINEAR)


def trivially_augmented(image: Image.Image, name: str, magnitude: float) -> Image.Image:
    """Apply one operation of `TRIVIAL_OPERATIONS` to an RGB image, as torchvision does.

    Geometric operations take the nearest pixel, and pixels from outside the image are black.

    Args:
        image: the image.
        name: name of the operation.
        magnitude: magnitude of the operation, with its sign.
    """
    return _TRIVIAL[name](image, magnitude)


def _transformed(image: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    """Transform an image by the affine map from output to input coordinates."""
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST)


_TRIVIAL: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "Identity": lambda image, _: image,
    "ShearX": lambda image, tangent: _transformed(image, (1, tangent, 0, 0, 1, 0)),
    "ShearY": lambda image, tangent: _transformed(image, (1, 0, 0, tangent, 1, 0)),
    "TranslateX": lambda image, right: _transformed(image, (1, 0, -int(right), 0, 1, 0)),
    "TranslateY": lambda image, down: _transformed(image, (1, 0, 0, 0, 1, -int(down))),
    "Rotate": lambda image, degrees: image.rotate(degrees, Image.Resampling.NEAREST),
    "Brightness": lambda image, change: ImageEnhance.Brightness(image).enhance(1 + change),
    "Color": lambda image, change: ImageEnhance.Color(image).enhance(1 + change),
    "Contrast": lambda image, change: ImageEnhance.Contrast(image).enhance(1 + change),
    "Sharpness": lambda image, change: ImageEnhance.Sharpness(image).enhance(1 + change),
    "Posterize": lambda image, bits: ImageOps.posterize(image, int(bits)),
    # Levels are whole numbers: they are below a threshold if they are below the next whole number.
    "Solarize": lambda image, threshold: ImageOps.solarize(image, math.ceil(threshold)),
    "AutoContrast": lambda image, _: ImageOps.autocontrast(image),
    "Equalize": lambda image, _: ImageOps.equalize(image),
}


def _with_erased(pixels: NDArray[np.uint8], top: int, left: int, height: int, width: int) -> NDArray[np.uint8]:
    """Return an image with a rectangle filled with the mean color of the image, rounded.

    torchvision's RandomErasing fills with 0 by default, after the normalization: that is a mean color too, the mean of
    all images.
    """
    if not height or not width:
        return pixels
    erased = pixels.copy()
    # Sums of columns first: more than ten times as fast as `mean` over both axes.
    mean = pixels.sum(axis=0).sum(axis=0) / (pixels.shape[0] * pixels.shape[1])
    erased[top : top + height, left : left + width] = np.rint(mean)
    return erased
