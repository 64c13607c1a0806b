"""Layer graph of a functional Keras model.

Keras has no public function that lists the calls of a model in order, with their arguments. Private attributes of Keras
are read in this file only; the types below declare the attributes of its results. `test_keras_graph.py` fails if Keras
changes one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import keras


class Arguments(Protocol):
    """Arguments of a call."""

    args: tuple[Any, ...]

    def fill_in(self, tensor_dict: Mapping[int, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return positional and keyword arguments with each tensor replaced by the value for its `id`."""


class Call(Protocol):
    """A call of a layer or operation in a functional model.

    Attributes:
        operation: called layer, nested model or operation.
        arguments: arguments of the call.
        input_tensors: symbolic tensors among the arguments.
        outputs: symbolic tensors that the call returns.
    """

    operation: Any
    arguments: Arguments
    input_tensors: Sequence[keras.KerasTensor]
    outputs: Sequence[keras.KerasTensor]


def is_functional(model: keras.Model) -> bool:
    """Return whether a model is a functional model: a graph of layers, and not sequential or subclassed."""
    return hasattr(model, "_nodes_by_depth")


def calls_in_order(model: keras.Model) -> list[Call]:
    """Return the calls of a functional model in topological order: each call after the calls of its inputs."""
    by_depth = sorted(model._nodes_by_depth.items(), reverse=True)
    return [node for _, depth in by_depth for node in depth if not node.is_input]
