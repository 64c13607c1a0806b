"""Linear resizing of images with antialiasing, as products with matrices; without Keras."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array


def resize_matrix(side: int, new_side: int) -> NDArray[np.float32]:
    """Return the weights of linear resizing with antialiasing, float32 [new_side, side]; the sum of each row is 1.

    The weights are a triangle around the center of the new pixel; its half-width is one old or one new pixel, whichever
    is larger. The result is that of Pillow's BILINEAR resizing, without its rounding to whole gray levels.
    """
    scale = side / new_side
    centers = (np.arange(new_side) + 0.5) * scale - 0.5
    weights = np.maximum(0, 1 - np.abs(np.arange(side) - centers[:, None]) / max(1, scale))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def resize_images(images: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resize images, uint8 [n, height, width, 3], to a height and a width, in pixels; float32, not rounded."""
    if images.shape[1:3] == size:
        return images.astype(np.float32)
    # Each new pixel is a mean of a few old pixels. Sparse matrices are three times as fast as dense ones on one core,
    # and start no threads of their own beside those of the caller.
    rows, columns = (csr_array(resize_matrix(old, new)) for old, new in zip(images.shape[1:3], size, strict=True))
    resized = np.empty((len(images), *size, 3), np.float32)
    for position, image in enumerate(images):
        shrunk = _apply_to_rows(rows, image.astype(np.float32))
        resized[position] = _apply_to_rows(columns, np.ascontiguousarray(shrunk.swapaxes(0, 1))).swapaxes(0, 1)
    return resized


def _apply_to_rows(matrix: csr_array, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the product of a matrix [new, old] and an image [old, columns, channels], float32."""
    product: NDArray[np.float32] = matrix @ image.reshape(len(image), -1)
    return product.reshape(-1, *image.shape[1:])
