"""Choice between the fitted head alone and the fine-tuned network, by the log-loss on validation images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saccade.training.calibration import at_temperature, fit_temperature


def fine_tuning_helped(
    labels: NDArray[np.int64], head_alone: NDArray[np.float32], finetuned: NDArray[np.float32]
) -> bool:
    """Return whether the log-loss of the fine-tuned network is at most a standard error above that of the head alone.

    Both are compared at their own fitted temperature, because a training with label smoothing is underconfident until
    it is calibrated. The standard error is that of the mean of the paired differences. Within it the fine-tuned network
    is kept, since it mostly is the better one on test images (docs/performance.md, "Fine-tuning on photographs").

    Args:
        labels: true classes, int64 [n], n at least 1.
        head_alone: class probabilities by the fitted head on the pretrained network, float32 [n, classes].
        finetuned: class probabilities by the fine-tuned network, float32 [n, classes].
    """
    worse = _log_losses(labels, finetuned) - _log_losses(labels, head_alone)
    standard_error = worse.std(ddof=1) / np.sqrt(len(worse)) if len(worse) > 1 else 0.0
    return bool(worse.mean() <= standard_error)


def _log_losses(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the log-loss of each image at the fitted temperature, in nats, float64 [n]."""
    calibrated = at_temperature(probabilities, fit_temperature(labels, probabilities).temperature)
    true_class = calibrated[np.arange(len(labels)), labels].astype(np.float64)
    return -np.log(np.maximum(true_class, 1e-7))
