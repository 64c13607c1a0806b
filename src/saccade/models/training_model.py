"""Training model of a network: a copy with faster layers under the same names."""

from __future__ import annotations

from typing import Any

import keras

from saccade.models.layers.dropout import SixteenBitDropout
from saccade.models.layers.fused_normalization import FusedBatchNormalization
from saccade.models.layers.fused_silu import FusedSilu
from saccade.models.layers.narrow_convolution import NarrowConv2D
from saccade.recipes import ComputeDtype

# Faster layers by stock layer; functions and variables are equal.
_COUNTERPARTS = {
    keras.layers.BatchNormalization: FusedBatchNormalization,
    keras.layers.Conv2D: NarrowConv2D,
    keras.layers.Dropout: SixteenBitDropout,
}
# Layers on pixels, which are integers up to 255: after subtraction of a mean they need more bits than bfloat16 has.
_PIXEL_LAYERS = (keras.layers.Rescaling, keras.layers.Normalization)


def make_training_model(network: keras.Model, compute_dtype: ComputeDtype) -> keras.Model:
    """Return a copy of a network for training; its `named_weights` can be assigned to the network.

    Args:
        network: network of stock layers in float32, functional or sequential, not nested.
        compute_dtype: dtype of activations and their gradients. Weights, statistics, layers that scale pixels and the
            last layer remain float32.

    Returns:
        Model with the network's weights, layer names, trainable flags and dropout seeds. Its inputs and outputs are
        those of the network, float32.
    """
    last = network.layers[-1]

    def clone(layer: keras.Layer) -> keras.Layer:
        exact = compute_dtype == "float32" or layer is last or isinstance(layer, _PIXEL_LAYERS)
        return _clone(layer, "float32" if exact else "mixed_bfloat16")

    training_model: keras.Model = keras.models.clone_model(network, clone_function=clone)
    for layer in network.layers:
        copy = training_model.get_layer(layer.name)
        copy.set_weights(layer.get_weights())
        # The flag of a layer is in its configuration; the flags of single variables are not.
        for original, copied in zip(layer.weights, copy.weights, strict=True):
            copied.trainable = original.trainable
    return training_model


def _clone(layer: keras.Layer, policy: str) -> keras.Layer:
    config: dict[str, Any] = layer.get_config() | {"dtype": policy}
    # The weights are copied later: initializing them costs time and advances the caller's random state.
    config |= {key: "zeros" for key in config if key.endswith("_initializer")}
    if isinstance(layer, keras.layers.Dropout) and layer.rate:
        config["seed"] = int(keras.ops.convert_to_numpy(layer.seed_generator.state)[0])
    return _counterpart(layer).from_config(config)


def _counterpart(layer: keras.Layer) -> type[keras.Layer]:
    if type(layer) is keras.layers.Activation and layer.activation is keras.activations.silu:
        return FusedSilu
    return _COUNTERPARTS.get(type(layer), type(layer))
