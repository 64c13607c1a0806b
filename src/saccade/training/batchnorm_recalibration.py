"""Recalibration of batch normalization: moving averages computed again with fixed weights.

During a training the moving averages lag behind the weights: with Keras's momentum of 0.99 they cover the last few
hundred steps, in which the weights changed; docs/performance.md gives the cost in accuracy. So the averages are
computed again over some batches with fixed weights (Wu and Johnson, "Rethinking 'Batch' in BatchNorm", 2021,
section 3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from saccade.augmentation.affine_resize import AffineResize
from saccade.augmentation.rng import make_rng
from saccade.data.dataset import Split
from saccade.recipes import Recipe


class BatchNormRecalibration:
    """Recalibration of the batch normalization layers of a network, except frozen layers.

    Args:
        network: training model; only the moving averages and the random state of dropout change.
        recipe: recipe with the number of batches, which may be 0, and the image sizes.
    """

    def __init__(self, network: keras.Model, recipe: Recipe) -> None:
        self._network, self._recipe = network, recipe
        # A frozen layer uses its moving averages in training mode as well, and does not update them.
        self._layers = [
            layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
        ]
        self._compiled: tuple[tuple[int, int], Callable[..., Any]] | None = None

    def __call__(self, training: Split, epoch: int) -> None:
        """Recalibrate after an epoch, counted from 0, on unaugmented training images drawn by seed and epoch."""
        if not self._layers or not self._recipe.batchnorm_recalibration_batches:
            return
        batch_size = self._recipe.batch_size_for(len(training))
        drawn = make_rng(self._recipe.seed, epoch, "statistics").permutation(len(training))
        # Full batches only: the statistics of a smaller last batch would have the same weight as those of a full one.
        batches = min(self._recipe.batchnorm_recalibration_batches, max(1, len(training) // batch_size))
        full_size = training.store.shape[1:3]
        forward = self._forward(full_size, self._recipe.training_size(epoch, *full_size))
        averages = [average for layer in self._layers for average in (layer.moving_mean, layer.moving_variance)]
        for average in averages:
            average.assign(keras.ops.zeros_like(average))
        for images in training.batches(
            drawn[start : start + batch_size] for start in range(0, batches * batch_size, batch_size)
        ):
            forward(images)
        # Bias correction of averages that begin at 0, as for the moments of Adam.
        for layer in self._layers:
            correction = 1 - layer.momentum**batches
            layer.moving_mean.assign(layer.moving_mean / correction)
            layer.moving_variance.assign(layer.moving_variance / correction)

    def _forward(self, full_size: tuple[int, ...], size: tuple[int, int]) -> Callable[..., Any]:
        """Return a compiled forward pass in training mode for images of a size."""
        if self._compiled is None or self._compiled[0] != size:
            resize = AffineResize(*size, integer_translate=self._recipe.integer_translate, rotates=False)
            signature = [tf.TensorSpec((None, *full_size, 3), tf.uint8)]

            def forward(images: Any) -> None:
                self._network(resize((images,)), training=True)

            self._compiled = size, tf.function(forward, input_signature=signature, autograph=False)
        return self._compiled[1]
