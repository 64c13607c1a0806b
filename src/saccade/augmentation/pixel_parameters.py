"""Parameters of the operations on pixels, sampled on the host; `pixel_operations.py` applies the operations."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from saccade.augmentation.augmentation import Augmentation, sample_flips
from saccade.augmentation.rng import Stream, make_rng

# Numbers of torchvision's RandomResizedCrop (Szegedy et al. 2015) and RandomErasing (Zhong et al. 2020).
_CROP_RATIO = (3 / 4, 4 / 3)
_ERASED_SCALE = (0.02, 0.33)
_ERASED_RATIO = (0.3, 3.3)
_TRIES = 10


class TrivialOperation(NamedTuple):
    """Operation of TrivialAugment.

    Attributes:
        name: name of the operation in torchvision.
        magnitudes: 31 magnitudes, of which one is sampled; float64 [31].
        signed: whether the sign of the magnitude is random.
    """

    name: str
    magnitudes: NDArray[np.float64]
    signed: bool


_BINS = np.arange(31)
_NO_MAGNITUDE = np.zeros(31)

TRIVIAL_OPERATIONS = (
    TrivialOperation("Identity", _NO_MAGNITUDE, signed=False),
    TrivialOperation("ShearX", 0.99 * _BINS / 30, signed=True),
    TrivialOperation("ShearY", 0.99 * _BINS / 30, signed=True),
    TrivialOperation("TranslateX", 32 * _BINS / 30, signed=True),
    TrivialOperation("TranslateY", 32 * _BINS / 30, signed=True),
    TrivialOperation("Rotate", 135 * _BINS / 30, signed=True),
    TrivialOperation("Brightness", 0.99 * _BINS / 30, signed=True),
    TrivialOperation("Color", 0.99 * _BINS / 30, signed=True),
    TrivialOperation("Contrast", 0.99 * _BINS / 30, signed=True),
    TrivialOperation("Sharpness", 0.99 * _BINS / 30, signed=True),
    TrivialOperation("Posterize", 8 - np.rint(_BINS / 5), signed=False),
    TrivialOperation("Solarize", 255 - 255 * _BINS / 30, signed=False),
    TrivialOperation("AutoContrast", _NO_MAGNITUDE, signed=False),
    TrivialOperation("Equalize", _NO_MAGNITUDE, signed=False),
)
"""The wide space of TrivialAugment (Mueller and Hutter 2021, "TrivialAugment: Tuning-free Yet State-of-the-Art Data
Augmentation", ICCV), with the numbers of torchvision's TrivialAugmentWide: shear as a tangent, translation in pixels,
rotation in degrees, changes of enhancement factors, bits of a color, threshold of the solarization."""


@dataclass(frozen=True)
class PixelParameters:
    """Parameters of the operations on the pixels of n images, in the order of the operations.

    Attributes:
        crops: top, left, height and width of the resized crop, int64 [n, 4], in pixels; the whole image for no crop.
        mirrored: horizontal flips, bool [n].
        upside_down: vertical flips, bool [n].
        color_factors: factors of brightness, contrast and saturation, float64 [n, 3].
        color_orders: order of these three operations, int64 [n, 3]; each row is a permutation of 0, 1, 2.
        operations: operations of TrivialAugment, indices of `TRIVIAL_OPERATIONS`, int64 [n].
        magnitudes: magnitudes of these operations, float64 [n].
        erased: top, left, height and width of the erased rectangle, int64 [n, 4], in pixels; of height 0 for none.
    """

    crops: NDArray[np.int64]
    mirrored: NDArray[np.bool_]
    upside_down: NDArray[np.bool_]
    color_factors: NDArray[np.float64]
    color_orders: NDArray[np.int64]
    operations: NDArray[np.int64]
    magnitudes: NDArray[np.float64]
    erased: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64]) -> PixelParameters:
        """Return the parameters of some of the images, in the order of `rows`."""
        return PixelParameters(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def sample_pixel_parameters(
    augmentation: Augmentation,
    samples: NDArray[np.int64],
    size: tuple[int, int],
    *,
    seed: int,
    epoch: int,
    mirror: bool = False,
) -> PixelParameters:
    """Sample parameters for samples; those of a sample do not depend on the other samples.

    Args:
        augmentation: ranges of the parameters.
        samples: index of each sample in the training split, int64 [n].
        size: height and width of the images, in pixels.
        seed: seed of the training.
        epoch: epoch or view, counted from 0.
        mirror: whether the operations mirror images too, as `augmentation.horizontal_flip` says. In a training by
            gradient steps the graph mirrors images.
    """
    rows = _Rows(samples, seed, epoch)
    mirrored = sample_flips(rows.total, seed=seed, epoch=epoch)[samples]
    color_factors, color_orders = _color_jitter(augmentation, rows)
    operations, magnitudes = _trivial_augment(augmentation, rows)
    return PixelParameters(
        crops=_crops(augmentation, rows, size),
        mirrored=mirrored & (mirror and augmentation.horizontal_flip),
        upside_down=(rows.uniform(1, "vertical flips")[:, 0] < 0.5) & augmentation.vertical_flip,
        color_factors=color_factors,
        color_orders=color_orders,
        operations=operations,
        magnitudes=magnitudes,
        erased=_erased(augmentation, rows, size),
    )


@dataclass(frozen=True)
class _Rows:
    """Rows of random numbers, one for each sample of the training split, of which those of some samples are taken."""

    samples: NDArray[np.int64]
    seed: int
    epoch: int

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def total(self) -> int:
        """Number of rows up to that of the last sample."""
        return int(self.samples.max(initial=-1)) + 1

    def uniform(self, columns: int, stream: Stream) -> NDArray[np.float64]:
        """Return numbers in [0, 1), float64 [n, columns]; the row of a sample does not depend on the other samples."""
        return make_rng(self.seed, self.epoch, stream).random((self.total, columns))[self.samples]


def _crops(augmentation: Augmentation, rows: _Rows, size: tuple[int, int]) -> NDArray[np.int64]:
    """Sample random resized crops (Szegedy et al. 2015), as torchvision's RandomResizedCrop does.

    Area and logarithm of the aspect ratio are uniform. Of ten tries, the first crop that fits into the image is taken;
    else the largest crop in the center whose aspect ratio is within the range.
    """
    n, (height, width) = len(rows), size
    if augmentation.crop_scale == 1:
        return np.tile([0, 0, height, width], (n, 1))
    uniform = rows.uniform(2 * _TRIES + 2, "crops")
    tries = uniform[:, :-2].reshape(n, _TRIES, 2)
    widths, heights = _sides(tries, height * width, (augmentation.crop_scale, 1.0), _CROP_RATIO)
    fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    found = fits.any(axis=1, keepdims=True)
    narrowest, widest = _CROP_RATIO
    center = (min(height, round(width / narrowest)), min(width, round(height * widest)))
    crops = np.empty((n, 4), np.int64)
    crops[:, 2:] = np.where(found, _first(fits, heights, widths), center)
    room = np.array(size) - crops[:, 2:]
    crops[:, :2] = np.where(found, uniform[:, -2:] * (room + 1), room // 2)
    return crops


def _erased(augmentation: Augmentation, rows: _Rows, size: tuple[int, int]) -> NDArray[np.int64]:
    """Sample erased rectangles (Zhong et al. 2020, "Random Erasing Data Augmentation", AAAI), as torchvision does.

    Area and logarithm of the aspect ratio are uniform. Of ten tries, the first rectangle that is smaller than the image
    in both directions is taken, else none.
    """
    n, (height, width) = len(rows), size
    erased = np.zeros((n, 4), np.int64)
    if not augmentation.random_erasing:
        return erased
    uniform = rows.uniform(2 * _TRIES + 3, "erasing")
    tries = uniform[:, :-3].reshape(n, _TRIES, 2)
    heights, widths = _sides(tries, height * width, _ERASED_SCALE, _ERASED_RATIO)
    fits = (heights < height) & (widths < width)
    happens = (uniform[:, -3] < augmentation.random_erasing) & fits.any(axis=1)
    erased[:, 2:] = _first(fits, heights, widths)
    erased[:, :2] = uniform[:, -2:] * (np.array(size) - erased[:, 2:] + 1)
    erased[~happens] = 0
    return erased


def _sides(
    uniform: NDArray[np.float64], area: int, scale: tuple[float, float], ratio: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sides of rectangles, whole numbers [n, tries], whose quotient of first and second is within `ratio`.

    Args:
        uniform: numbers in [0, 1), float64 [n, tries, 2], for area and aspect ratio.
        area: area of the image, in pixels.
        scale: smallest and largest area, as fractions of the image.
        ratio: smallest and largest aspect ratio; its logarithm is uniform.
    """
    areas = area * (scale[0] + (scale[1] - scale[0]) * uniform[..., 0])
    low, high = np.log(ratio)
    ratios = np.exp(low + (high - low) * uniform[..., 1])
    return np.rint(np.sqrt(areas * ratios)), np.rint(np.sqrt(areas / ratios))


def _first(fits: NDArray[np.bool_], *values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the values [n, k] of the first try that fits; those of the first try where none fits."""
    first = fits.argmax(axis=1)
    return np.stack([value[np.arange(len(value)), first] for value in values], axis=1).astype(np.int64)


def _color_jitter(augmentation: Augmentation, rows: _Rows) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Sample factors of brightness, contrast and saturation, and their order, as torchvision's ColorJitter does."""
    if not augmentation.color_jitter:
        return np.ones((len(rows), 3)), np.tile(np.arange(3), (len(rows), 1))
    uniform = rows.uniform(6, "color jitter")
    return 1 + augmentation.color_jitter * (2 * uniform[:, :3] - 1), np.argsort(uniform[:, 3:], axis=1)


def _trivial_augment(augmentation: Augmentation, rows: _Rows) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Sample operations of TrivialAugment and their magnitudes."""
    if not augmentation.trivial_augment:
        return np.zeros(len(rows), np.int64), np.zeros(len(rows))
    uniform = rows.uniform(3, "trivial augment")
    operations = (uniform[:, 0] * len(TRIVIAL_OPERATIONS)).astype(np.int64)
    bins = (uniform[:, 1] * len(_BINS)).astype(np.int64)
    magnitudes = np.stack([operation.magnitudes for operation in TRIVIAL_OPERATIONS])[operations, bins]
    signed = np.array([operation.signed for operation in TRIVIAL_OPERATIONS])[operations]
    return operations, np.where(signed & (uniform[:, 2] < 0.5), -magnitudes, magnitudes)
