"""One training step: a compiled function of images, labels and moves, from loss to changed weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from saccade.augmentation.affine_resize import AffineResize
from saccade.augmentation.batches import Batch
from saccade.models.build import trainable_variables_of
from saccade.recipes import Recipe


@dataclass(frozen=True)
class StepResult:
    """What a step tells of its batch, as the network was before it.

    Attributes:
        loss: mean loss, in nats.
        correct: number of images whose most probable class is theirs.
    """

    loss: float
    correct: int


class TrainingStep:
    """Steps of gradient descent on the mean cross-entropy.

    Keras's own `train_on_batch` is not used: beside a small network, its work between the steps (metrics, checks,
    conversions) takes a third of the time.

    Args:
        network: the training model, from pixels to logits; its weights are changed in place.
        recipe: its label smoothing, augmentation and network count.
        optimizer: not built yet.
        full_size: height and width of the stored images.
        class_weights: float32 [classes], the weight of each class in the loss; None: all alike.
    """

    def __init__(
        self,
        network: keras.Model,
        recipe: Recipe,
        optimizer: keras.optimizers.Optimizer,
        full_size: tuple[int, int],
        class_weights: NDArray[np.float32] | None,
    ) -> None:
        self._network = network
        self._full_size = full_size
        self._recipe = recipe
        self._class_weights = None if class_weights is None else tf.constant(class_weights)
        self._optimizer = optimizer
        # Built once, over the network's own variables: every phase finds the optimizer's state as another left it.
        self._optimizer.build(network.trainable_variables)
        # The step of one size, phase and set of variables, and which these are. None of them comes back, and a graph
        # that is kept for nothing holds memory.
        self._compiled: tuple[tuple[int, int, bool, int], Callable[..., Any]] | None = None
        self.begin_epoch(0)

    def begin_epoch(self, epoch: int) -> None:
        """The steps from now on are those of an epoch, counted from 0: its size of images, its learning variables."""
        self._size = self._recipe.training_size(epoch, *self._full_size)
        self._variables = trainable_variables_of(self._network, self._recipe, epoch)

    def __call__(self, batch: Batch, learning_rate: float) -> StepResult:
        """Does one step.

        Args:
            batch: images, labels and moves.
            learning_rate: of this step.
        """
        key = (*self._size, batch.parameters is not None, len(self._variables))
        if self._compiled is None or self._compiled[0] != key:
            self._compiled = None
            self._compiled = key, self._compile(batch.parameters is not None)
        _, compiled = self._compiled
        self._optimizer.learning_rate = learning_rate
        parameters = () if batch.parameters is None else (batch.parameters,)
        loss, correct = compiled(batch.images, batch.labels, *parameters)
        return StepResult(float(loss), int(correct))

    def _compile(self, augmented: bool) -> Callable[..., Any]:
        """The epoch's step as a graph, traced once for any number of images."""
        recipe, variables = self._recipe, self._variables
        transform = AffineResize(*self._size, integer_translate=recipe.integer_translate, rotates=recipe.rotation > 0)
        signature = [tf.TensorSpec((None, *self._full_size, 3), tf.uint8), tf.TensorSpec((None,), tf.int64)]

        def step(images: Any, labels: Any, *parameters: Any) -> tuple[Any, Any]:
            seen = transform((images, *parameters))
            with tf.GradientTape() as tape:
                outputs = self._network(seen, training=True)
                loss = self._loss(labels, outputs)
            self._optimizer.apply(tape.gradient(loss, variables), variables)
            correct = tf.equal(tf.argmax(outputs, axis=-1), labels)
            return loss, tf.reduce_sum(tf.cast(correct, tf.int64))

        if augmented:
            signature.append(tf.TensorSpec((None, 4), tf.float32))
        # XLA brought nothing on the CPU, and costs compile time.
        compiled: Callable[..., Any] = tf.function(step, input_signature=signature, jit_compile=False, autograph=False)
        return compiled

    def _loss(self, labels: Any, outputs: Any) -> Any:
        """Mean over the images of the weighted cross-entropy with smoothed labels."""
        classes, smoothing = outputs.shape[-1], self._recipe.label_smoothing
        targets = tf.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes
        losses = keras.losses.categorical_crossentropy(targets, outputs, from_logits=True)
        if self._class_weights is not None:
            losses *= tf.gather(self._class_weights, labels)
        return tf.reduce_mean(losses)
