"""How much each class counts where a recipe lets all count alike: in the loss, and where a head is fitted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Split
from saccade.runs.run import Run


def class_weights_of(training: Split, run: Run) -> NDArray[np.float32] | None:
    """Weights inverse to the frequency of each class, float32 [classes], of mean 1; None if the recipe wants none."""
    if not run.recipe.class_weights:
        return None
    counts = np.bincount(training.labels, minlength=len(run.class_names))
    return (len(training) / (len(counts) * np.maximum(counts, 1))).astype(np.float32)
