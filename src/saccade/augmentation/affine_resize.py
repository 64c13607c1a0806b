"""Layer that augments and resizes images in front of a network during training; never saved with a network.

Shifts, flips and resizing are separable: the result for an image X is R X Cᵀ with a small matrix R for the rows and C
for the columns. These are two batched matrix products. They are computed in float32 for any compute dtype of the
network, because bfloat16 would round the gray levels of shifted images.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from saccade.augmentation.resize import resize_matrix


class AffineResize(keras.layers.Layer):  # type: ignore[misc]  # Keras has no type hints
    """Affine transformation of images by `AugmentationParameters`, then linear resizing, antialiased when it shrinks.

    Args:
        height: height of the result, in pixels.
        width: width of the result, in pixels.
        integer_translate: whether shifts are whole pixels and edges are reflected as by `numpy.pad(mode="reflect")`;
            otherwise shifts are interpolated linearly and edges are repeated.
        rotates: whether images are rotated too; then the whole transformation is one bilinear interpolation, and edges
            are repeated.
    """

    def __init__(self, height: int, width: int, integer_translate: bool, rotates: bool, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)
        self._size = (height, width)
        self._integer_translate = integer_translate
        self._rotates = rotates

    def call(self, inputs: tuple[Any, ...]) -> Any:
        """Transform and resize images.

        Args:
            inputs: images [n, h, w, 3] of any dtype, and `AugmentationParameters.as_array` [n, 4], which is left out
                if the images are only resized.

        Returns:
            Images, float32 [n, height, width, 3].
        """
        images = ops.cast(inputs[0], "float32")
        if len(inputs) == 1:
            return _resized(images, self._size)
        if self._rotates:
            return _resized(_transformed(images, inputs[1]), self._size)
        return _separable(images, *self._matrices(inputs[1], images.shape[1:3]))

    def _matrices(self, parameters: Any, size: tuple[int, int]) -> tuple[Any, Any]:
        """Return the matrices of each image for rows and for columns."""
        down, right, mirrored, _ = ops.unstack(parameters, 4, axis=1)
        rows, columns = self._source_coordinates(down, size[0]), self._source_coordinates(right, size[1])
        columns = ops.where(mirrored[:, None] > 0.5, size[1] - 1 - columns, columns)
        return _sampling_matrices(rows, size[0], self._size[0]), _sampling_matrices(columns, size[1], self._size[1])

    def _source_coordinates(self, shift: Any, side: int) -> Any:
        """Return the source coordinate of each pixel of a side for shifts [n], as [n, side]."""
        sources, last = ops.arange(side, dtype="float32") - shift[:, None], side - 1
        if self._integer_translate:
            return last - ops.abs(last - ops.abs(sources))
        return ops.clip(sources, 0, last)


def _sampling_matrices(sources: Any, side: int, new_side: int) -> Any:
    """Return matrices [n, new_side, side] that sample pixels linearly at `sources` [n, side], then resize."""
    matrices = ops.relu(1 - ops.abs(sources[:, :, None] - ops.arange(side, dtype="float32")))
    return matrices if new_side == side else ops.matmul(resize_matrix(side, new_side), matrices)


def _resized(images: Any, size: tuple[int, int]) -> Any:
    _, height, width, _ = images.shape
    if (height, width) == size:
        return images
    return _separable(images, resize_matrix(height, size[0]), resize_matrix(width, size[1]))


def _separable(images: Any, row_matrices: Any, column_matrices: Any) -> Any:
    """Apply matrices [new, old], or [n, new, old] for one per image, to rows and to columns."""
    return ops.swapaxes(_apply_to_rows(column_matrices, ops.swapaxes(_apply_to_rows(row_matrices, images), 1, 2)), 1, 2)


def _apply_to_rows(matrices: Any, images: Any) -> Any:
    _, rows, columns, channels = images.shape
    product = ops.matmul(matrices, ops.reshape(images, (-1, rows, columns * channels)))
    return ops.reshape(product, (-1, matrices.shape[-2], columns, channels))


def _transformed(images: Any, parameters: Any) -> Any:
    maps = _affine_maps(parameters, images.shape[1:3])
    return ops.image.affine_transform(images, maps, interpolation="bilinear", fill_mode="nearest")


def _affine_maps(parameters: Any, size: tuple[int, int]) -> Any:
    """Return maps from output to input coordinates, float32 [n, 8], for `keras.ops.image.affine_transform`."""
    down, right, mirrored, degrees = ops.unstack(parameters, 4, axis=1)
    center_y, center_x = (size[0] - 1) / 2, (size[1] - 1) / 2
    angle = degrees * (np.pi / 180)
    cosine, sine = ops.cos(angle), ops.sin(angle)
    sign = 1 - 2 * mirrored
    # Inverse of the transformation: output (x, y), shifted back, rotated back and mirrored back about the center.
    back_x, back_y = -center_x - right, -center_y - down
    map_x = (sign * cosine, -sign * sine, sign * (cosine * back_x - sine * back_y) + center_x)
    map_y = (sine, cosine, sine * back_x + cosine * back_y + center_y)
    zero = ops.zeros_like(angle)
    return ops.stack((*map_x, *map_y, zero, zero), axis=1)
