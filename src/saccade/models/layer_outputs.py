"""Inputs and outputs of the layers of the network inside a probability model."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from saccade.augmentation.resize import resize_images

LayerOutputs = tuple[keras.Layer, Any, keras.KerasTensor]
"""A layer with its inputs and its outputs."""


def inner_network(model: keras.Model) -> keras.Model:
    """Return the network inside a model, without the resizing and test-time augmentation around it."""
    inner = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    return inner_network(inner[0]) if inner else model


def layer_outputs(network: keras.Model) -> list[LayerOutputs]:
    """Return each layer of a network in order, with its inputs and outputs; the first outputs are the pixels."""
    if not isinstance(network, keras.Sequential):
        return [(layer, layer.input, layer.output) for layer in network.layers]
    # A layer of a sequential network may be shared with another network, and stores its last outputs only.
    value = keras.Input(network.input_shape[1:])
    outputs: list[LayerOutputs] = [(None, None, value)]
    for layer in network.layers:
        outputs.append((layer, value, layer(value)))
        value = outputs[-1][2]
    return outputs


def resize_to_network(network: keras.Model, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Resize images, uint8 [n, height, width, 3], to the input size of the inner network, as the model does."""
    return resize_images(images, network.input_shape[1:3])
