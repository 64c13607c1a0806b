"""Whitening filters of image patches, computed from training images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Patches are smooth: without this floor, the filters of the smallest eigenvalues would amplify noise.
_VARIANCE_FLOOR = 0.02


def whitening_filters(images: NDArray[np.uint8], *, patch: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute filters whose outputs on patches are uncorrelated with variance one, and their negatives.

    The filters are the eigenvectors of the second moments of the patches, each divided by the square root of its
    eigenvalue (David Page, "How to Train Your ResNet 8: Bag of Tricks", 2019). The filters include a standardization
    of the images per channel. Their inputs are pixels scaled to [-1, 1].

    Args:
        images: training images, uint8 [n, height, width, 3].
        patch: side of a patch, in pixels.

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
    """Return the second moments of all flattened patches, float64 [3 * patch**2, 3 * patch**2]."""
    height, width = pixels.shape[1] - patch + 1, pixels.shape[2] - patch + 1
    shifted = [pixels[:, i : i + height, j : j + width] for i in range(patch) for j in range(patch)]
    total = np.zeros((3 * patch**2, 3 * patch**2))
    # One image at a time: the patches of all images need several times the memory of the images.
    for image in range(len(pixels)):
        patches = np.concatenate([part[image] for part in shifted], axis=-1).reshape(-1, 3 * patch**2)
        total += patches.T @ patches
    return np.asarray(total / (len(pixels) * height * width))
