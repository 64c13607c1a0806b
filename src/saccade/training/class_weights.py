"""Balanced class weights, for the loss and for the fit of a linear head."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Split
from saccade.runs.run import Run


def balanced_class_weights(training: Split, run: Run) -> NDArray[np.float32] | None:
    """Return class weights, float32 [classes], or None if the recipe uses none.

    The weights are inversely proportional to the number of training images of each class, and their mean over the
    training images is 1: scikit-learn's `class_weight="balanced"`.
    """
    if not run.recipe.class_weights:
        return None
    counts = np.bincount(training.labels, minlength=len(run.class_names))
    return (len(training) / (len(counts) * np.maximum(counts, 1))).astype(np.float32)
