"""Head of a network: the last dense layer of every architecture, and the features in front of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from saccade.models.batchnorm_folding.fold import fold_normalization
from saccade.models.layer_outputs import LayerOutputs, inner_network, layer_outputs


def head_of(model: keras.Model) -> keras.layers.Dense:
    """Return the last dense layer of a network, or of the network inside a model with test-time augmentation."""
    for layer in reversed(model.layers):
        if isinstance(layer, keras.Model):
            return head_of(layer)
        if isinstance(layer, keras.layers.Dense):
            return layer
    raise ValueError(f"the network '{model.name}' does not end in a dense layer")


def without_head(model: keras.Model) -> keras.Model:
    """Return an inference model from pixels, [n, h, w, 3], to the features in front of the head, [n, d].

    Its inputs are pixels at the size of the inner network (`resize_to_network`). Its weights are copies.
    """
    network = inner_network(model)
    outputs = layer_outputs(network)
    return fold_normalization(keras.Model(outputs[0][2], _features(network, outputs), name="features"))


def with_features(model: keras.Model) -> keras.Model:
    """Return a model from pixels, [n, h, w, 3], to the model's outputs and the features in front of the head, [n, d].

    Args:
        model: network without resizing or test-time augmentation around it; weights are shared.
    """
    outputs = layer_outputs(model)
    return keras.Model(outputs[0][2], [outputs[-1][2], _features(model, outputs)], name=model.name)


def _features(network: keras.Model, outputs: Sequence[LayerOutputs]) -> keras.KerasTensor:
    head = head_of(network)
    (features,) = [inputs for layer, inputs, _ in outputs if layer is head]
    return features


def set_head(model: keras.Model, kernel: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
    """Set the head's kernel, float32 [d, classes], and its bias, if it has one, float32 [classes]."""
    head = head_of(model)
    head.set_weights([kernel, bias] if head.use_bias else [kernel])


def body_weights(model: keras.Model, weights: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Return weights by `layer/variable` without the weights of the model's head."""
    head = f"{head_of(model).name}/"
    return {name: weight for name, weight in weights.items() if not name.startswith(head)}
