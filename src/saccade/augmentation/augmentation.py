"""Ranges of the augmentation, and random shifts, flips and rotations, sampled on the host.

The layer `AffineResize` applies shifts, flips and rotations in the graph. `pixel_parameters.py` samples the parameters
of the operations on pixels, `mixing.py` those of mixup and CutMix.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from saccade.augmentation.rng import make_rng
from saccade.recipes import Recipe


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the augmentation.

    Attributes:
        translate: maximum shift, as a fraction of the width and of the height.
        horizontal_flip: whether each image is mirrored left to right in every other epoch.
        rotation: maximum rotation about the center, in degrees.
        integer_translate: whether shifts are whole pixels and edges are reflected; otherwise shifts are real numbers
            and edges are repeated.
        crop_scale: smallest area of a random resized crop, as a fraction of the image; 1: no crops.
        vertical_flip: whether a random half of the images is flipped upside down in each epoch.
        color_jitter: largest change of brightness, contrast and saturation, as a fraction; 0: no change.
        trivial_augment: whether TrivialAugment changes each image.
        random_erasing: probability that a rectangle of an image is erased.
        mixup: parameter of the beta distribution of mixup; 0: no mixup.
        cutmix: parameter of the beta distribution of CutMix; 0: no CutMix.
    """

    translate: float
    horizontal_flip: bool
    rotation: float
    integer_translate: bool
    crop_scale: float = 1.0
    vertical_flip: bool = False
    color_jitter: float = 0.0
    trivial_augment: bool = False
    random_erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    @classmethod
    def of(cls, recipe: Recipe) -> Augmentation:
        """Return the augmentation of a recipe."""
        return cls(**{field.name: getattr(recipe, field.name) for field in fields(cls)})

    @property
    def changes_pixels(self) -> bool:
        """Whether images are changed on the host, by the operations of `pixel_operations.py`."""
        return bool(
            self.crop_scale < 1
            or self.vertical_flip
            or self.color_jitter
            or self.trivial_augment
            or self.random_erasing
        )


@dataclass(frozen=True)
class AugmentationParameters:
    """Augmentation parameters of the images of an epoch: each image is mirrored, then rotated, then shifted.

    Attributes:
        down: shifts of the content toward the bottom, float64 [n], in pixels.
        right: shifts of the content toward the right, float64 [n], in pixels.
        mirrored: horizontal flips, bool [n].
        degrees: counterclockwise rotations about the center, float64 [n], in degrees.
    """

    down: NDArray[np.float64]
    right: NDArray[np.float64]
    mirrored: NDArray[np.bool_]
    degrees: NDArray[np.float64]

    def as_array(self) -> NDArray[np.float32]:
        """Return the parameters as input of the graph, float32 [n, 4]: down, right, mirrored (0 or 1), degrees."""
        return np.stack([self.down, self.right, self.mirrored, self.degrees], axis=1).astype(np.float32)


def sample_augmentation(
    augmentation: Augmentation, n: int, size: tuple[int, int], *, seed: int, epoch: int
) -> AugmentationParameters:
    """Sample augmentation parameters for each of n samples; the parameters of sample i do not depend on n.

    Shifts and rotations are uniform within their ranges. Flips alternate, see `sample_flips`.

    Args:
        augmentation: ranges of the parameters.
        n: number of samples.
        size: height and width of the images, in pixels.
        seed: seed of the training.
        epoch: epoch, counted from 0.
    """
    # One row of three numbers per sample: row i does not depend on n.
    uniform = make_rng(seed, epoch, "augmentation").random((n, 3))
    return AugmentationParameters(
        down=_shifts(uniform[:, 0], augmentation, size[0]),
        right=_shifts(uniform[:, 1], augmentation, size[1]),
        mirrored=sample_flips(n, seed=seed, epoch=epoch) & augmentation.horizontal_flip,
        degrees=(uniform[:, 2] * 2 - 1) * augmentation.rotation,
    )


def sample_flips(n: int, *, seed: int, epoch: int) -> NDArray[np.bool_]:
    """Return which of n samples are mirrored in an epoch, bool [n]: flips alternate.

    A random half of the samples is mirrored in epochs 0, 2, 4, ..., the other half in epochs 1, 3, 5, ... (Jordan 2024,
    "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", arXiv:2404.00498).
    """
    return (make_rng(seed, 0, "first flips").random(n) < 0.5) ^ (epoch % 2 == 1)


def _shifts(uniform: NDArray[np.float64], augmentation: Augmentation, side: int) -> NDArray[np.float64]:
    """Return shifts along a side of `side` pixels, from uniform numbers in [0, 1)."""
    max_shift = augmentation.translate * side
    if not augmentation.integer_translate:
        return (uniform * 2 - 1) * max_shift
    max_pixels = round(max_shift)
    return np.floor(uniform * (2 * max_pixels + 1)) - max_pixels
