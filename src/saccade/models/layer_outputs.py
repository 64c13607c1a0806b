"""What the layers of a probability model give, one by one: for whatever looks inside a network."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from saccade.augmentation.affine_resize import resize_matrix


def network_within(model: keras.Model) -> keras.Model:
    """The network that a model asks: without what shrinks images and averages over views around it."""
    inner = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    return network_within(inner[0]) if inner else model


def layer_outputs(network: keras.Model) -> list[tuple[keras.Layer, Any, keras.KerasTensor]]:
    """Each layer of a network in order, with what it takes and gives; the first gives the pixels."""
    if not isinstance(network, keras.Sequential):
        return [(layer, layer.input, layer.output) for layer in network.layers]
    # A layer of a sequential network may be shared with another one, and remembers only what it gave there.
    value = keras.Input(network.input_shape[1:])
    passed: list[tuple[keras.Layer, Any, keras.KerasTensor]] = [(None, None, value)]
    for layer in network.layers:
        passed.append((layer, value, layer(value)))
        value = passed[-1][2]
    return passed


def seen_by(network: keras.Model, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Images, uint8 [n, height, width, 3], as the model around the network shrinks them before it sees them."""
    size = network.input_shape[1:3]
    if images.shape[1:3] == size:
        return images.astype(np.float32)
    rows, columns = (resize_matrix(old, new) for old, new in zip(images.shape[1:3], size, strict=True))
    shrunk: NDArray[np.float32] = np.einsum("vh,nhwc,xw->nvxc", rows, np.float32(images), columns, optimize=True)
    return shrunk
