"""Checkpoints of a training: written at a time interval, and restored."""

from __future__ import annotations

import time
from collections.abc import Mapping

import keras
import numpy as np
from numpy.typing import NDArray

from saccade.errors import RunError
from saccade.runs.checkpoints import Arrays, Checkpoint
from saccade.runs.run import Run
from saccade.runs.training_state import TrainingState


class TrainingVariables:
    """All variables of a training, as a checkpoint has them: "network" and "optimizer" -> arrays by name.

    Args:
        network: network that is trained.
        optimizer: optimizer of the training, built.
    """

    def __init__(self, network: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        self._variables = {"network": _network_variables(network), "optimizer": _optimizer_variables(optimizer)}

    def values(self) -> dict[str, Arrays]:
        """Return copies of the values."""
        return {name: _values(variables) for name, variables in self._variables.items()}

    def assign(self, arrays: Mapping[str, Arrays]) -> None:
        """Set the values.

        Raises:
            RunError: the arrays don't fit the network or the optimizer.
        """
        for name, variables in self._variables.items():
            _assign(variables, arrays.get(name, {}), name)


class Checkpointer:
    """Writer and reader of the checkpoints of one training.

    Args:
        run: run directory of the checkpoints; its recipe sets the interval in seconds.
        network: network that is trained.
        optimizer: optimizer of the training, built.
    """

    def __init__(self, run: Run, network: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        self._checkpoints = run.checkpoints
        self._seconds = run.recipe.checkpoint_seconds
        self._variables = TrainingVariables(network, optimizer)
        self._last = time.monotonic()

    def due(self) -> bool:
        """Return whether the interval since the last checkpoint has passed."""
        return time.monotonic() - self._last >= self._seconds

    def write(self, state: TrainingState, kept: Mapping[str, Mapping[str, NDArray[np.float32]]]) -> None:
        """Write a checkpoint.

        Args:
            state: state of the training.
            kept: named weights of previous epochs, such as "best"; may be empty.

        Raises:
            RunError: the checkpoint can't be written; previous checkpoints are unchanged.
        """
        arrays = self._variables.values()
        arrays |= {name: weights for name, weights in kept.items() if weights}
        self._checkpoints.write(Checkpoint(state, arrays))
        self._last = time.monotonic()

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore the network and the optimizer from a checkpoint.

        Raises:
            RunError: the arrays of the checkpoint don't fit the network or the optimizer.
        """
        self._variables.assign(checkpoint.arrays)


def _network_variables(network: keras.Model) -> dict[str, keras.Variable]:
    """Return all variables of a network by `layer/variable`, including the random states of dropout."""
    return {f"{layer.name}/{variable.name}": variable for layer in network.layers for variable in layer.variables}


def _optimizer_variables(optimizer: keras.optimizers.Optimizer) -> dict[str, keras.Variable]:
    """Return the variables of an optimizer by index, because their Keras names contain a counter of the process."""
    return {f"{index:03}": variable for index, variable in enumerate(optimizer.variables)}


def _values(variables: Mapping[str, keras.Variable]) -> dict[str, NDArray[np.generic]]:
    return {name: np.array(keras.ops.convert_to_numpy(variable)) for name, variable in variables.items()}


def _assign(variables: Mapping[str, keras.Variable], values: Arrays, owner: str) -> None:
    shapes = {name: (tuple(variable.shape), str(np.dtype(variable.dtype))) for name, variable in variables.items()}
    given = {name: (value.shape, str(value.dtype)) for name, value in values.items()}
    if shapes != given:
        different = sorted(name for name in shapes.keys() | given.keys() if shapes.get(name) != given.get(name))
        raise RunError(
            f"the checkpoint's {owner} does not fit this recipe",
            found=f"{len(different)} arrays that differ: {', '.join(different[:5])}",
        )
    for name, variable in variables.items():
        variable.assign(values[name])
