"""What stands around a network in a saved model: shrinking the image, and averaging over views of it."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from saccade.augmentation.affine_resize import resize_matrix


def with_tta(network: keras.Model, height: int, width: int, tta_views: int) -> keras.Model:
    """A model that asks a network about images of another size, or about several views of each.

    Six views are the image as it is and shifted by a pixel, each also mirrored. The image and its mirror image
    count one half together, the four shifted views (up and to the left, down and to the right, edges reflected) the
    other half, as in airbench (Keller Jordan, 2024). The logits of the views are averaged, not their probabilities: the
    average of logits that were divided by a temperature is the average of the logits divided by this temperature, so
    that one temperature is fitted to the average and divides the logits of each view. Shrinking is that of training,
    linear with antialiasing. There are only stock Keras layers in it: Keras's operations can't be read back from HDF5.

    Args:
        network: from pixels [n, h, w, 3] to logits [n, classes]; shared, not copied.
        height: of the images, in pixels.
        width: of the images, in pixels.
        tta_views: 1 or 6.

    Returns:
        The network itself if there is nothing to do, or a model from pixels [n, height, width, 3] to logits.
    """
    if tta_views == 1 and network.input_shape[1:3] == (height, width):
        return network
    pixels = keras.Input((height, width, 3), name="pixels")
    shrink = _shrinking((height, width), network.input_shape[1:3])
    if tta_views == 1:
        return keras.Model(pixels, network(shrink(pixels)), name=f"{network.name}_shrunk")
    mirror = _product(
        "nhwc,vw->nhvc", np.eye(width, dtype=np.float32)[::-1], (height, width), (height, width), "mirror"
    )
    framed = _framed(pixels, height, width)
    down_right = layers.Cropping2D(((0, 2), (0, 2)), name="down_right")(framed)
    up_left = layers.Cropping2D(((2, 0), (2, 0)), name="up_left")(framed)
    centered_views = [network(shrink(view)) for view in (pixels, mirror(pixels))]
    shifted_views = [network(shrink(view)) for shifted in (up_left, down_right) for view in (shifted, mirror(shifted))]
    averages = layers.Average(name="unmoved")(centered_views), layers.Average(name="moved")(shifted_views)
    return keras.Model(pixels, layers.Average(name="views")(averages), name=f"{network.name}_views")


def _framed(pixels: keras.KerasTensor, height: int, width: int) -> keras.KerasTensor:
    """The images with one more pixel on each side: the edges reflected, themselves not repeated."""
    above = layers.Cropping2D(((1, height - 2), (0, 0)), name="above")(pixels)
    below = layers.Cropping2D(((height - 2, 1), (0, 0)), name="below")(pixels)
    tall = layers.Concatenate(axis=1, name="tall")([above, pixels, below])
    left = layers.Cropping2D(((0, 0), (1, width - 2)), name="left")(tall)
    right = layers.Cropping2D(((0, 0), (width - 2, 1)), name="right")(tall)
    return layers.Concatenate(axis=2, name="framed")([left, tall, right])


def _shrinking(old: tuple[int, int], new: tuple[int, int]) -> Callable[[keras.KerasTensor], keras.KerasTensor]:
    if old == new:
        return lambda image: image
    rows = _product("nhwc,vh->nvwc", resize_matrix(old[0], new[0]), old, (new[0], old[1]), "shrink_rows")
    columns = _product("nhwc,vw->nhvc", resize_matrix(old[1], new[1]), (new[0], old[1]), new, "shrink_columns")
    return lambda image: columns(rows(image))


def _product(
    equation: str, matrix: NDArray[np.float32], old: tuple[int, int], new: tuple[int, int], name: str
) -> layers.Layer:
    """A layer that multiplies rows or columns by a constant matrix: images of size `old` become ones of size `new`.

    Both sizes are given in full, because from HDF5 the next layer is built anew by the shape of this one's output.
    """
    layer = layers.EinsumDense(equation, (*new, 3), trainable=False, dtype="float32", name=name)
    layer.build((None, *old, 3))
    layer.set_weights([matrix])
    return layer
