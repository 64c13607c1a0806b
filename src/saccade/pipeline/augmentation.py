"""Random shifts, flips and rotations: drawn on the host per sample, applied in the graph.

The drawing is a pure function of (seed, epoch, sample index); the graph gets one affine map per picture as data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from saccade.pipeline.order import generator
from saccade.recipes import Recipe


@dataclass(frozen=True)
class Augmentation:
    """How far pictures may be moved.

    Attributes:
        shift: largest shift, as a part of the width and of the height; fractions of a pixel are used.
        flip: whether each picture is mirrored left to right with probability one half.
        rotation: largest rotation about the centre, in degrees.
    """

    shift: float
    flip: bool
    rotation: float

    @classmethod
    def of(cls, recipe: Recipe) -> Augmentation:
        """The augmentation that a recipe asks for."""
        return cls(shift=recipe.shift, flip=recipe.flip, rotation=recipe.rotation)


@dataclass(frozen=True)
class Moves:
    """How each picture of an epoch is moved; all arrays have shape [n].

    Attributes:
        down: float64, shift of the content in pixels, positive towards the bottom.
        right: float64, shift of the content in pixels, positive towards the right.
        mirrored: bool, left and right exchanged.
        degrees: float64, rotation about the centre, positive counterclockwise as seen.
    """

    down: NDArray[np.float64]
    right: NDArray[np.float64]
    mirrored: NDArray[np.bool_]
    degrees: NDArray[np.float64]


def draw_moves(augmentation: Augmentation, n: int, size: tuple[int, int], *, seed: int, epoch: int) -> Moves:
    """Draws a move for each of n samples; sample i's does not depend on n.

    Args:
        augmentation: the ranges; each quantity is uniform within its range.
        n: number of samples.
        size: height and width of the pictures, in pixels.
        seed: of the training.
        epoch: counted from 0.
    """
    # One row of four numbers per sample: row i is the same whatever n is.
    uniform = generator(seed, epoch, "augmentation").random((n, 4)) * 2 - 1
    return Moves(
        down=uniform[:, 0] * augmentation.shift * size[0],
        right=uniform[:, 1] * augmentation.shift * size[1],
        mirrored=(uniform[:, 2] < 0) & augmentation.flip,
        degrees=uniform[:, 3] * augmentation.rotation,
    )


def affine_maps(moves: Moves, size: tuple[int, int]) -> NDArray[np.float32]:
    """The moves as maps from output to input coordinates, float32 [n, 8], as `keras.ops.image.affine_transform` takes.

    A picture is first mirrored, then rotated about its centre, then shifted.
    """
    height, width = size
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    angle = np.deg2rad(moves.degrees)
    cosine, sine = np.cos(angle), np.sin(angle)
    sign = np.where(moves.mirrored, -1.0, 1.0)
    maps = np.zeros((len(angle), 8))
    # Output (x, y), taken back by the shift, rotated back about the centre, mirrored back about the centre.
    back_x, back_y = -centre_x - moves.right, -centre_y - moves.down
    maps[:, 0], maps[:, 1] = sign * cosine, -sign * sine
    maps[:, 2] = sign * (cosine * back_x - sine * back_y) + centre_x
    maps[:, 3], maps[:, 4] = sine, cosine
    maps[:, 5] = sine * back_x + cosine * back_y + centre_y
    return maps.astype(np.float32)


def apply_maps(pictures: Any, maps: Any) -> Any:
    """Moves pictures [n, height, width, 3] by maps [n, 8], in the graph: bilinear, edges repeated.

    Returns:
        float32 pictures of the same shape.
    """
    return keras.ops.image.affine_transform(
        keras.ops.cast(pictures, "float32"), maps, interpolation="bilinear", fill_mode="nearest"
    )


class MovedPictures(keras.layers.Layer):  # type: ignore[misc]  # Keras has no type hints
    """The layer that puts `apply_maps` before a network while it is trained; it is never saved with one."""

    def call(self, inputs: tuple[Any, Any]) -> Any:
        """Inputs: pictures [n, height, width, 3] and maps [n, 8]."""
        return apply_maps(*inputs)
