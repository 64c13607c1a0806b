"""The layer that moves and resizes images in the graph, ahead of a network while it is trained; never saved with one.

Shifts, flips and resizing are separable. For each image X there is a small matrix R for its rows and C for its
columns, so that the result is R X Cᵀ: two batched matrix products, in float32 whatever the network computes in, since
bfloat16 would round gray levels of moved images.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray


class AffineResize(keras.layers.Layer):  # type: ignore[misc]  # Keras has no type hints
    """Transforms images by `AugmentationParameters`, then resizes them linearly, antialiased where they shrink.

    Args:
        height: of the result, in pixels.
        width: of the result, in pixels.
        integer_translate: whether shifts are whole pixels and edges are reflected as by `numpy.pad(mode="reflect")`;
        else
            shifts are interpolated linearly and edges are repeated.
        rotates: whether images are rotated as well; then all moves are interpolated linearly in both directions at
            once, and edges are repeated.
    """

    def __init__(self, height: int, width: int, integer_translate: bool, rotates: bool, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)
        self._size = (height, width)
        self._whole_pixels = integer_translate
        self._rotates = rotates

    def call(self, inputs: tuple[Any, ...]) -> Any:
        """Inputs: images [n, h, w, 3] of any dtype, and, unless they are only resized, `Moves.parameters` [n, 4].

        Returns:
            float32 images [n, height, width, 3].
        """
        images = ops.cast(inputs[0], "float32")
        if len(inputs) == 1:
            return _resized(images, self._size)
        if self._rotates:
            return _resized(_transformed(images, inputs[1]), self._size)
        return _separable(images, *self._matrices(inputs[1], images.shape[1:3]))

    def _matrices(self, parameters: Any, size: tuple[int, int]) -> tuple[Any, Any]:
        """Each image's matrices for rows and for columns."""
        down, right, mirrored, _ = ops.unstack(parameters, 4, axis=1)
        rows, columns = self._sources(down, size[0]), self._sources(right, size[1])
        columns = ops.where(mirrored[:, None] > 0.5, size[1] - 1 - columns, columns)
        return _reading(rows, size[0], self._size[0]), _reading(columns, size[1], self._size[1])

    def _sources(self, shift: Any, side: int) -> Any:
        """Where each pixel of a side comes from when images are shifted by `shift` [n]: [n, side]."""
        sources, last = ops.arange(side, dtype="float32") - shift[:, None], side - 1
        if self._whole_pixels:
            return last - ops.abs(last - ops.abs(sources))
        return ops.clip(sources, 0, last)


def resize_matrix(side: int, new_side: int) -> NDArray[np.float32]:
    """How much each of `side` pixels counts for each new one, float32 [new_side, side]; every row's sum is 1.

    A triangle about the new pixel's center, as wide to either side as the larger of the two sorts of pixel: Pillow's
    BILINEAR resizing, before it rounds to whole gray levels.
    """
    scale = side / new_side
    centers = (np.arange(new_side) + 0.5) * scale - 0.5
    weights = np.maximum(0, 1 - np.abs(np.arange(side) - centers[:, None]) / max(1, scale))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _reading(sources: Any, side: int, new_side: int) -> Any:
    """Matrices [n, new_side, side] that read pixels at `sources` [n, side], interpolating linearly, then resize."""
    matrices = ops.relu(1 - ops.abs(sources[:, :, None] - ops.arange(side, dtype="float32")))
    return matrices if new_side == side else ops.matmul(resize_matrix(side, new_side), matrices)


def _resized(images: Any, size: tuple[int, int]) -> Any:
    _, height, width, _ = images.shape
    if (height, width) == size:
        return images
    return _separable(images, resize_matrix(height, size[0]), resize_matrix(width, size[1]))


def _separable(images: Any, row_matrices: Any, column_matrices: Any) -> Any:
    """Matrices [new, old], or [n, new, old] for one per image, applied to rows and to columns."""
    return ops.swapaxes(_on_rows(column_matrices, ops.swapaxes(_on_rows(row_matrices, images), 1, 2)), 1, 2)


def _on_rows(matrices: Any, images: Any) -> Any:
    _, rows, columns, channels = images.shape
    product = ops.matmul(matrices, ops.reshape(images, (-1, rows, columns * channels)))
    return ops.reshape(product, (-1, matrices.shape[-2], columns, channels))


def _transformed(images: Any, parameters: Any) -> Any:
    maps = _affine_maps(parameters, images.shape[1:3])
    return ops.image.affine_transform(images, maps, interpolation="bilinear", fill_mode="nearest")


def _affine_maps(parameters: Any, size: tuple[int, int]) -> Any:
    """The moves as maps from output to input coordinates, float32 [n, 8], as `affine_transform` takes."""
    down, right, mirrored, degrees = ops.unstack(parameters, 4, axis=1)
    center_y, center_x = (size[0] - 1) / 2, (size[1] - 1) / 2
    angle = degrees * (np.pi / 180)
    cosine, sine = ops.cos(angle), ops.sin(angle)
    sign = 1 - 2 * mirrored
    # Output (x, y), taken back by the shift, rotated back about the center, mirrored back about the center.
    back_x, back_y = -center_x - right, -center_y - down
    map_x = (sign * cosine, -sign * sine, sign * (cosine * back_x - sine * back_y) + center_x)
    map_y = (sine, cosine, sine * back_x + cosine * back_y + center_y)
    nothing = ops.zeros_like(angle)
    return ops.stack((*map_x, *map_y, nothing, nothing), axis=1)
