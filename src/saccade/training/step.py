"""Training step: forward pass, loss, gradients and update of the weights, as one compiled function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from saccade.augmentation.affine_resize import AffineResize
from saccade.augmentation.batches import Batch
from saccade.augmentation.mixing import mix_images, partners
from saccade.models.build import trainable_variables_of
from saccade.recipes import Recipe


@dataclass(frozen=True)
class StepResult:
    """Metrics of the batch of one step, by the weights before the update.

    Attributes:
        loss: mean loss of the batch, in nats.
        correct: number of images whose predicted class is their label; of a mixed image, the label with the larger
            share.
    """

    loss: float
    correct: int


@dataclass(frozen=True, eq=False)
class Descent:
    """Update of variables by the gradient of the mean cross-entropy; called inside a compiled function.

    Attributes:
        network: network from inputs to logits.
        variables: trained variables.
        optimizer: optimizer, built.
        label_smoothing: fraction of each label that is shared between all classes.
        class_weights: weight of each class in the loss, float32 [classes]. None: all weights are 1.
    """

    network: keras.Model
    variables: Sequence[keras.Variable]
    optimizer: keras.optimizers.Optimizer
    label_smoothing: float
    class_weights: NDArray[np.float32] | None

    def __call__(self, inputs: Any, labels: Any, share: Any | None) -> tuple[Any, Any]:
        """Update the variables by one step.

        Args:
            inputs: inputs of the network, float32 [n, ...].
            labels: class indices, int64 [n].
            share: share of these labels in the targets, float32 []; the rest is the share of the labels of the
                partners. None: 1.

        Returns:
            Mean loss, float32 [], and the number of inputs whose predicted class is the label with the larger share.
        """
        with tf.GradientTape() as tape:
            logits = self.network(inputs, training=True)
            losses = self._cross_entropy(labels, logits)
            if share is not None:
                # The cross-entropy is linear in the target, so the losses are mixed in place of one-hot targets.
                losses = share * losses + (1 - share) * self._cross_entropy(partners(labels), logits)
            loss = tf.reduce_mean(losses)
        self.optimizer.apply(tape.gradient(loss, self.variables), self.variables)
        expected = labels if share is None else tf.where(share >= 0.5, labels, partners(labels))
        correct = tf.equal(tf.argmax(logits, axis=-1), expected)
        return loss, tf.reduce_sum(tf.cast(correct, tf.int64))

    def _cross_entropy(self, labels: Any, logits: Any) -> Any:
        """Return the weighted cross-entropy with label smoothing of each input, float32 [n]."""
        classes = logits.shape[-1]
        targets = tf.one_hot(labels, classes) * (1 - self.label_smoothing) + self.label_smoothing / classes
        losses = keras.losses.categorical_crossentropy(targets, logits, from_logits=True)
        if self.class_weights is not None:
            losses *= tf.gather(tf.constant(self.class_weights), labels)
        return losses


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
        self._class_weights = class_weights
        self._optimizer = optimizer
        # Built once for all trainable variables, so that all phases share the state of the optimizer.
        self._optimizer.build(network.trainable_variables)
        # The compiled step, with its image size, phase, mixing and number of trained variables. One step is kept,
        # because a combination does not recur in a training, and each graph holds memory.
        self._compiled: tuple[tuple[int, int, bool, bool, int], Callable[..., Any]] | None = None
        self.begin_epoch(0)

    def begin_epoch(self, epoch: int) -> None:
        """Set the image size and the trained variables of the following steps to those of an epoch, counted from 0."""
        self._size = self._recipe.training_size(epoch, *self._full_size)
        self._variables = trainable_variables_of(self._network, self._recipe, epoch)

    def __call__(self, batch: Batch, learning_rate: float) -> StepResult:
        """Run one step.

        Args:
            batch: images, labels, and parameters of augmentation and mixing.
            learning_rate: learning rate of the step.
        """
        augmented, mixed = batch.parameters is not None, batch.mixing is not None
        key = (*self._size, augmented, mixed, len(self._variables))
        if self._compiled is None or self._compiled[0] != key:
            self._compiled = None
            self._compiled = key, self._compile(augmented=augmented, mixed=mixed)
        _, compiled = self._compiled
        self._optimizer.learning_rate = learning_rate
        sampled = [parameters for parameters in (batch.parameters, batch.mixing) if parameters is not None]
        loss, correct = compiled(batch.images, batch.labels, *sampled)
        return StepResult(float(loss), int(correct))

    def _compile(self, *, augmented: bool, mixed: bool) -> Callable[..., Any]:
        """Return the step of the current epoch as a compiled function for any number of images."""
        recipe = self._recipe
        descend = Descent(self._network, self._variables, self._optimizer, recipe.label_smoothing, self._class_weights)
        transform = AffineResize(*self._size, integer_translate=recipe.integer_translate, rotates=recipe.rotation > 0)
        signature = [tf.TensorSpec((None, *self._full_size, 3), tf.uint8), tf.TensorSpec((None,), tf.int64)]

        def step(images: Any, labels: Any, *sampled: Any) -> tuple[Any, Any]:
            inputs = transform((images, *sampled[: int(augmented)]))
            inputs, share = mix_images(inputs, sampled[-1]) if mixed else (inputs, None)
            return descend(inputs, labels, share)

        if augmented:
            signature.append(tf.TensorSpec((None, 4), tf.float32))
        if mixed:
            signature.append(tf.TensorSpec((4,), tf.float32))
        # No XLA: on the CPU it was not faster, and compiling takes time.
        compiled: Callable[..., Any] = tf.function(step, input_signature=signature, jit_compile=False, autograph=False)
        return compiled


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
