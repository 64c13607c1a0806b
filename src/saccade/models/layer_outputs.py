"""Inputs and outputs of the layers of the network inside a probability model."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

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
