"""Statistics of an image for its out-of-distribution (OOD) p-value, `saccade.runs.ood_p_value`.

For a network with pretrained features, the statistics are the features in front of the head. For other networks they
are early statistics: mean and log standard deviation of each channel at half and at a quarter of the image size.
"""

from __future__ import annotations

import math

import keras
import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Split
from saccade.models.batched_inference import image_batches
from saccade.models.head import without_head
from saccade.models.layer_outputs import inner_network, layer_outputs, resize_to_network
from saccade.models.pretrained.imagenet import NETWORK
from saccade.recipes import NetworkName

_HALVINGS = (1, 2)
# Added to standard deviations of activations before the logarithm.
_MIN_DEVIATION = 1e-2


def has_pretrained_features(network: NetworkName) -> bool:
    """Return whether the features in front of the head of a network are the statistics for the OOD p-value."""
    return network == NETWORK


class OodStatistics:
    """Statistics of an image for its OOD p-value.

    Args:
        model: model from `build_probability_model`.
        network: name of the network.
    """

    def __init__(self, model: keras.Model, network: NetworkName) -> None:
        self._network = inner_network(model)
        self._cut = without_head(model) if has_pretrained_features(network) else self._early_statistics()

    def _early_statistics(self) -> keras.Model:
        pixels, *others = layer_outputs(self._network)
        side = max(self._network.input_shape[1:3])
        # The last output at the size of the image, at half the size, at a quarter, and so on, apart from borders.
        last = {
            round(math.log2(side / max(output.shape[1:3]))): output for _, _, output in others if len(output.shape) == 4
        }
        stages = [last[halvings] for halvings in _HALVINGS if halvings in last] or list(last.values())
        statistics = []
        for stage in stages:
            statistics.append(keras.ops.mean(stage, axis=(1, 2)))
            statistics.append(keras.ops.log(keras.ops.std(stage, axis=(1, 2)) + _MIN_DEVIATION))
        return keras.Model(pixels[2], keras.ops.concatenate(statistics, axis=1))

    @property
    def size(self) -> int:
        """Number of statistics of an image, d."""
        return int(self._cut.output_shape[1])

    def __call__(self, images: Split | NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the statistics of n images, a split or an array of shape [n, height, width, 3]: float32 [n, d]."""
        _, height, width, _ = self._network.input_shape
        parts = [
            self._cut.predict_on_batch(resize_to_network(self._network, pixels))
            for _, pixels in image_batches(images, height, width)
        ]
        return np.concatenate(parts) if parts else np.empty((0, self.size), np.float32)
