"""Temperature scaling: division of a network's logits by a constant, without a layer for it."""

from __future__ import annotations

import keras
import numpy as np

from saccade.models.head import head_of


def divide_logits(model: keras.Model, temperature: float) -> None:
    """Divide the logits of a probability model by a temperature, greater than 0.

    The kernel and bias of the head are divided by the temperature. This divides the logits, because only constant
    factors, the average over views and the final softmax follow the head.
    """
    if temperature == 1:
        return
    head = head_of(model)
    head.set_weights([np.float32(weight / temperature) for weight in head.get_weights()])
