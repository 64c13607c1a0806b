"""The optimizer that a recipe asks for."""

from __future__ import annotations

import keras

from saccade.recipes import Recipe
from saccade.training.optimizers.muon import Muon

# For the head and for the offsets of normalization, per image in a batch: airbench94_muon's rates, which multiply the
# gradient of a summed loss. Its head is divided by the number of channels, 256, where ours starts small. Offsets move
# fast on purpose.
_HEAD_RATE = 0.67 / 256**2
_OFFSET_RATE = 0.053
_BIAS_STEP = 0.1
# What each step takes off them, per image in a batch.
_WEIGHT_DECAY = 2e-6


def build_optimizer(recipe: Recipe, batch_size: int) -> keras.optimizers.Optimizer:
    """Adam (Kingma & Ba 2015), or Muon for kernels of convolutions with Nesterov's momentum for the rest.

    Args:
        recipe: its optimizer and learning rate.
        batch_size: images in a step of this training.
    """
    if recipe.optimizer == "adam":
        return keras.optimizers.Adam(recipe.learning_rate)
    return Muon(
        recipe.learning_rate,
        bias_learning_rate=_BIAS_STEP,
        head_learning_rate=_HEAD_RATE * batch_size,
        # In smaller batches the offsets would run away: with batches of 25 every unit of a network soon was dead.
        offset_learning_rate=_OFFSET_RATE * batch_size * min(1.0, batch_size / 500) ** 2,
        weight_decay=_WEIGHT_DECAY * batch_size,
    )
