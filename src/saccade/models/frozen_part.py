"""Division of a network in two: frozen lower layers, and upper layers that are trained on their outputs."""

from __future__ import annotations

import keras

from saccade.models.head import head_of
from saccade.models.keras_graph import calls_in_order, is_functional


def cut_layer(network: keras.Model) -> str:
    """Return the name of the layer whose outputs are all that the trained layers need from the frozen lower layers.

    Args:
        network: network whose layers are frozen or trainable, with one output.

    Returns:
        The highest layer below all trainable weights with this property; "" if there is none.
    """
    if not is_functional(network):
        return ""
    calls = calls_in_order(network)
    last_use = {id(tensor): number for number, call in enumerate(calls) for tensor in call.input_tensors}
    needed: set[int] = {id(tensor) for tensor in network.inputs}
    highest = ""
    for number, call in enumerate(calls):
        if call.operation.trainable_variables:
            break
        needed = {tensor for tensor in needed if last_use.get(tensor, -1) > number}
        needed |= {id(tensor) for tensor in call.outputs}
        if len(needed) == 1 and number:
            highest = call.operation.name
    return highest


def lower_part(network: keras.Model, cut: str) -> keras.Model:
    """Return the model from pixels to the outputs of the layer `cut`; its layers are those of the network."""
    return keras.Model(network.inputs[0], network.get_layer(cut).output, name="lower_part")


def upper_part(network: keras.Model, cut: str) -> keras.Model:
    """Return the model from the outputs of the layer `cut` to those of the network; its layers are the network's."""
    return keras.Model(network.get_layer(cut).output, network.outputs[0], name="upper_part")


def upper_features(network: keras.Model, cut: str) -> keras.Model:
    """Return the model from the outputs of the layer `cut` to the features in front of the network's head, [n, d]."""
    return keras.Model(network.get_layer(cut).output, head_of(network).input, name="upper_features")
