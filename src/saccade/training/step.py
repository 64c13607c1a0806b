"""Training step: forward pass, loss, gradients and update of the weights, as one compiled function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    """Metrics of the batch of one step, by the weights before the update.

    Attributes:
        loss: mean loss of the batch, in nats.
        correct: number of images whose predicted class is their label.
    """

    loss: float
    correct: int


class TrainingStep:
    """Gradient descent on the mean cross-entropy, one step per call.

    Keras's own `train_on_batch` is not used: for a small network, its metrics, checks and conversions between the steps
    take a third of the time.

    Args:
        network: training model, from pixels to logits; its weights are updated in place.
        recipe: recipe with label smoothing, augmentation, image sizes and frozen layers.
        optimizer: optimizer, not built yet.
        full_size: height and width of the stored images, in pixels.
        class_weights: weight of each class in the loss, float32 [classes]. None: all weights are 1.
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
        # Built once for all trainable variables, so that all phases share the state of the optimizer.
        self._optimizer.build(network.trainable_variables)
        # The compiled step, with its image size, phase and number of trained variables. One step is kept, because a
        # combination does not recur in a training, and each graph holds memory.
        self._compiled: tuple[tuple[int, int, bool, int], Callable[..., Any]] | None = None
        self.begin_epoch(0)

    def begin_epoch(self, epoch: int) -> None:
        """Set the image size and the trained variables of the following steps to those of an epoch, counted from 0."""
        self._size = self._recipe.training_size(epoch, *self._full_size)
        self._variables = trainable_variables_of(self._network, self._recipe, epoch)

    def __call__(self, batch: Batch, learning_rate: float) -> StepResult:
        """Run one step.

        Args:
            batch: images, labels and augmentation parameters.
            learning_rate: learning rate of the step.
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
        """Return the step of the current epoch as a compiled function for any number of images."""
        recipe, variables = self._recipe, self._variables
        transform = AffineResize(*self._size, integer_translate=recipe.integer_translate, rotates=recipe.rotation > 0)
        signature = [tf.TensorSpec((None, *self._full_size, 3), tf.uint8), tf.TensorSpec((None,), tf.int64)]

        def step(images: Any, labels: Any, *parameters: Any) -> tuple[Any, Any]:
            inputs = transform((images, *parameters))
            with tf.GradientTape() as tape:
                outputs = self._network(inputs, training=True)
                loss = training_loss(labels, outputs, recipe, self._class_weights)
            self._optimizer.apply(tape.gradient(loss, variables), variables)
            correct = tf.equal(tf.argmax(outputs, axis=-1), labels)
            return loss, tf.reduce_sum(tf.cast(correct, tf.int64))

        if augmented:
            signature.append(tf.TensorSpec((None, 4), tf.float32))
        # No XLA: on the CPU it was not faster, and compiling takes time.
        compiled: Callable[..., Any] = tf.function(step, input_signature=signature, jit_compile=False, autograph=False)
        return compiled


def training_loss(labels: Any, outputs: Any, recipe: Recipe, class_weights: Any | None) -> Any:
    """Return the mean of the weighted cross-entropy with label smoothing, a scalar tensor.

    Args:
        labels: class indices, int64 [n].
        outputs: logits, float32 [n, classes].
        recipe: recipe with the label smoothing.
        class_weights: weight of each class, float32 [classes]. None: all weights are 1.
    """
    classes, smoothing = outputs.shape[-1], recipe.label_smoothing
    targets = tf.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes
    losses = keras.losses.categorical_crossentropy(targets, outputs, from_logits=True)
    if class_weights is not None:
        losses *= tf.gather(class_weights, labels)
    return tf.reduce_mean(losses)


@contextmanager
def deterministic_operations(enabled: bool) -> Iterator[None]:
    """Enable TensorFlow's op determinism within the context, if wanted, and restore the previous setting afterward.

    TensorFlow's public function can enable op determinism but not disable it. If op determinism stayed enabled, random
    operations without a seed would fail in the user's own code after the training.
    """
    # Private: tests/training/test_step.py fails if a version of TensorFlow changes this module.
    from tensorflow.python.util import _pywrap_determinism

    before = _pywrap_determinism.is_enabled()
    if enabled:
        _pywrap_determinism.enable(True)
    try:
        yield
    finally:
        _pywrap_determinism.enable(before)
