"""EfficientNet-Lite0: depthwise-separable network for small processors, with ImageNet weights in this package.

Source: M. Tan and Q. Le, "EfficientNet: Rethinking model scaling for convolutional neural networks", ICML 2019, in the
variant "lite0" of TensorFlow's TPU repository: no squeeze-and-excitation, ReLU6 in place of SiLU, so that 8-bit
integers represent its activations well.
"""

from __future__ import annotations

import keras
from keras import layers

MINIMUM_SIZE = 32
ANY_SIZE = False
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Stages: number of blocks, side of the depthwise kernel, stride of the first block, expansion, output channels."""

_EPSILON = 1e-3


def dense_weights(height: int, width: int) -> int:  # noqa: ARG001 - interface of all families
    """Return 0: the size of no dense layer depends on the image size."""
    return 0


def build(height: int | None, width: int | None, classes: int) -> keras.Model:
    """Build the stem, 16 inverted residual blocks, Conv1x1 of 1,280 channels, GlobalAveragePool and Dense.

    Args:
        height: height of the images, in pixels.
        width: width of the images, in pixels.
        classes: number of classes.

    Returns:
        Model from pixels 0 to 255, [n, height, width, 3], to logits [n, classes], of stock Keras layers.
    """
    pixels = keras.Input((height, width, 3), name="pixels")
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="rescaling")(pixels)
    x = _conv(x, 32, 3, "stem", strides=2)
    number = 0
    for repeats, kernel, stride, expansion, channels in STAGES:
        for repeat in range(repeats):
            number += 1
            x = _block(x, channels, kernel, stride if repeat == 0 else 1, expansion, f"block{number}")
    x = _conv(x, 1280, 1, "top")
    x = layers.GlobalAveragePooling2D(name="average_pool")(x)
    return keras.Model(pixels, layers.Dense(classes, name="classes")(x), name="EfficientNetLite0")


def _block(
    x: keras.KerasTensor, channels: int, kernel: int, stride: int, expansion: int, name: str
) -> keras.KerasTensor:  # fmt: skip
    """Add an inverted residual block: expansion, depthwise convolution, projection, and a shortcut where shapes agree.

    Source: M. Sandler et al., "MobileNetV2: Inverted residuals and linear bottlenecks", CVPR 2018.
    """
    inputs = x
    if expansion > 1:
        x = _conv(x, expansion * x.shape[-1], 1, f"{name}_expand")
    x = layers.DepthwiseConv2D(kernel, stride, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    x = _normalized(x, f"{name}_depthwise")
    x = _conv(x, channels, 1, f"{name}_project", rectified=False)
    if stride == 1 and inputs.shape[-1] == channels:
        x = layers.Add(name=f"{name}_add")([x, inputs])
    return x


def _conv(
    x: keras.KerasTensor, channels: int, kernel: int, name: str, *, strides: int = 1, rectified: bool = True
) -> keras.KerasTensor:
    x = layers.Conv2D(channels, kernel, strides, padding="same", use_bias=False, name=f"{name}_conv")(x)
    return _normalized(x, name, rectified=rectified)


def _normalized(x: keras.KerasTensor, name: str, *, rectified: bool = True) -> keras.KerasTensor:
    x = layers.BatchNormalization(epsilon=_EPSILON, name=f"{name}_norm")(x)
    return layers.ReLU(max_value=6, name=f"{name}_relu6")(x) if rectified else x
