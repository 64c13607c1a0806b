"""Image corruptions: seven kinds, each in five strengths, reproducible for each image.

Source: D. Hendrycks, T. Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations",
ICLR 2019. The corruptions and the strengths are Saccade's own, so accuracies can't be compared with results on
CIFAR-10-C or ImageNet-C. Lengths are fractions of an image's side and have the same meaning at every image size. Random
numbers are seeded by the image's row and are equal for all strengths.
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
    """One kind of corruption.

    Attributes:
        name: name of the corruption.
        unit: meaning and unit of the amounts, in words.
        amounts: amounts of the strengths 1 to 5.
        apply: function of images, uint8 [n, height, width, 3], an amount, and n rows that seed the random numbers.
    """

    name: str
    unit: str
    amounts: tuple[float, float, float, float, float]
    apply: Callable[[Images, float, Rows], Images]

    def __call__(self, images: Images, strength: int, rows: Rows) -> Images:
        """Return corrupted images, as a new array.

        Args:
            images: preprocessed images, uint8 [n, height, width, 3].
            strength: strength, 0 (no change) to 5.
            rows: seeds of the images, int64 [n], not negative, different for different images.
        """
        return images.copy() if strength == 0 else self.apply(images, self.amounts[strength - 1], rows)


def add_noise(images: Images, deviation: float, rows: Rows) -> Images:
    """Add Gaussian noise, independent for each pixel and channel; `deviation` is in gray levels."""
    noise = np.stack([_make_rng(row).standard_normal(images.shape[1:], np.float32) for row in rows])
    return _as_pixels(images + np.float32(deviation) * noise)


def blur(images: Images, deviation: float, _rows: Rows) -> Images:
    """Apply a Gaussian blur; `deviation` is a fraction of the shorter side. Repeat edge pixels."""
    sigma = deviation * min(images.shape[1:3])
    return _as_pixels(gaussian_filter(images.astype(np.float32), (0, sigma, sigma, 0), mode="nearest"))


def change_brightness(images: Images, levels: float, rows: Rows) -> Images:
    """Add gray levels to one half of the images, and subtract the gray levels from the other half."""
    changes = levels * _signs(rows)
    return _as_pixels(images.astype(np.float32) + changes[:, None, None, None])


def lower_contrast(images: Images, factor: float, _rows: Rows) -> Images:
    """Scale each pixel's distance from the mean color of the image by `factor`."""
    means = images.mean(axis=(1, 2), keepdims=True, dtype=np.float32)
    return _as_pixels(means + np.float32(factor) * (images - means))


def compress(images: Images, quality: float, _rows: Rows) -> Images:
    """Encode and decode each image as a JPEG of this quality, with chroma subsampling 4:2:0."""
    return np.stack([_through_jpeg(image, int(quality)) for image in images])


def shift(images: Images, fraction: float, rows: Rows) -> Images:
    """Translate each image by a fraction of its sides, by whole pixels, in a random direction; repeat edge pixels."""
    height, width = images.shape[1:3]
    angles = [2 * math.pi * _make_rng(row).random() for row in rows]
    down = np.array([round(fraction * height * math.sin(angle)) for angle in angles])
    right = np.array([round(fraction * width * math.cos(angle)) for angle in angles])
    across = np.clip(np.arange(width) - right[:, None], 0, width - 1)
    along = np.clip(np.arange(height) - down[:, None], 0, height - 1)
    shifted: Images = images[np.arange(len(images))[:, None, None], along[:, :, None], across[:, None, :]]
    return shifted


def rotate_images(images: Images, degrees: float, rows: Rows) -> Images:
    """Rotate half of the images clockwise and half counterclockwise, bilinearly; repeat edge pixels."""
    rotated = np.empty_like(images)
    signs = _signs(rows)
    for sign in (-1.0, 1.0):
        selected = signs == sign
        exact = rotate(
            images[selected].astype(np.float32), sign * degrees, axes=(2, 1), reshape=False, order=1, mode="nearest"
        )
        rotated[selected] = _as_pixels(exact)
    return rotated


CORRUPTIONS: tuple[Corruption, ...] = (
    Corruption("noise", "standard deviation, gray levels of 255", (6, 12, 18, 26, 38), add_noise),
    Corruption("blur", "standard deviation, fraction of the shorter side", (0.0125, 0.02, 0.03, 0.04, 0.06), blur),
    Corruption("brightness", "increase or decrease, gray levels of 255", (25, 50, 75, 100, 125), change_brightness),
    Corruption("contrast", "remaining fraction", (0.7, 0.5, 0.35, 0.25, 0.15), lower_contrast),
    Corruption("JPEG", "quality", (60, 40, 25, 15, 8), compress),
    Corruption("shift", "fraction of the sides", (0.0625, 0.125, 0.1875, 0.25, 0.3125), shift),
    Corruption("rotation", "degrees, clockwise or counterclockwise", (5, 10, 15, 25, 40), rotate_images),
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
    # The decoder of the data package is not needed: the bytes come from the lines above.
    with Image.open(stream) as decoded:
        return np.asarray(decoded, np.uint8)
