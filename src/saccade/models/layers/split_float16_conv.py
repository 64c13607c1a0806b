"""First convolution with weights split into two float16 numbers, for exports with float16 weights.

The inputs of the first convolution are pixels up to 255, and edge filters compute small differences of large numbers.
With the weights of this layer alone rounded to float16, a probability of `fast` changed by 0.007, which is more than
the tolerance of an export; no other layer changed a probability by more than 0.0015 (200 images of CIFAR-10). Here each
weight is the sum of two float16 numbers, in two convolutions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers


class SplitFloat16Conv2D(layers.Conv2D):  # type: ignore[misc]  # Keras has no type hints
    """`keras.layers.Conv2D` whose kernel and bias are sums of two float16 arrays; `use_bias` must be true."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the rounded weights and their rounding residuals."""
        super().build(input_shape)
        self.rest = self.add_weight(shape=self.kernel.shape, name="rest")
        self.bias_rest = self.add_weight(shape=self.bias.shape, name="bias_rest")

    def call(self, inputs: Any) -> Any:
        """Return the activation of the sum of both convolutions."""
        settings = {"strides": list(self.strides), "padding": self.padding, "data_format": self.data_format}
        first = keras.ops.add(keras.ops.conv(inputs, self.kernel, **settings), self.bias)
        second = keras.ops.add(keras.ops.conv(inputs, self.rest, **settings), self.bias_rest)
        return self.activation(keras.ops.add(first, second))

    def set_from(self, layer: layers.Conv2D) -> None:
        """Split the weights of a stock layer."""
        rounded = [weight.astype(np.float16).astype(np.float32) for weight in layer.get_weights()]
        residuals = [weight - near for weight, near in zip(layer.get_weights(), rounded, strict=True)]
        self.set_weights([*rounded, *residuals])


def split_first_convolution(model: keras.Model) -> keras.Model:
    """Return a copy of a model with the first convolution split; the model itself if no convolution comes first.

    Args:
        model: result of `fold_normalization`.
    """
    first = next((layer for layer in _all_layers(model) if layer.weights and not _is_resampling(layer)), None)
    if not isinstance(first, layers.Conv2D) or not first.use_bias or first.groups > 1:
        return model

    def clone(layer: keras.Layer) -> keras.Layer:
        kind = SplitFloat16Conv2D if layer is first else type(layer)
        return kind.from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=clone, recursive=True)
    for layer, new in zip(_all_layers(model), _all_layers(copy), strict=True):
        if isinstance(new, SplitFloat16Conv2D):
            new.set_from(layer)
        elif layer.weights:
            new.set_weights(layer.get_weights())
    return copy


def _is_resampling(layer: keras.Layer) -> bool:
    """Return whether a layer mirrors or resizes images in front of the network."""
    return isinstance(layer, layers.EinsumDense)


def _all_layers(model: keras.Model) -> Iterator[keras.Layer]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _all_layers(layer)
        else:
            yield layer
