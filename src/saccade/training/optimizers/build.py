"""Optimizer of a recipe."""

from __future__ import annotations

import keras

from saccade.recipes import Recipe
from saccade.training.optimizers.muon import Muon

# Learning rates of the head and of the offsets of batch normalization, per image in a batch: those of airbench94_muon,
# which multiply the gradient of a summed loss. airbench94_muon divides the output of its head by the number of
# channels, 256; Saccade's head has small initial weights instead. The rate of the offsets is high on purpose.
_HEAD_RATE = 0.67 / 256**2
_OFFSET_RATE = 0.053
_BIAS_STEP = 0.1
# Weight decay of head and offsets per step, per image in a batch.
_WEIGHT_DECAY = 2e-6


def build_optimizer(recipe: Recipe, batch_size: int) -> keras.optimizers.Optimizer:
    """Build Adam (Kingma & Ba 2015), AdamW (Loshchilov & Hutter 2019), or Muon with Nesterov SGD.

    Muon is for convolution kernels, and Nesterov SGD for the other variables.

    Args:
        recipe: recipe with the optimizer and the learning rate.
        batch_size: number of images in a step.
    """
    if recipe.optimizer == "adam":
        return keras.optimizers.Adam(recipe.learning_rate)
    if recipe.optimizer == "adamw":
        return keras.optimizers.AdamW(recipe.learning_rate, weight_decay=recipe.weight_decay)
    return Muon(
        recipe.learning_rate,
        bias_learning_rate=_BIAS_STEP,
        head_learning_rate=_HEAD_RATE * batch_size,
        # With a linear rate, the offsets diverge in small batches: with batches of 25 all units of a network died.
        offset_learning_rate=_OFFSET_RATE * batch_size * min(1.0, batch_size / 500) ** 2,
        weight_decay=_WEIGHT_DECAY * batch_size,
    )
