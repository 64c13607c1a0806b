"""The head of a network: the dense layer that every family ends in, and what it is given."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from numpy.typing import NDArray

from saccade.models.batchnorm_folding.fold import fold_normalization
from saccade.models.layer_outputs import layer_outputs, network_within


def head_of(model: keras.Model) -> keras.layers.Dense:
    """The last dense layer of a network, or of the network that a model asks about several views."""
    for layer in reversed(model.layers):
        if isinstance(layer, keras.Model):
            return head_of(layer)
        if isinstance(layer, keras.layers.Dense):
            return layer
    raise ValueError(f"the network '{model.name}' does not end in a dense layer")


def without_head(model: keras.Model) -> keras.Model:
    """What a model's head is given, as a model for prediction: from pixels, [n, h, w, 3], to features [n, d].

    The pixels are those that the network within the model sees (`seen_by`). It has weights of its own.
    """
    network = network_within(model)
    head = head_of(network)
    outputs = layer_outputs(network)
    (features,) = [taken for layer, taken, _ in outputs if layer is head]
    return fold_normalization(keras.Model(outputs[0][2], features, name="features"))


def set_head(model: keras.Model, kernel: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
    """Sets the head to a kernel, float32 [d, classes], and a bias, float32 [classes], which is 0 if it has none."""
    head = head_of(model)
    head.set_weights([kernel, bias] if head.use_bias else [kernel])


def of_the_body(model: keras.Model, weights: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Weights by `layer/variable` without those of the model's head."""
    head = f"{head_of(model).name}/"
    return {name: weight for name, weight in weights.items() if not name.startswith(head)}
