"""Balanced class weights, for the loss and for the fit of a linear head."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Split


def balanced_class_weights(training: Split, classes: int) -> NDArray[np.float32]:
    """Return class weights, float32 [classes].

    The weights are inversely proportional to the number of training images of each class, and their mean over the
    training images is 1: scikit-learn's `class_weight="balanced"`.
    """
    counts = np.bincount(training.labels, minlength=classes)
    return (len(training) / (classes * np.maximum(counts, 1))).astype(np.float32)
