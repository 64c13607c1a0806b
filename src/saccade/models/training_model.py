"""The training model of a network: the same layers by the same names, computed faster."""

from __future__ import annotations

from typing import Any

import keras

from saccade.models.layers.dropout import SixteenBitDropout
from saccade.models.layers.fused_normalization import FusedBatchNormalization
from saccade.models.layers.fused_silu import FusedSilu
from saccade.models.layers.narrow_convolution import NarrowConv2D
from saccade.recipes import ComputeDtype

# The same mathematics and the same variables, faster.
_COUNTERPARTS = {
    keras.layers.BatchNormalization: FusedBatchNormalization,
    keras.layers.Conv2D: NarrowConv2D,
    keras.layers.Dropout: SixteenBitDropout,
}
# Pixels are whole numbers up to 255: less a mean they need more digits than bfloat16 has.
_OF_PIXELS = (keras.layers.Rescaling, keras.layers.Normalization)


def make_training_model(network: keras.Model, compute_dtype: ComputeDtype) -> keras.Model:
    """A copy of a network to train in its place; `named_weights` of it fit the network.

    Args:
        network: of stock layers in float32, functional or sequential, not nested.
        compute_dtype: of activations and their gradients. Weights, statistics, layers that scale the pixels and the
            last layer remain float32.

    Returns:
        A model with the network's weights, layer names, trainable flags and dropout seeds. It takes the same inputs
        and gives the same outputs, float32.
    """
    last = network.layers[-1]

    def clone(layer: keras.Layer) -> keras.Layer:
        exact = compute_dtype == "float32" or layer is last or isinstance(layer, _OF_PIXELS)
        return _clone(layer, "float32" if exact else "mixed_bfloat16")

    training_model: keras.Model = keras.models.clone_model(network, clone_function=clone)
    for layer in network.layers:
        copy = training_model.get_layer(layer.name)
        copy.set_weights(layer.get_weights())
        # A layer's own flag is in its configuration; a network may have frozen some of its variables only.
        for theirs, ours in zip(layer.weights, copy.weights, strict=True):
            ours.trainable = theirs.trainable
    return training_model


def _clone(layer: keras.Layer, policy: str) -> keras.Layer:
    config: dict[str, Any] = layer.get_config() | {"dtype": policy}
    # The weights are copied afterward: to draw them here would cost time and the caller's random numbers.
    config |= {key: "zeros" for key in config if key.endswith("_initializer")}
    if isinstance(layer, keras.layers.Dropout) and layer.rate:
        config["seed"] = int(keras.ops.convert_to_numpy(layer.seed_generator.state)[0])
    return _counterpart(layer).from_config(config)


def _counterpart(layer: keras.Layer) -> type[keras.Layer]:
    if type(layer) is keras.layers.Activation and layer.activation is keras.activations.silu:
        return FusedSilu
    return _COUNTERPARTS.get(type(layer), type(layer))
