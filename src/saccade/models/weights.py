"""Weights of a network as named arrays."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from numpy.typing import NDArray

from saccade.errors import RunError


def _named_variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Return the variables that the outputs depend on, by `layer/variable`; seed generators of dropout are left out.

    For a model with a nested network, as with test-time augmentation, return the variables of the nested network.
    """
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            return _named_variables(layer)
    return {f"{layer.name}/{variable.name}": variable for layer in model.layers for variable in layer.weights}


def count_weights(model: keras.Model) -> int:
    """Return the number of weights, batch-normalization statistics included."""
    return sum(int(np.prod(variable.shape)) for variable in _named_variables(model).values())


def named_weights(model: keras.Model) -> dict[str, NDArray[np.float32]]:
    """Return a copy of the weights, batch-normalization statistics included, by `layer/variable`."""
    return {name: np.array(keras.ops.convert_to_numpy(variable)) for name, variable in _named_variables(model).items()}


def assign(model: keras.Model, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Set a model's weights, by `layer/variable`.

    Raises:
        RunError: names, shapes or dtypes differ from the model's, or a value is not finite.
    """
    variables = _named_variables(model)
    if set(variables) != set(weights):
        unmatched = sorted(set(variables) ^ set(weights))
        raise RunError(
            "the weights don't belong to this network",
            expected=f"{len(variables)} arrays with the names of the network's weights",
            found=f"{len(weights)} arrays; missing or unknown: {', '.join(unmatched[:5])}",
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
            raise RunError(f"the weights of '{name}' have values that are not finite")
    for name, variable in variables.items():
        variable.assign(weights[name])
