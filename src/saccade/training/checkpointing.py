"""Takes a training's state to a checkpoint, by the clock, and sets a training to one."""

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


class Checkpointing:
    """Writes checkpoints of one training.

    Args:
        run: where they go; its recipe says how often.
        network: that is trained.
        optimizer: built.
    """

    def __init__(self, run: Run, network: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        self._checkpoints = run.checkpoints
        self._seconds = run.recipe.checkpoint_seconds
        self._variables = {"network": _network_variables(network), "optimizer": _optimizer_variables(optimizer)}
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether the time for another one has come."""
        return time.monotonic() - self._last >= self._seconds

    def write(self, state: TrainingState, kept: Mapping[str, Mapping[str, NDArray[np.float32]]]) -> None:
        """Writes the state as it is now.

        Args:
            state: how far the training is.
            kept: weights of epochs before that are still needed, by what they are kept as; may be empty.

        Raises:
            RunError: it can't be written; the checkpoints before it are as they were.
        """
        arrays: dict[str, Arrays] = {part: _values(variables) for part, variables in self._variables.items()}
        arrays |= {name: weights for name, weights in kept.items() if weights}
        self._checkpoints.write(Checkpoint(state, arrays))
        self._last = time.monotonic()

    def restore(self, checkpoint: Checkpoint) -> None:
        """Sets the network and the optimizer to a checkpoint.

        Raises:
            RunError: its arrays are not those of this network and this optimizer.
        """
        for part, variables in self._variables.items():
            _assign(variables, checkpoint.arrays.get(part, {}), part)


def _network_variables(network: keras.Model) -> dict[str, keras.Variable]:
    """All of them, the states of dropout's random numbers among them."""
    return {f"{layer.name}/{variable.name}": variable for layer in network.layers for variable in layer.variables}


def _optimizer_variables(optimizer: keras.optimizers.Optimizer) -> dict[str, keras.Variable]:
    """By their place: the names that Keras gives them hold numbers that count up within a process."""
    return {f"{place:03}": variable for place, variable in enumerate(optimizer.variables)}


def _values(variables: Mapping[str, keras.Variable]) -> dict[str, NDArray[np.generic]]:
    return {name: np.array(keras.ops.convert_to_numpy(variable)) for name, variable in variables.items()}


def _assign(variables: Mapping[str, keras.Variable], values: Arrays, part: str) -> None:
    shapes = {name: (tuple(variable.shape), str(np.dtype(variable.dtype))) for name, variable in variables.items()}
    given = {name: (value.shape, str(value.dtype)) for name, value in values.items()}
    if shapes != given:
        odd = sorted(name for name in shapes.keys() | given.keys() if shapes.get(name) != given.get(name))
        raise RunError(
            f"the checkpoint's {part} is not that of this recipe",
            found=f"{len(odd)} arrays that differ: {', '.join(odd[:5])}",
        )
    for name, variable in variables.items():
        variable.assign(values[name])
