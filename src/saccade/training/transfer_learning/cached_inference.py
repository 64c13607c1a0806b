"""Inference on what the cache holds of the training and validation images, in place of a pass of the whole network."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Split
from saccade.training.transfer_learning.features import Features
from saccade.training.transfer_learning.pretrained import Weights


class CachedInference(Protocol):
    """Features and class probabilities of training and validation images, by named weights of the network."""

    def features(self, weights: Weights, images: Split, /) -> Features:
        """Return the features in front of the head, float32 [n, d]."""

    def probabilities(self, weights: Weights, images: Split, /) -> NDArray[np.float32]:
        """Return class probabilities, float32 [n, classes]."""
