"""Conversion of a `keras.applications` network to one flat graph of stock Keras layers, like other networks of Saccade.

Networks of `keras.applications` have nested networks, operations that can't be loaded from HDF5, and layers that are
defined in their own modules only. Each is replaced by stock layers with the same outputs. Layers that act in training
only (dropout, stochastic depth) are left out, because a transfer trains few epochs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras import layers

from saccade.models.keras_graph import calls_in_order

# MobileNetV3 computes the hard sigmoid by three operations: relu6(x + 3) / 6.
_HARD_SIGMOID_SHIFT, _HARD_SIGMOID_SCALE = 3.0, 1 / 6


def flatten_backbone(model: keras.Model, x: keras.KerasTensor) -> keras.KerasTensor:
    """Apply copies of a model's layers, with their names and weights, to a tensor.

    Args:
        model: model of `keras.applications`, with one input and one output.
        x: tensor with the shape of the model's input.
    """
    known = {id(model.inputs[0]): x}
    graph = _FlatGraph(dict(_scaled_dense_layers(model)))
    for call in calls_in_order(model):
        given = [known[id(tensor)] for tensor in call.input_tensors]
        known[id(call.outputs[0])] = graph.apply(call, given)
    return known[id(model.outputs[0])]


def _scaled_dense_layers(model: keras.Model) -> Iterator[tuple[str, Any]]:
    """Yield the name of each dense layer before a LayerScale (Touvron et al. 2021), and its scale, [channels]."""
    operation_of = {id(call.outputs[0]): call.operation for call in calls_in_order(model)}
    for call in calls_in_order(model):
        if type(call.operation).__name__ == "LayerScale":
            yield operation_of[id(call.input_tensors[0])].name, keras.ops.convert_to_numpy(call.operation.gamma)


class _FlatGraph:
    """Builder of the layers of the flat graph, one call after the other.

    Args:
        scales: factors of the outputs of dense layers, [channels], by name of the layer.
    """

    def __init__(self, scales: Mapping[str, Any]) -> None:
        self._scales = scales
        self._numbers: Counter[str] = Counter()

    def apply(self, call: Any, given: list[keras.KerasTensor]) -> keras.KerasTensor:
        """Return the output of a call of the model for the given input tensors."""
        operation = call.operation
        if isinstance(operation, keras.Sequential):
            for layer in operation.layers:
                given = [self._copy(layer, given)]
            return given[0]
        if not isinstance(operation, keras.Layer):
            return self._operation(call, given)
        if _is_left_out(operation):
            return given[0]
        if isinstance(operation, layers.ReLU) and operation.max_value == 6:
            return layers.Activation("hard_sigmoid", name=self._name_of(operation))(given[0])
        return self._copy(operation, given)

    def _operation(self, call: Any, given: list[keras.KerasTensor]) -> keras.KerasTensor:
        """Return the sum of two tensors; for the addition and multiplication of a hard sigmoid, return their input."""
        kind = type(call.operation).__name__
        constants = [value for value in keras.tree.flatten(call.arguments.args) if isinstance(value, float)]
        if kind == "Add" and len(given) == 2:
            return layers.Add(name=self._name_of(call.operation))(given)
        if (kind, constants) in (("Add", [_HARD_SIGMOID_SHIFT]), ("Multiply", [_HARD_SIGMOID_SCALE])):
            return given[0]
        raise ValueError(f"the operation '{kind}' with {constants} has no stock layer")

    def _copy(self, layer: keras.Layer, given: list[keras.KerasTensor]) -> keras.KerasTensor:
        copy = type(layer).from_config(layer.get_config() | {"name": self._name_of(layer)})
        outputs = copy(given if len(given) > 1 else given[0])
        weights = layer.get_weights()
        if layer.name in self._scales:
            weights = [np.float32(weight * self._scales[layer.name]) for weight in weights]
        if weights:
            copy.set_weights(weights)
        return outputs

    def _name_of(self, operation: keras.Operation) -> str:
        """Return an operation's name; a name that Keras numbered within the process is numbered within this graph."""
        kind = re.sub(r"_\d+$", "", operation.name)
        if kind.replace("_", "") != type(operation).__name__.lower():
            return str(operation.name)
        self._numbers[kind] += 1
        return f"{kind}_{self._numbers[kind]}"


def _is_left_out(layer: keras.Layer) -> bool:
    """Return whether a layer is left out: linear, active in training only, or folded into a dense layer."""
    if isinstance(layer, layers.Activation) and layer.activation is keras.activations.linear:
        return True
    return isinstance(layer, layers.Dropout) or type(layer).__name__ in ("LayerScale", "StochasticDepth")
