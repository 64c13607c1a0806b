"""Network of the recipes `fast` and `accurate`: a whitening stem and six convolutions.

The architecture is that of airbench94 (Keller Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024), which
is based on hlb-CIFAR10 (tysam-code, 2023) and on David Page's "How to Train Your ResNet" (2019).
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from saccade.models.networks.whitening import whitening_filters

MINIMUM_SIZE = 12
ANY_SIZE = True
# The gradient of the stem's biases is computed on the largest feature maps: its time pays in the first epochs only.
EARLY_LAYERS = ("stem",)

CHANNELS = (64, 256, 256)
_PATCH = 2
# The head starts with small weights, so that the first steps change mainly the convolutions.
_HEAD_SCALE = 1 / 9


def dense_weights(height: int, width: int) -> int:  # noqa: ARG001 - interface of all families
    """Return 0: the only dense layer is the head, whose size does not depend on the image size."""
    return 0


def build(height: int | None, width: int | None, classes: int) -> keras.Model:
    """Build Whitening 2x2 - 3 x [Conv3x3 - MaxPool - BN - SiLU - Conv3x3 - BN - SiLU] - GlobalMaxPool - Dense.

    Args:
        height: height of the images, in pixels; None: any.
        width: width of the images, in pixels; None: any.
        classes: number of classes.

    Returns:
        Model from pixels 0 to 255, [n, height, width, 3], to logits [n, classes]. The kernel of its stem is frozen,
        and must be set by `initialize`.
    """
    return build_of_width(height, width, classes, CHANNELS, "fast")


def build_of_width(
    height: int | None, width: int | None, classes: int, channels: tuple[int, ...], name: str
) -> keras.Model:
    """Build the network of `build` with another name and other numbers of channels, one per block."""
    inputs = x = keras.Input((height, width, 3), name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="rescaling")(x)
    stem = layers.Conv2D(2 * 3 * _PATCH**2, _PATCH, activation="silu", name="stem")
    x = stem(x)
    stem.kernel.trainable = False
    for block, features in enumerate(channels, start=1):
        x = _convolution(x, features, f"conv{block}a")
        x = layers.MaxPooling2D(name=f"pool{block}")(x)
        x = _normalized(x, f"{block}a")
        x = _convolution(x, features, f"conv{block}b")
        x = _normalized(x, f"{block}b")
    x = layers.GlobalMaxPooling2D(name="pool")(x)
    initializer = keras.initializers.VarianceScaling(_HEAD_SCALE**2 / 3, "fan_in", "uniform")
    x = layers.Dense(classes, use_bias=False, kernel_initializer=initializer, name="classes")(x)
    return keras.Model(inputs, x, name=name)


def _convolution(x: keras.KerasTensor, channels: int, name: str) -> keras.KerasTensor:
    """Add a convolution with partial identity (Dirac) initialization: the first outputs equal the inputs."""
    uniform = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
    convolution = layers.Conv2D(channels, 3, padding="same", use_bias=False, kernel_initializer=uniform, name=name)
    y = convolution(x)
    kernel = np.array(keras.ops.convert_to_numpy(convolution.kernel))
    identities = min(kernel.shape[2:])
    kernel[:, :, :identities, :identities] = 0
    kernel[1, 1, :identities, :identities] = np.eye(identities)
    convolution.kernel.assign(kernel)
    return y


def _normalized(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    # No scale: the kernel of the next convolution can represent it. Low momentum: there are few steps to average over.
    x = layers.BatchNormalization(momentum=0.8, epsilon=1e-5, scale=False, name=f"norm{name}")(x)
    return layers.Activation("silu", name=f"silu{name}")(x)


def initialize(network: keras.Model, images: NDArray[np.uint8]) -> None:
    """Set the stem to the whitening filters of training images, uint8 [n, height, width, 3]."""
    filters, bias = whitening_filters(images, patch=_PATCH)
    network.get_layer("stem").set_weights([filters, bias])
