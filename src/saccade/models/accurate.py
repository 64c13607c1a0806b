"""The network of the recipe `accurate`: that of `fast` with as many channels as airbench95 (Keller Jordan, 2024)."""

from __future__ import annotations

import keras

from saccade.models.fast import (
    ANY_SIZE,
    EARLY_LAYERS,
    GIVES_LOGITS,
    MINIMUM_SIZE,
    build_of_width,
    dense_weights,
    initialise,
)

__all__ = ["ANY_SIZE", "EARLY_LAYERS", "GIVES_LOGITS", "MINIMUM_SIZE", "build", "dense_weights", "initialise"]

CHANNELS = (128, 384, 384)


def build(height: int | None, width: int | None, classes: int) -> keras.Model:
    """Whitening 2x2 - 3 x [Conv3x3 - MaxPool - BN - SiLU - Conv3x3 - BN - SiLU] - GlobalMaxPool - Dense.

    Args:
        height: of the pictures, in pixels; None: any.
        width: of the pictures, in pixels; None: any.
        classes: number of classes.

    Returns:
        A model from pixels 0 to 255, [n, height, width, 3], to logits [n, classes], as `fast`'s.
    """
    return build_of_width(height, width, classes, CHANNELS, "accurate")
