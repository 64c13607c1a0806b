"""The first convolution of a network in twice the digits of a 16-bit float, for exports that round weights to that.

It sees pixels up to 255, and a filter that looks for edges gives small differences of large numbers. Rounded to 11
bits, the weights of this one layer moved a probability of `fast` by 0.007, more than an export may; no other layer
moved one by more than 0.0015 (200 images of CIFAR-10). Here each weight is a sum of two 16-bit floats, in two
convolutions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers


class TwofoldConv2D(layers.Conv2D):  # type: ignore[misc]  # Keras has no type hints
    """`keras.layers.Conv2D` by a kernel and a bias that are each the sum of two; `use_bias` must be true."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights, those that remain beside them as well."""
        super().build(input_shape)
        self.rest = self.add_weight(shape=self.kernel.shape, name="rest")
        self.bias_rest = self.add_weight(shape=self.bias.shape, name="bias_rest")

    def call(self, inputs: Any) -> Any:
        """Both convolutions together."""
        settings = {"strides": list(self.strides), "padding": self.padding, "data_format": self.data_format}
        first = keras.ops.add(keras.ops.conv(inputs, self.kernel, **settings), self.bias)
        second = keras.ops.add(keras.ops.conv(inputs, self.rest, **settings), self.bias_rest)
        return self.activation(keras.ops.add(first, second))

    def take(self, layer: layers.Conv2D) -> None:
        """Takes the weights of a stock layer."""
        rounded = [weight.astype(np.float16).astype(np.float32) for weight in layer.get_weights()]
        rest = [weight - near for weight, near in zip(layer.get_weights(), rounded, strict=True)]
        self.set_weights([*rounded, *rest])


def with_precise_first_layer(model: keras.Model) -> keras.Model:
    """A copy of a model whose first convolution is in two parts; the model itself where it begins with none.

    Args:
        model: what `fold_normalization` gives.
    """
    first = next((layer for layer in _all_layers(model) if layer.weights and _sees_pixels(layer)), None)
    if not isinstance(first, layers.Conv2D) or not first.use_bias or first.groups > 1:
        return model

    def clone(layer: keras.Layer) -> keras.Layer:
        kind = TwofoldConv2D if layer is first else type(layer)
        return kind.from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=clone, recursive=True)
    for layer, own in zip(_all_layers(model), _all_layers(copy), strict=True):
        if isinstance(own, TwofoldConv2D):
            own.take(layer)
        elif layer.weights:
            own.set_weights(layer.get_weights())
    return copy


def _sees_pixels(layer: keras.Layer) -> bool:
    """Whether it is the network's first, not one that moves or shrinks images before it."""
    return not isinstance(layer, layers.EinsumDense)


def _all_layers(model: keras.Model) -> Iterator[keras.Layer]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _all_layers(layer)
        else:
            yield layer
