"""Network with one convolution of the recipe `quick`."""

from __future__ import annotations

import keras
from keras import layers

MINIMUM_SIZE = 2
ANY_SIZE = False


def dense_weights(height: int, width: int) -> int:
    """Return the number of weights of the first dense layer, which has most of the weights."""
    return (height // 2) * (width // 2) * 32 * 1024


def build(height: int, width: int, classes: int) -> keras.Model:
    """Build Conv3x3 of 32 channels - BN - MaxPool, then a dense layer of 1024.

    Args:
        height: height of the images, in pixels.
        width: width of the images, in pixels.
        classes: number of classes.

    Returns:
        Model from pixels 0 to 255, [n, height, width, 3], to logits [n, classes].
    """
    inputs = x = keras.Input((height, width, 3), name="pixels")
    x = layers.Rescaling(1 / 255, name="rescaling")(x)
    x = layers.Conv2D(32, 3, padding="same", activation="relu", name="conv")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.MaxPooling2D(name="pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(1024, activation="relu", name="dense")(x)
    x = layers.Dropout(0.2, name="dropout")(x)
    x = layers.Dense(classes, name="classes")(x)
    return keras.Model(inputs, x, name="quick")
