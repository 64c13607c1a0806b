"""Step of one worker: gradient of its part of a batch, and update of the weights by the gradient of the whole batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from saccade.augmentation.batches import Batch
from saccade.recipes import Recipe
from saccade.runs.checkpoints import Arrays
from saccade.training.checkpointing import TrainingVariables
from saccade.training.step import Objective, PixelGraph
from saccade.training.transfer_learning.upper_training import OutputGraph

# Difference between the seeds of dropout of two workers: 2**32 divided by the golden ratio, an odd number.
_SEED_STEP = 0x9E3779B9


@dataclass(frozen=True, eq=False)
class PartResult:
    """Result of one worker's part of a batch.

    Attributes:
        loss: sum of the losses of the part, divided by the number of images of the whole batch, in nats.
        correct: number of images of the part that were classified correctly.
        vector: gradient of `loss` by the trained variables, one after the other, then the moving averages of batch
            normalization times the share of the part in the batch: float32 [d]. The sum of the vectors of all workers
            is the gradient of the batch, and the mean of the moving averages.
    """

    loss: float
    correct: int
    vector: NDArray[np.floating[Any]]


class PartStep:
    """Gradient of a part of a batch, and update by the sum of all parts.

    Args:
        network: training model; its weights are updated in place.
        recipe: recipe of the training.
        optimizer: optimizer, not built yet.
        full_size: height and width of the stored images, in pixels.
        class_weights: weight of each class in the loss, float32 [classes]. None: all weights are 1.
        upper: upper part of the network, where the steps train it on kept outputs. None: the steps train on pixels.
    """

    def __init__(
        self,
        network: keras.Model,
        recipe: Recipe,
        optimizer: keras.optimizers.Optimizer,
        full_size: tuple[int, int],
        class_weights: NDArray[np.float32] | None,
        upper: keras.Model | None = None,
    ) -> None:
        trained = network if upper is None else upper
        self._optimizer = optimizer
        optimizer.build(trained.trainable_variables)
        self._all = TrainingVariables(network, optimizer)
        self._averages = _moving_averages(trained)
        self._seeds = [layer.seed_generator.state for layer in trained.layers if hasattr(layer, "seed_generator")]
        self._update: tuple[int, Callable[[Any], None]] | None = None

        def gradient(variables: Sequence[keras.Variable]) -> Callable[..., Any]:
            objective = Objective(trained, variables, recipe.label_smoothing, class_weights)

            def compute(inputs: Any, labels: Any, share: Any | None, size: Any) -> tuple[Any, Any, Any]:
                loss, correct, parts = objective(inputs, labels, share, size)
                own = [
                    tf.zeros(variable.shape, variable.dtype) if part is None else part
                    for part, variable in zip(parts, variables, strict=True)
                ]
                averages = [
                    tf.convert_to_tensor(average)
                    * (tf.cast(tf.shape(labels)[0], average.dtype) / tf.cast(size, average.dtype))
                    for average in self._averages
                ]
                return loss, correct, tf.concat([tf.reshape(each, [-1]) for each in (*own, *averages)], axis=0)

            return compute

        further = [tf.TensorSpec((), tf.float32)]
        self._graph: PixelGraph | OutputGraph = (
            PixelGraph(network, recipe, full_size, gradient, further)
            if upper is None
            else OutputGraph(upper, recipe, gradient, further)
        )

    def begin_epoch(self, epoch: int) -> None:
        """Set the image size and the trained variables of the following steps to those of an epoch, counted from 0."""
        self._graph.begin_epoch(epoch)

    def gradient(self, batch: Batch, size: int) -> PartResult:
        """Compute the gradient of a part of a batch of `size` images; random states and moving averages advance."""
        loss, correct, vector = self._graph(batch, np.float32(size))
        return PartResult(float(loss), int(correct), vector.numpy())

    def apply(self, vector: NDArray[np.floating[Any]], learning_rate: float) -> None:
        """Update the weights by the sum of the vectors of all workers."""
        self._optimizer.learning_rate = learning_rate
        count = len(self._graph.variables)
        if self._update is None or self._update[0] != count:
            self._update = count, self._compile_update(self._graph.variables)
        self._update[1](tf.constant(vector))

    def arrays(self) -> dict[str, Arrays]:
        """Return copies of all variables of network and optimizer, as in a checkpoint."""
        return self._all.values()

    def load(self, arrays: Mapping[str, Arrays]) -> None:
        """Set all variables of network and optimizer."""
        self._all.assign(arrays)

    def random_states(self) -> list[NDArray[np.generic]]:
        """Return copies of the states of the random numbers of dropout: a seed and a counter each."""
        return [np.array(keras.ops.convert_to_numpy(state)) for state in self._seeds]

    def set_random_states(self, states: Sequence[NDArray[np.generic]], rank: int) -> None:
        """Set the states to those of the first worker, with the seeds of the worker `rank`."""
        for variable, state in zip(self._seeds, states, strict=True):
            shifted = state.astype(np.uint64)
            shifted[0] = (shifted[0] + np.uint64(rank * _SEED_STEP)) & np.uint64(0xFFFFFFFF)
            variable.assign(shifted.astype(state.dtype))

    def moving_averages(self) -> list[NDArray[np.generic]]:
        """Return copies of the moving averages of batch normalization."""
        return [np.array(keras.ops.convert_to_numpy(average)) for average in self._averages]

    def set_moving_averages(self, values: Sequence[NDArray[np.generic]]) -> None:
        """Set the moving averages of batch normalization."""
        for average, value in zip(self._averages, values, strict=True):
            average.assign(value)

    def _compile_update(self, variables: Sequence[keras.Variable]) -> Callable[[Any], None]:
        places = [*variables, *self._averages]
        sizes = [math.prod(variable.shape) for variable in places]

        def update(vector: Any) -> None:
            pieces = [
                tf.reshape(piece, variable.shape)
                for piece, variable in zip(tf.split(vector, sizes), places, strict=True)
            ]
            self._optimizer.apply(pieces[: len(variables)], variables)
            for average, piece in zip(self._averages, pieces[len(variables) :], strict=True):
                average.assign(piece)

        compiled: Callable[[Any], None] = tf.function(update, autograph=False)
        return compiled


def _moving_averages(network: keras.Model) -> list[keras.Variable]:
    return [
        average
        for layer in network.layers
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
        for average in (layer.moving_mean, layer.moving_variance)
    ]
