"""Training step: forward pass, loss, gradients and update of the weights, as one compiled function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

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
class Objective:
    """Mean cross-entropy of a batch with its gradient; called inside a compiled function.

    Attributes:
        network: network from inputs to logits.
        variables: variables of the gradient.
        label_smoothing: fraction of each label that is shared between all classes.
        class_weights: weight of each class in the loss, float32 [classes]. None: all weights are 1.
    """

    network: keras.Model
    variables: Sequence[keras.Variable]
    label_smoothing: float
    class_weights: NDArray[np.float32] | None

    def __call__(
        self, inputs: Any, labels: Any, share: Any | None, size: Any | None = None
    ) -> tuple[Any, Any, list[Any]]:
        """Compute loss and gradient of a batch, or the part that some of its inputs have in both.

        Args:
            inputs: inputs of the network, float32 [n, ...].
            labels: class indices, int64 [n].
            share: share of these labels in the targets, float32 []; the rest is the share of the labels of the
                partners. None: 1.
            size: number of inputs of the whole batch, float []. None: n.

        Returns:
            Sum of the losses divided by `size`, float []; number of inputs whose predicted class is the label with the
            larger share, int64 []; gradient of the first by each variable.
        """
        with tf.GradientTape() as tape:
            logits = self.network(inputs, training=True)
            losses = self._cross_entropy(labels, logits)
            if share is not None:
                # The cross-entropy is linear in the target, so the losses are mixed in place of one-hot targets.
                losses = share * losses + (1 - share) * self._cross_entropy(partners(labels), logits)
            loss = tf.reduce_mean(losses) if size is None else tf.reduce_sum(losses) / tf.cast(size, losses.dtype)
        gradient = tape.gradient(loss, self.variables)
        expected = labels if share is None else tf.where(share >= 0.5, labels, partners(labels))
        correct = tf.equal(tf.argmax(logits, axis=-1), expected)
        return loss, tf.reduce_sum(tf.cast(correct, tf.int64)), gradient

    def _cross_entropy(self, labels: Any, logits: Any) -> Any:
        """Return the weighted cross-entropy with label smoothing of each input, float [n]."""
        classes = logits.shape[-1]
        targets = (
            tf.one_hot(labels, classes, dtype=logits.dtype) * (1 - self.label_smoothing)
            + self.label_smoothing / classes
        )
        losses = keras.losses.categorical_crossentropy(targets, logits, from_logits=True)
        if self.class_weights is not None:
            losses *= tf.gather(tf.constant(self.class_weights, losses.dtype), labels)
        return losses


@dataclass(frozen=True, eq=False)
class Descent:
    """Update of variables by the gradient of a batch; called inside a compiled function.

    Attributes:
        objective: loss and gradient.
        optimizer: optimizer, built.
    """

    objective: Objective
    optimizer: keras.optimizers.Optimizer

    def __call__(self, inputs: Any, labels: Any, share: Any | None) -> tuple[Any, Any]:
        """Update the variables by one step, and return loss and number of hits as `Objective` does."""
        loss, correct, gradient = self.objective(inputs, labels, share)
        self.optimizer.apply(gradient, self.objective.variables)
        return loss, correct


Work = Callable[[Sequence[keras.Variable]], Callable[..., Any]]
"""Returns, for the trained variables of an epoch, the function that a compiled graph runs on network inputs."""


class Graph(Protocol):
    """Compiled work on batches."""

    def begin_epoch(self, epoch: int) -> None:
        """Set the image size and the trained variables of the following batches to those of an epoch, from 0."""
        ...

    def __call__(self, batch: Batch, *further: Any) -> Any:
        """Run the work on a batch."""
        ...


class PixelGraph:
    """Compiled work on batches of images: augmentation, resizing and mixing, then a function of network inputs.

    Args:
        network: training model, from pixels to logits.
        recipe: recipe with augmentation, image sizes and frozen layers.
        full_size: height and width of the stored images, in pixels.
        work: returns, for the trained variables of an epoch, the function of inputs, labels and share of the labels, as
            `Objective` has them, and of the further arguments.
        further: types of the further arguments.
    """

    def __init__(
        self,
        network: keras.Model,
        recipe: Recipe,
        full_size: tuple[int, int],
        work: Work,
        further: Sequence[tf.TensorSpec] = (),
    ) -> None:
        self._network, self._recipe, self._full_size = network, recipe, full_size
        self._work, self._further = work, further
        # The compiled work, with its image size, phase, mixing and number of trained variables. One is kept, because a
        # combination does not recur in a training, and each graph holds memory.
        self._compiled: tuple[tuple[int, int, bool, bool, int], Callable[..., Any]] | None = None
        self.begin_epoch(0)

    def begin_epoch(self, epoch: int) -> None:
        """Set the image size and the trained variables of the following batches to those of an epoch, from 0."""
        self._size = self._recipe.training_size(epoch, *self._full_size)
        self.variables = trainable_variables_of(self._network, self._recipe, epoch)
        """Trained variables of the epoch."""

    def __call__(self, batch: Batch, *further: Any) -> Any:
        """Run the work on a batch."""
        augmented, mixed = batch.parameters is not None, batch.mixing is not None
        key = (*self._size, augmented, mixed, len(self.variables))
        if self._compiled is None or self._compiled[0] != key:
            self._compiled = None
            self._compiled = key, self._compile(augmented=augmented, mixed=mixed)
        _, compiled = self._compiled
        sampled = [parameters for parameters in (batch.parameters, batch.mixing) if parameters is not None]
        return compiled(batch.images, batch.labels, *further, *sampled)

    def _compile(self, *, augmented: bool, mixed: bool) -> Callable[..., Any]:
        """Return the work of the current epoch as a compiled function for any number of images."""
        recipe, given = self._recipe, len(self._further)
        work = self._work(self.variables)
        transform = AffineResize(*self._size, integer_translate=recipe.integer_translate, rotates=recipe.rotation > 0)
        signature = [tf.TensorSpec((None, *self._full_size, 3), tf.uint8), tf.TensorSpec((None,), tf.int64)]
        signature += self._further

        def run(images: Any, labels: Any, *others: Any) -> Any:
            further, sampled = others[:given], others[given:]
            inputs = transform((images, *sampled[: int(augmented)]))
            inputs, share = mix_images(inputs, sampled[-1]) if mixed else (inputs, None)
            return work(inputs, labels, share, *further)

        if augmented:
            signature.append(tf.TensorSpec((None, 4), tf.float32))
        if mixed:
            signature.append(tf.TensorSpec((4,), tf.float32))
        # No XLA: on the CPU it was not faster, and compiling takes time.
        compiled: Callable[..., Any] = tf.function(run, input_signature=signature, jit_compile=False, autograph=False)
        return compiled


class DescentStep:
    """Gradient descent on the mean cross-entropy, one step per call.

    Args:
        network: network whose trainable variables the optimizer updates.
        recipe: recipe with label smoothing.
        optimizer: optimizer, not built yet.
        class_weights: weight of each class in the loss, float32 [classes]. None: all weights are 1.
        graph: returns the compiled graph for the update, which it gets as `PixelGraph` gets its work.
    """

    def __init__(
        self,
        network: keras.Model,
        recipe: Recipe,
        optimizer: keras.optimizers.Optimizer,
        class_weights: NDArray[np.float32] | None,
        graph: Callable[[Work], Graph],
    ) -> None:
        self._optimizer = optimizer
        # Built once for all trainable variables, so that all phases share the state of the optimizer.
        optimizer.build(network.trainable_variables)

        def descent(variables: Sequence[keras.Variable]) -> Descent:
            return Descent(Objective(network, variables, recipe.label_smoothing, class_weights), optimizer)

        self._graph = graph(descent)

    def begin_epoch(self, epoch: int) -> None:
        """Set the image size and the trained variables of the following steps to those of an epoch, counted from 0."""
        self._graph.begin_epoch(epoch)

    def __call__(self, batch: Batch, learning_rate: float) -> StepResult:
        """Run one step on a batch at a learning rate."""
        self._optimizer.learning_rate = learning_rate
        loss, correct = self._graph(batch)
        return StepResult(float(loss), int(correct))


class TrainingStep(DescentStep):
    """Step on images.

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
        super().__init__(
            network, recipe, optimizer, class_weights, lambda work: PixelGraph(network, recipe, full_size, work)
        )


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
