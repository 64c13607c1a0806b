"""Whitening filters of small patches, computed from training images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Patches are smooth: without a floor, the filters of their weakest directions would show little but noise.
_VARIANCE_FLOOR = 0.02


def whitening_filters(images: NDArray[np.uint8], *, patch: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Filters whose answers to the images' patches are uncorrelated and of variance one, each with its negative.

    The eigenvectors of the patches' second moments, each divided by the root of its eigenvalue (David Page, "How to
    Train Your ResNet 8: Bag of Tricks", 2019). Images are standardized per channel first; that is part of the
    filters, which take pixels scaled to -1 to 1.

    Args:
        images: uint8 [n, height, width, 3].
        patch: side of the patches, in pixels.

    Returns:
        Kernel, float32 [patch, patch, 3, 6 * patch**2], and bias, float32 [6 * patch**2].
    """
    pixels = images.astype(np.float32) / 127.5 - 1
    mean = pixels.mean(axis=(0, 1, 2), dtype=np.float64)
    deviation = np.maximum(pixels.std(axis=(0, 1, 2), dtype=np.float64), 1 / 255)
    moments = _second_moments((pixels - mean) / deviation, patch)
    variances, directions = np.linalg.eigh(moments)
    filters = directions / np.sqrt(np.maximum(variances, 0) + _VARIANCE_FLOOR)
    both = np.concatenate([filters, -filters], axis=1).reshape(patch, patch, 3, -1)
    kernel = both / deviation[:, None]
    bias = -np.einsum("ijco,c->o", kernel, mean)
    return kernel.astype(np.float32), bias.astype(np.float32)


def _second_moments(pixels: NDArray[np.float64], patch: int) -> NDArray[np.float64]:
    """Of all patches [patch, patch, 3], flattened: float64 [3 * patch**2, 3 * patch**2]."""
    height, width = pixels.shape[1] - patch + 1, pixels.shape[2] - patch + 1
    shifted = [pixels[:, i : i + height, j : j + width] for i in range(patch) for j in range(patch)]
    total = np.zeros((3 * patch**2, 3 * patch**2))
    # An image at a time: the patches of all would take several times the memory of the images.
    for image in range(len(pixels)):
        patches = np.concatenate([part[image] for part in shifted], axis=-1).reshape(-1, 3 * patch**2)
        total += patches.T @ patches
    return np.asarray(total / (len(pixels) * height * width))
