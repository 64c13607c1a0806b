"""The weights of a network as named arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from numpy.typing import NDArray

from saccade.errors import RunError


def _named_variables(model: keras.Model) -> dict[str, keras.Variable]:
    """The variables that make the model's answer, by `layer/variable`; dropout's seed generators are none of them.

    Of a model around a network, such as one that averages over views, these are the network's: it has no others.
    """
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            return _named_variables(layer)
    return {f"{layer.name}/{variable.name}": variable for layer in model.layers for variable in layer.weights}


def count_weights(model: keras.Model) -> int:
    """How many numbers make the model's answer, batch-normalization statistics included."""
    return sum(int(np.prod(variable.shape)) for variable in _named_variables(model).values())


def named_weights(model: keras.Model) -> dict[str, NDArray[np.float32]]:
    """A copy of the model's weights, batch-normalization statistics included, by `layer/variable`."""
    return {name: np.array(keras.ops.convert_to_numpy(variable)) for name, variable in _named_variables(model).items()}


def assign(model: keras.Model, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Sets the model's weights.

    Raises:
        RunError: names, shapes or dtypes are not those of the model, or a number is not finite.
    """
    variables = _named_variables(model)
    if set(variables) != set(weights):
        odd = sorted(set(variables) ^ set(weights))
        raise RunError(
            "the weights don't belong to this network",
            expected=f"{len(variables)} arrays named as the network's",
            found=f"{len(weights)} arrays; missing or not known: {', '.join(odd[:5])}",
        )
    for name, variable in variables.items():
        value = weights[name]
        if value.shape != tuple(variable.shape) or value.dtype != np.dtype(variable.dtype):
            raise RunError(
                f"the weights of '{name}' don't fit this network",
                expected=f"{variable.dtype} of shape {tuple(variable.shape)}",
                found=f"{value.dtype} of shape {value.shape}",
            )
        if not np.isfinite(value).all():
            raise RunError(f"the weights of '{name}' hold numbers that are not finite")
    for name, variable in variables.items():
        variable.assign(weights[name])
