"""The moving averages of batch normalization, taken anew from a network that stands still.

A moving average runs behind a network that learns: with Keras's momentum of 0.99 it is one of the last few hundred
steps, in which the network was another one; docs/performance.md tells what that costs. So the averages are taken over
some batches again, without learning (Wu and Johnson, "Rethinking 'Batch' in BatchNorm", 2021, section 3).
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


class FreshStatistics:
    """Takes the moving averages of the normalization layers of a network anew, except of frozen layers.

    Args:
        network: the training model; nothing of it is changed but these averages, and the random state of dropout.
        recipe: says from how many batches, if at all, and at which size images are seen.
    """

    def __init__(self, network: keras.Model, recipe: Recipe) -> None:
        self._network, self._recipe = network, recipe
        # A frozen layer goes by the averages that it has: a pass as in training would not fill them again.
        self._layers = [
            layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
        ]
        self._compiled: tuple[tuple[int, int], Callable[..., Any]] | None = None

    def __call__(self, training: Split, epoch: int) -> None:
        """Does it after an epoch, counted from 0, on training images drawn by seed and epoch, not augmented."""
        if not self._layers or not self._recipe.batchnorm_recalibration_batches:
            return
        batch_size = self._recipe.batch_size_for(len(training))
        chosen = make_rng(self._recipe.seed, epoch, "statistics").permutation(len(training))
        # Of a smaller batch at the end, the statistics would count as much as those of a whole one.
        batches = min(self._recipe.batchnorm_recalibration_batches, max(1, len(training) // batch_size))
        full_size = training.store.shape[1:3]
        forward = self._forward(full_size, self._recipe.training_size(epoch, *full_size))
        averages = [average for layer in self._layers for average in (layer.moving_mean, layer.moving_variance)]
        for average in averages:
            average.assign(keras.ops.zeros_like(average))
        for start in range(0, batches * batch_size, batch_size):
            forward(training.take(chosen[start : start + batch_size]))
        # What a moving average that begins at 0 lacks of the mean of as many values, as in Adam's moments.
        for layer in self._layers:
            missing = 1 - layer.momentum**batches
            layer.moving_mean.assign(layer.moving_mean / missing)
            layer.moving_variance.assign(layer.moving_variance / missing)

    def _forward(self, full_size: tuple[int, ...], size: tuple[int, int]) -> Callable[..., Any]:
        """A pass through the network as in training, as a graph, traced once for a size of images."""
        if self._compiled is None or self._compiled[0] != size:
            resizing = AffineResize(*size, integer_translate=self._recipe.integer_translate, rotates=False)
            signature = [tf.TensorSpec((None, *full_size, 3), tf.uint8)]

            def forward(images: Any) -> None:
                self._network(resizing((images,)), training=True)

            self._compiled = size, tf.function(forward, input_signature=signature, autograph=False)
        return self._compiled[1]
