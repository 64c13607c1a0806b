"""ImageNet weights of EfficientNet-Lite0, from a file of this package.

`tools/convert_efficientnet_lite0.py` wrote the file. NOTICE names the origin of the weights.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

NETWORK: Literal["EfficientNetLite0"] = "EfficientNetLite0"
"""Name of the network, in recipes."""

FILE = "efficientnet_lite0.safetensors"
"""Name of the file in this package: kernels in float16, batch normalization in float32."""


@cache
def imagenet_weights() -> dict[str, NDArray[np.float32]]:
    """Return the weights by `layer/variable`, float32, including the head of the 1,000 classes of ImageNet."""
    contents = files(__package__).joinpath(FILE).read_bytes()
    return {name: weight.astype(np.float32) for name, weight in load(contents).items()}
