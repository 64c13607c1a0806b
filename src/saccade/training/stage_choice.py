"""Choice between the fitted head alone and the fine-tuned network, by the log-loss on validation images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saccade.training.calibration import at_temperature, fit_temperature


def fine_tuning_helped(
    labels: NDArray[np.int64], head_alone: NDArray[np.float32], finetuned: NDArray[np.float32]
) -> bool:
    """Return whether the log-loss of the fine-tuned network is at most that of the head alone.

    Both are compared at their own fitted temperature, because a training with label smoothing is underconfident until
    it is calibrated. The averages of the two networks' weights are worse than the better of the two, and the average of
    their probabilities would need both networks (docs/performance.md, "Fine-tuning on photographs").

    Args:
        labels: true classes, int64 [n], n at least 1.
        head_alone: class probabilities by the fitted head on the pretrained network, float32 [n, classes].
        finetuned: class probabilities by the fine-tuned network, float32 [n, classes].
    """
    return _log_loss(labels, finetuned) <= _log_loss(labels, head_alone)


def _log_loss(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    """Return the mean log-loss at the fitted temperature, in nats."""
    calibrated = at_temperature(probabilities, fit_temperature(labels, probabilities).temperature)
    true_class = calibrated[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(true_class, 1e-7)).mean())
