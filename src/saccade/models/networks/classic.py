"""Three-block network of the recipes `classic` and `two-phase`."""

from __future__ import annotations

import keras
from keras import layers

MINIMUM_SIZE = 8
ANY_SIZE = False


def dense_weights(height: int, width: int) -> int:
    """Return the number of weights of the first dense layer, which has most of the weights."""
    return (height // 8) * (width // 8) * 128 * 1024


def build(height: int, width: int, classes: int) -> keras.Model:
    """Build 3 x [Conv3x3 - BN - Conv3x3 - BN - MaxPool] of 32, 64, 128 channels, then a dense layer of 1024.

    Args:
        height: height of the images, in pixels.
        width: width of the images, in pixels.
        classes: number of classes.

    Returns:
        Model from pixels 0 to 255, [n, height, width, 3], to logits [n, classes].
    """
    inputs = x = keras.Input((height, width, 3), name="pixels")
    x = layers.Rescaling(1 / 255, name="rescaling")(x)
    for block, channels in enumerate((32, 64, 128), start=1):
        for half in "ab":
            name = f"{block}{half}"
            x = layers.Conv2D(channels, 3, padding="same", activation="relu", name=f"conv{name}")(x)
            x = layers.BatchNormalization(name=f"norm{name}")(x)
        x = layers.MaxPooling2D(name=f"pool{block}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dropout(0.2, name="dropout1")(x)
    x = layers.Dense(1024, activation="relu", name="dense")(x)
    x = layers.Dropout(0.2, name="dropout2")(x)
    x = layers.Dense(classes, name="classes")(x)
    return keras.Model(inputs, x, name="classic")
