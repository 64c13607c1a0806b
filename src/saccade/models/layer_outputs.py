"""Inputs and outputs of the layers of the network inside a probability model."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from saccade.augmentation.affine_resize import resize_matrix


def inner_network(model: keras.Model) -> keras.Model:
    """Return the network inside a model, without the resizing and test-time augmentation around it."""
    inner = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    return inner_network(inner[0]) if inner else model


def layer_outputs(network: keras.Model) -> list[tuple[keras.Layer, Any, keras.KerasTensor]]:
    """Return each layer of a network in order, with its inputs and outputs; the first outputs are the pixels."""
    if not isinstance(network, keras.Sequential):
        return [(layer, layer.input, layer.output) for layer in network.layers]
    # A layer of a sequential network may be shared with another network, and stores its last outputs only.
    value = keras.Input(network.input_shape[1:])
    outputs: list[tuple[keras.Layer, Any, keras.KerasTensor]] = [(None, None, value)]
    for layer in network.layers:
        outputs.append((layer, value, layer(value)))
        value = outputs[-1][2]
    return outputs


def resize_to_network(network: keras.Model, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Resize images, uint8 [n, height, width, 3], to the input size of the inner network, as the model does."""
    size = network.input_shape[1:3]
    if images.shape[1:3] == size:
        return images.astype(np.float32)
    rows, columns = (resize_matrix(old, new) for old, new in zip(images.shape[1:3], size, strict=True))
    resized: NDArray[np.float32] = np.einsum("vh,nhwc,xw->nvxc", rows, np.float32(images), columns, optimize=True)
    return resized
