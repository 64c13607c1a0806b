"""The optimizer that a recipe asks for."""

from __future__ import annotations

import keras

from saccade.recipes import Recipe
from saccade.training.muon import Muon

# Beside Muon at learning rate 1: the rates of the head and of the biases, per picture in a batch, and what each step
# takes off them. Tuned on validation data of CIFAR-10 with batches of 500.
_HEAD_RATE = 0.67 / 81 / 2000
_BIAS_RATE = 0.053 / 2000
_WEIGHT_DECAY = 2e-6


def build_optimizer(recipe: Recipe, batch_size: int) -> keras.optimizers.Optimizer:
    """Adam (Kingma & Ba 2015), or Muon for kernels of convolutions with Nesterov's momentum for the rest.

    Args:
        recipe: its optimizer and learning rate.
        batch_size: pictures in a step of this training.
    """
    if recipe.optimizer == "adam":
        return keras.optimizers.Adam(recipe.learning_rate)
    return Muon(
        recipe.learning_rate,
        head_learning_rate=_HEAD_RATE * batch_size,
        bias_learning_rate=_BIAS_RATE * batch_size,
        weight_decay=_WEIGHT_DECAY * batch_size,
    )
