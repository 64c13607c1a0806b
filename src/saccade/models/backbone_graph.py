"""A network of `keras.applications` as one flat graph of stock Keras layers, as all other networks of Saccade are.

What Keras builds holds networks within the network, operations that can't be read back from HDF5, and layers that only
its own module knows. Here each of them is replaced by stock layers of the same mathematics; what acts in training alone
(dropout, stochastic depth) is left out, since a transfer trains but a few epochs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers

from saccade.models.folding import calls_in_order

# MobileNetV3 writes the hard sigmoid as three operations: relu6(x + 3) / 6.
_HARD_SIGMOID_SHIFT, _HARD_SIGMOID_SCALE = 3.0, 1 / 6


def flattened(model: keras.Model, x: keras.KerasTensor) -> keras.KerasTensor:
    """What a model makes of a tensor, by copies of its layers with their names and weights.

    Args:
        model: of `keras.applications`, with one input and one output.
        x: of the shape of its input.
    """
    known = {id(model.inputs[0]): x}
    folded = dict(_scaled_dense_layers(model))
    for call in calls_in_order(model):
        given = [known[id(tensor)] for tensor in call.input_tensors]
        known[id(call.outputs[0])] = _applied(call, given, folded)
    return known[id(model.outputs[0])]


def _scaled_dense_layers(model: keras.Model) -> Iterator[tuple[str, Any]]:
    """The name of each dense layer that a layer scale follows (Touvron et al. 2021), and that scale, [channels]."""
    made_by = {id(call.outputs[0]): call.operation for call in calls_in_order(model)}
    for call in calls_in_order(model):
        if type(call.operation).__name__ == "LayerScale":
            yield made_by[id(call.input_tensors[0])].name, keras.ops.convert_to_numpy(call.operation.gamma)


def _applied(call: Any, given: list[keras.KerasTensor], scales: dict[str, Any]) -> keras.KerasTensor:
    operation = call.operation
    kind = type(operation).__name__
    if isinstance(operation, keras.Sequential):
        for layer in operation.layers:
            given = [_copied(layer, given, scales)]
        return given[0]
    if not isinstance(operation, keras.Layer):
        return _joined(call, given)
    if kind in ("LayerScale", "StochasticDepth") or isinstance(operation, layers.Dropout) or _is_identity(operation):
        return given[0]
    if isinstance(operation, layers.ReLU) and operation.max_value == 6:
        return layers.Activation("hard_sigmoid", name=operation.name)(given[0])
    return _copied(operation, given, scales)


def _joined(call: Any, given: list[keras.KerasTensor]) -> keras.KerasTensor:
    """What stands for a sum of two tensors, or for a part of a hard sigmoid."""
    kind, name, constants = type(call.operation).__name__, call.operation.name, _constants(call)
    if kind == "Add" and len(given) == 2:
        return layers.Add(name=name)(given)
    if (kind, constants) in (("Add", [_HARD_SIGMOID_SHIFT]), ("Multiply", [_HARD_SIGMOID_SCALE])):
        return given[0]
    raise ValueError(f"no stock layer is known for the operation '{name}' ({kind} with {constants})")


def _constants(call: Any) -> list[float]:
    return [value for value in keras.tree.flatten(call.arguments.args) if isinstance(value, float)]


def _is_identity(layer: keras.Layer) -> bool:
    return isinstance(layer, layers.Activation) and layer.activation is keras.activations.linear


def _copied(layer: keras.Layer, given: list[keras.KerasTensor], scales: dict[str, Any]) -> keras.KerasTensor:
    copy = type(layer).from_config(layer.get_config() | {"name": layer.name})
    outputs = copy(given if len(given) > 1 else given[0])
    weights = layer.get_weights()
    if layer.name in scales:
        weights = [np.float32(weight * scales[layer.name]) for weight in weights]
    if weights:
        copy.set_weights(weights)
    return outputs
