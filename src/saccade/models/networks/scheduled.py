"""Small network of the recipe `scheduled`."""

from __future__ import annotations

import keras
from keras import layers

MINIMUM_SIZE = 18
ANY_SIZE = False


def dense_weights(height: int, width: int) -> int:
    """Return the number of weights of the first dense layer, which has most of the weights."""
    rows, columns = (((side - 2) // 2 - 2) // 2 - 2 for side in (height, width))
    return rows * columns * 64 * 64


def build(height: int, width: int, classes: int) -> keras.Model:
    """Build Conv 32 - BN - Pool - Conv 64 - BN - Pool - Conv 64 - BN, `valid` padding, then a dense layer of 64, BN.

    Dropout stands before the last dense layer; in the tutorial of this network it stands after it, on the logits.

    Args:
        height: height of the images, in pixels.
        width: width of the images, in pixels.
        classes: number of classes.

    Returns:
        Model from pixels 0 to 255, [n, height, width, 3], to logits [n, classes].
    """
    inputs = x = keras.Input((height, width, 3), name="pixels")
    x = layers.Rescaling(1 / 255, name="rescaling")(x)
    for block, channels in enumerate((32, 64, 64), start=1):
        x = layers.Conv2D(channels, 3, activation="relu", name=f"conv{block}")(x)
        x = layers.BatchNormalization(name=f"norm{block}")(x)
        if block < 3:
            x = layers.MaxPooling2D(name=f"pool{block}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(64, activation="relu", name="dense")(x)
    x = layers.BatchNormalization(name="norm4")(x)
    x = layers.Dropout(0.25, name="dropout")(x)
    x = layers.Dense(classes, name="logits")(x)
    return keras.Model(inputs, x, name="scheduled")
