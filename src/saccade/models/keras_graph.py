"""The layer graph of a functional Keras model.

Keras has no public way to list the calls of a model in order, with their arguments. The attributes of Keras that are
not public are read in this file and in the types that its functions return; `test_keras_graph.py` fails if Keras
changes one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import keras


class Arguments(Protocol):
    """Arguments of a call, as Keras keeps them."""

    args: tuple[Any, ...]

    def fill_in(self, tensor_dict: Mapping[int, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return positional and keyword arguments with each tensor replaced by the value for its `id`."""


class Call(Protocol):
    """A call of a layer or operation in a functional model.

    Attributes:
        operation: the layer, nested model or operation that is called.
        arguments: its arguments.
        input_tensors: the symbolic tensors among the arguments.
        outputs: the symbolic tensors that the call returns.
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
