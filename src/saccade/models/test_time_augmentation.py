"""Test-time augmentation: resizing images in front of a network, and averaging logits over views of an image."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from saccade.augmentation.resize import resize_matrix

# Name of the layer that averages the logits of the image and of its mirror image.
_CENTERED = "unmoved"


def with_tta(network: keras.Model, height: int, width: int, tta_views: int) -> keras.Model:
    """Return a model that resizes images for a network and averages the logits over views of each image.

    The six views are the image, the image shifted by one pixel up and to the left, the image shifted by one pixel down
    and to the right (edges reflected), and the mirror images of these three. The image and its mirror image have
    weight 1/4 each, the four shifted views 1/8 each, as in airbench (Keller Jordan, 2024). Logits are averaged, not
    probabilities: dividing the logits of each view by a temperature then divides their average by the temperature, so
    one temperature can be fitted to the average. Resizing is linear with antialiasing, as in training. The model has
    stock Keras layers only: Keras's operations can't be loaded from HDF5.

    Args:
        network: network from pixels [n, h, w, 3] to logits [n, classes]; shared, not copied.
        height: height of the images, in pixels.
        width: width of the images, in pixels.
        tta_views: number of views, 1 or 6.

    Returns:
        The network itself if it has the image size and `tta_views` is 1; otherwise a model from pixels
        [n, height, width, 3] to logits.
    """
    if tta_views == 1 and network.input_shape[1:3] == (height, width):
        return network
    pixels = keras.Input((height, width, 3), name="pixels")
    resize = _resizing((height, width), network.input_shape[1:3])
    if tta_views == 1:
        return keras.Model(pixels, network(resize(pixels)), name=f"{network.name}_shrunk")
    mirror = _product(
        "nhwc,vw->nhvc", np.eye(width, dtype=np.float32)[::-1], (height, width), (height, width), "mirror"
    )
    padded = _pad(pixels, height, width)
    down_right = layers.Cropping2D(((0, 2), (0, 2)), name="down_right")(padded)
    up_left = layers.Cropping2D(((2, 0), (2, 0)), name="up_left")(padded)
    centered_views = [network(resize(view)) for view in (pixels, mirror(pixels))]
    shifted_views = [network(resize(view)) for shifted in (up_left, down_right) for view in (shifted, mirror(shifted))]
    averages = layers.Average(name=_CENTERED)(centered_views), layers.Average(name="moved")(shifted_views)
    return keras.Model(pixels, layers.Average(name="views")(averages), name=f"{network.name}_views")


def with_logits_without_tta(model: keras.Model) -> keras.Model:
    """Return a model from pixels to the model's outputs and the logits of the image itself, [n, classes].

    Args:
        model: result of `with_tta` with `tta_views` above 1, with a softmax behind it; weights are shared.
    """
    of_the_image, _ = model.get_layer(_CENTERED).input
    return keras.Model(model.inputs[0], [model.outputs[0], of_the_image], name=model.name)


def _pad(pixels: keras.KerasTensor, height: int, width: int) -> keras.KerasTensor:
    """Pad images by one reflected pixel on each side."""
    above = layers.Cropping2D(((1, height - 2), (0, 0)), name="above")(pixels)
    below = layers.Cropping2D(((height - 2, 1), (0, 0)), name="below")(pixels)
    tall = layers.Concatenate(axis=1, name="tall")([above, pixels, below])
    left = layers.Cropping2D(((0, 0), (1, width - 2)), name="left")(tall)
    right = layers.Cropping2D(((0, 0), (width - 2, 1)), name="right")(tall)
    return layers.Concatenate(axis=2, name="framed")([left, tall, right])


def _resizing(old: tuple[int, int], new: tuple[int, int]) -> Callable[[keras.KerasTensor], keras.KerasTensor]:
    if old == new:
        return lambda image: image
    rows = _product("nhwc,vh->nvwc", resize_matrix(old[0], new[0]), old, (new[0], old[1]), "shrink_rows")
    columns = _product("nhwc,vw->nhvc", resize_matrix(old[1], new[1]), (new[0], old[1]), new, "shrink_columns")
    return lambda image: columns(rows(image))


def _product(
    equation: str, matrix: NDArray[np.float32], old: tuple[int, int], new: tuple[int, int], name: str
) -> layers.Layer:
    """Return a layer that multiplies rows or columns by a constant matrix and changes the size from `old` to `new`.

    Both sizes are given in full, because Keras builds the next layer by this output shape when it loads HDF5.
    """
    layer = layers.EinsumDense(equation, (*new, 3), trainable=False, dtype="float32", name=name)
    layer.build((None, *old, 3))
    layer.set_weights([matrix])
    return layer
