"""Temperature: dividing a network's logits by a number, without a layer for it."""

from __future__ import annotations

import keras
import numpy as np

from saccade.models.head import head_of


def divide_logits(model: keras.Model, temperature: float) -> None:
    """Divides the logits of a probability model by a temperature, greater than 0.

    Every family gives logits by a dense layer, after which come nothing but constant factors, the average over views
    and one softmax at the end: the kernel and bias of the dense layer divided by the temperature divide the logits.
    """
    if temperature == 1:
        return
    head = head_of(model)
    head.set_weights([np.float32(weight / temperature) for weight in head.get_weights()])
