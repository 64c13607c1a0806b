"""ImageNet weights of EfficientNet-Lite0 in the file formats of the peers of `photo_peers.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saccade.atomic_io import atomic_write, write_arrays
from saccade.models.networks.efficientnet_lite import STAGES, build
from saccade.models.pretrained.imagenet import imagenet_weights
from saccade.models.weights import assign

TIMM_FILE, KERAS_FILE = "tf_efficientnet_lite0.safetensors", "efficientnet_lite0.keras"
_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def write_weights(folder: Path) -> None:
    """Write the weights as a file for timm's `tf_efficientnet_lite0` and as a Keras model, where missing.

    Both have the head of the 1,000 classes of ImageNet. The kernels are those of this package, rounded to float16.
    """
    if not (folder / TIMM_FILE).exists():
        write_arrays(folder / TIMM_FILE, timm_state())
    if not (folder / KERAS_FILE).exists():
        network = build(224, 224, 1000)
        assign(network, imagenet_weights())
        with atomic_write(folder / KERAS_FILE) as temporary:
            network.save(temporary)


def timm_state() -> dict[str, NDArray[np.float32]]:
    """Return the weights by the names of timm's state dictionary, in PyTorch's order of axes."""
    weights = imagenet_weights()
    state = {"classifier.weight": weights["classes/kernel"].T, "classifier.bias": weights["classes/bias"]}
    for layer, convolution, norm in _layers():
        depthwise = layer.endswith("depthwise")
        kernel = weights[f"{layer}/kernel" if depthwise else f"{layer}_conv/kernel"]
        # Keras: [height, width, input, output], and of a depthwise convolution [height, width, channels, 1].
        state[f"{convolution}.weight"] = kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(3, 2, 0, 1)
        for variable, name in _NORM.items():
            state[f"{norm}.{name}"] = weights[f"{layer}_norm/{variable}"]
    return state


def _layers() -> Iterator[tuple[str, str, str]]:
    """Yield Saccade's name of each convolution, timm's name, and timm's name of the batch normalization after it."""
    yield "stem", "conv_stem", "bn1"
    number = 0
    for stage, (repeats, _, _, expansion, _) in enumerate(STAGES):
        for repeat in range(repeats):
            number += 1
            parts = [("expand", "conv_pw"), ("depthwise", "conv_dw"), ("project", "conv_pwl")]
            if expansion == 1:
                parts = [("depthwise", "conv_dw"), ("project", "conv_pw")]
            for position, (part, convolution) in enumerate(parts, start=1):
                block = f"blocks.{stage}.{repeat}"
                yield f"block{number}_{part}", f"{block}.{convolution}", f"{block}.bn{position}"
    yield "top", "conv_head", "bn2"
