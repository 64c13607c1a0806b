"""Small sequential network of the recipe `folder`."""

from __future__ import annotations

import keras
from keras import layers

MINIMUM_SIZE = 8
ANY_SIZE = False


def dense_weights(height: int, width: int) -> int:
    """Return the number of weights of the first dense layer, which has most of the weights."""
    return (height // 8) * (width // 8) * 64 * 128


def build(height: int, width: int, classes: int) -> keras.Model:
    """Build Rescaling, 3 x [Conv3x3 of 16, 32, 64 channels - MaxPool], a dense layer of 128.

    Args:
        height: height of the images, in pixels.
        width: width of the images, in pixels.
        classes: number of classes.

    Returns:
        Sequential model from pixels 0 to 255, [n, height, width, 3], to logits [n, classes].
    """
    stack: list[keras.layers.Layer] = [
        keras.Input((height, width, 3), name="pixels"),
        layers.Rescaling(1 / 255, name="rescaling"),
    ]
    for block, channels in enumerate((16, 32, 64), start=1):
        stack.append(layers.Conv2D(channels, 3, padding="same", activation="relu", name=f"conv{block}"))
        stack.append(layers.MaxPooling2D(name=f"pool{block}"))
    stack.append(layers.Flatten(name="flatten"))
    stack.append(layers.Dense(128, activation="relu", name="dense"))
    stack.append(layers.Dense(classes, name="logits"))
    return keras.Sequential(stack, name="folder")
