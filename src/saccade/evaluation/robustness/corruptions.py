"""Seven ways in which images get worse, each in five strengths; the same image always in the same way.

The idea, and five strengths of each: D. Hendrycks, T. Dietterich, "Benchmarking neural network robustness to common
corruptions and perturbations", ICLR 2019. The ways and the strengths are Saccade's own, so that its figures are not to
be compared with those of CIFAR-10-C or ImageNet-C. Lengths are parts of an image's side, so that they mean the same at
every size. Where chance has a say, it is drawn by the image's row, equally for all strengths.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, rotate

Images = NDArray[np.uint8]
Rows = NDArray[np.int64]

STRENGTHS = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Corruption:
    """A way in which images get worse.

    Attributes:
        name: of it.
        what: what its amounts are, in words with their unit.
        amounts: of the strengths 1 to 5.
        apply: gives the images, uint8 [n, height, width, 3], at an amount; told the n rows that chance is drawn by.
    """

    name: str
    what: str
    amounts: tuple[float, float, float, float, float]
    apply: Callable[[Images, float, Rows], Images]

    def __call__(self, images: Images, strength: int, rows: Rows) -> Images:
        """The images at a strength, a new array.

        Args:
            images: uint8 [n, height, width, 3], as a run's rule makes them.
            strength: 0, which changes nothing, to 5.
            rows: int64 [n]: numbers that tell the images from one another, not negative.
        """
        return images.copy() if strength == 0 else self.apply(images, self.amounts[strength - 1], rows)


def add_noise(images: Images, deviation: float, rows: Rows) -> Images:
    """Adds Gaussian noise of so many gray levels, in each pixel and channel its own."""
    noise = np.stack([_make_rng(row).standard_normal(images.shape[1:], np.float32) for row in rows])
    return _as_pixels(images + np.float32(deviation) * noise)


def blur(images: Images, deviation: float, _rows: Rows) -> Images:
    """Blurs by a Gaussian whose standard deviation is so large a part of the shorter side; edges are repeated."""
    sigma = deviation * min(images.shape[1:3])
    return _as_pixels(gaussian_filter(images.astype(np.float32), (0, sigma, sigma, 0), mode="nearest"))


def change_brightness(images: Images, levels: float, rows: Rows) -> Images:
    """Adds so many gray levels to one half of the images, and takes them from the other."""
    changes = levels * _signs(rows)
    return _as_pixels(images.astype(np.float32) + changes[:, None, None, None])


def lower_contrast(images: Images, factor: float, _rows: Rows) -> Images:
    """Brings each pixel nearer to the image's mean color: so much of its distance is left."""
    means = images.mean(axis=(1, 2), keepdims=True, dtype=np.float32)
    return _as_pixels(means + np.float32(factor) * (images - means))


def compress(images: Images, quality: float, _rows: Rows) -> Images:
    """Writes each image as a JPEG of this quality, with colors at half the resolution, and reads it again."""
    return np.stack([_through_jpeg(image, int(quality)) for image in images])


def shift(images: Images, fraction: float, rows: Rows) -> Images:
    """Moves each image by so large a part of its sides in a direction of its own; whole pixels, edges repeated."""
    height, width = images.shape[1:3]
    angles = [2 * math.pi * _make_rng(row).random() for row in rows]
    down = np.array([round(fraction * height * math.sin(angle)) for angle in angles])
    right = np.array([round(fraction * width * math.cos(angle)) for angle in angles])
    across = np.clip(np.arange(width) - right[:, None], 0, width - 1)
    along = np.clip(np.arange(height) - down[:, None], 0, height - 1)
    shifted: Images = images[np.arange(len(images))[:, None, None], along[:, :, None], across[:, None, :]]
    return shifted


def turn(images: Images, degrees: float, rows: Rows) -> Images:
    """Turns one half of the images clockwise and the other anticlockwise, bilinearly; edges are repeated."""
    turned = np.empty_like(images)
    signs = _signs(rows)
    for sign in (-1.0, 1.0):
        own = signs == sign
        exact = rotate(
            images[own].astype(np.float32), sign * degrees, axes=(2, 1), reshape=False, order=1, mode="nearest"
        )
        turned[own] = _as_pixels(exact)
    return turned


CORRUPTIONS: tuple[Corruption, ...] = (
    Corruption("noise", "standard deviation, gray levels of 255", (6, 12, 18, 26, 38), add_noise),
    Corruption("blur", "standard deviation, part of the shorter side", (0.0125, 0.02, 0.03, 0.04, 0.06), blur),
    Corruption("brightness", "more or less, gray levels of 255", (25, 50, 75, 100, 125), change_brightness),
    Corruption("contrast", "part that is left", (0.7, 0.5, 0.35, 0.25, 0.15), lower_contrast),
    Corruption("JPEG", "quality", (60, 40, 25, 15, 8), compress),
    Corruption("shift", "part of the sides", (0.0625, 0.125, 0.1875, 0.25, 0.3125), shift),
    Corruption("rotation", "degrees either way", (5, 10, 15, 25, 40), turn),
)


def _make_rng(row: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(int(row)))


def _signs(rows: Rows) -> NDArray[np.float64]:
    return np.array([1.0 if _make_rng(row).random() < 0.5 else -1.0 for row in rows])


def _as_pixels(values: NDArray[np.floating]) -> Images:
    pixels: Images = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return pixels


def _through_jpeg(image: Images, quality: int) -> Images:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality, subsampling="4:2:0")
    # Not the decoder of the data package: these bytes were written here.
    with Image.open(stream) as read:
        return np.asarray(read, np.uint8)
