"""A network of `keras.applications` as one flat graph of stock Keras layers, as all other networks of Saccade are.

What Keras builds holds networks within the network, operations that can't be read back from HDF5, and layers that only
its own module knows. Here each of them is replaced by stock layers of the same mathematics; what acts in training alone
(dropout, stochastic depth) is left out, since a transfer trains but a few epochs.
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

# MobileNetV3 writes the hard sigmoid as three operations: relu6(x + 3) / 6.
_HARD_SIGMOID_SHIFT, _HARD_SIGMOID_SCALE = 3.0, 1 / 6


def flattened(model: keras.Model, x: keras.KerasTensor) -> keras.KerasTensor:
    """What a model makes of a tensor, by copies of its layers with their names and weights.

    Args:
        model: of `keras.applications`, with one input and one output.
        x: of the shape of its input.
    """
    known = {id(model.inputs[0]): x}
    copies = _Copies(dict(_scaled_dense_layers(model)))
    for call in calls_in_order(model):
        given = [known[id(tensor)] for tensor in call.input_tensors]
        known[id(call.outputs[0])] = copies.applied(call, given)
    return known[id(model.outputs[0])]


def _scaled_dense_layers(model: keras.Model) -> Iterator[tuple[str, Any]]:
    """The name of each dense layer that a layer scale follows (Touvron et al. 2021), and that scale, [channels]."""
    made_by = {id(call.outputs[0]): call.operation for call in calls_in_order(model)}
    for call in calls_in_order(model):
        if type(call.operation).__name__ == "LayerScale":
            yield made_by[id(call.input_tensors[0])].name, keras.ops.convert_to_numpy(call.operation.gamma)


class _Copies:
    """Makes the layers of the flat graph, one call after the other.

    Args:
        scales: by the name of a dense layer, what its outputs are multiplied by, [channels].
    """

    def __init__(self, scales: Mapping[str, Any]) -> None:
        self._scales = scales
        self._numbers: Counter[str] = Counter()

    def applied(self, call: Any, given: list[keras.KerasTensor]) -> keras.KerasTensor:
        """What a call of the model's gives, of these tensors."""
        operation = call.operation
        if isinstance(operation, keras.Sequential):
            for layer in operation.layers:
                given = [self._copied(layer, given)]
            return given[0]
        if not isinstance(operation, keras.Layer):
            return self._joined(call, given)
        if _is_left_out(operation):
            return given[0]
        if isinstance(operation, layers.ReLU) and operation.max_value == 6:
            return layers.Activation("hard_sigmoid", name=self._name_of(operation))(given[0])
        return self._copied(operation, given)

    def _joined(self, call: Any, given: list[keras.KerasTensor]) -> keras.KerasTensor:
        """What stands for a sum of two tensors, or for a part of a hard sigmoid."""
        kind = type(call.operation).__name__
        constants = [value for value in keras.tree.flatten(call.arguments.args) if isinstance(value, float)]
        if kind == "Add" and len(given) == 2:
            return layers.Add(name=self._name_of(call.operation))(given)
        if (kind, constants) in (("Add", [_HARD_SIGMOID_SHIFT]), ("Multiply", [_HARD_SIGMOID_SCALE])):
            return given[0]
        raise ValueError(f"no stock layer is known for the operation '{kind}' with {constants}")

    def _copied(self, layer: keras.Layer, given: list[keras.KerasTensor]) -> keras.KerasTensor:
        copy = type(layer).from_config(layer.get_config() | {"name": self._name_of(layer)})
        outputs = copy(given if len(given) > 1 else given[0])
        weights = layer.get_weights()
        if layer.name in self._scales:
            weights = [np.float32(weight * self._scales[layer.name]) for weight in weights]
        if weights:
            copy.set_weights(weights)
        return outputs

    def _name_of(self, operation: keras.Operation) -> str:
        """The operation's own name; in place of one by which Keras counts within a process, one counted from here."""
        kind = re.sub(r"_\d+$", "", operation.name)
        if kind.replace("_", "") != type(operation).__name__.lower():
            return str(operation.name)
        self._numbers[kind] += 1
        return f"{kind}_{self._numbers[kind]}"


def _is_left_out(layer: keras.Layer) -> bool:
    """Whether a layer changes nothing here: its scale is taken up elsewhere, or it acts in training alone."""
    if isinstance(layer, layers.Activation) and layer.activation is keras.activations.linear:
        return True
    return isinstance(layer, layers.Dropout) or type(layer).__name__ in ("LayerScale", "StochasticDepth")
