"""One training step per phase, compiled by Keras, with weights and optimizer state in common."""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray

from saccade.models.build import gives_logits
from saccade.pipeline.augmentation import MovedPictures
from saccade.pipeline.batches import Batch
from saccade.recipes import Recipe


class TrainingStep:
    """Adam on the mean sparse categorical cross-entropy (Kingma & Ba 2015), through `train_on_batch`.

    Args:
        network: from pixels to logits or probabilities; its weights are changed in place.
        recipe: its learning rate and its network count.
        class_weights: float32 [classes], the weight of each class in the loss; None: all alike.
    """

    def __init__(self, network: keras.Model, recipe: Recipe, class_weights: NDArray[np.float32] | None) -> None:
        self._class_weights = class_weights
        self._optimizer = keras.optimizers.Adam(recipe.learning_rate)
        # Built once, over the network's own variables: both phases find Adam's state as the other left it.
        self._optimizer.build(network.trainable_variables)
        self._plain = self._compiled(network, recipe)
        self._augmented = self._compiled(_with_moves(network), recipe) if recipe.augmented_epochs else None

    def _compiled(self, model: keras.Model, recipe: Recipe) -> keras.Model:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=gives_logits(recipe))
        accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        # XLA brought nothing on the CPU, and costs compile time.
        model.compile(optimizer=self._optimizer, loss=loss, metrics=[accuracy], jit_compile=False)
        return model

    def set_learning_rate(self, learning_rate: float) -> None:
        """The learning rate from the next step on."""
        self._optimizer.learning_rate = learning_rate

    def __call__(self, batch: Batch) -> tuple[float, float]:
        """Does one step; returns the batch's mean loss and accuracy before it."""
        weights = None if self._class_weights is None else self._class_weights[batch.labels]
        if batch.maps is None:
            logs = self._plain.train_on_batch(batch.pictures, batch.labels, weights, return_dict=True)
        else:
            inputs = (batch.pictures, batch.maps)
            assert self._augmented is not None  # noqa: S101 - maps are drawn in augmented epochs only
            logs = self._augmented.train_on_batch(inputs, batch.labels, weights, return_dict=True)
        return float(logs["loss"]), float(logs["accuracy"])


def _with_moves(network: keras.Model) -> keras.Model:
    pictures = keras.Input(network.input_shape[1:], name="pictures")
    maps = keras.Input((8,), name="maps")
    return keras.Model((pictures, maps), network(MovedPictures(name="moved")((pictures, maps))), name="training")
