"""Temperature scaling: the division of a network's logits by a temperature that is fitted on validation images.

Source: C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On calibration of modern neural networks", ICML 2017. Temperature
scaling leaves the predicted classes unchanged and brings confidence close to accuracy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from saccade.runs.records import Calibration

# Bounds of the temperature. A minimum outside them means that the validation split is too small, or that all its
# predictions are correct.
_LOWEST, _HIGHEST = 0.25, 10.0
# Close to the smallest normal float32: smaller probabilities are not represented exactly.
_SMALLEST_PROBABILITY = 1e-37


def fit_temperature(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> Calibration:
    """Fit the temperature that minimizes the log-loss.

    Args:
        labels: true classes, int64 [n], n at least 1.
        probabilities: class probabilities of the uncalibrated network, float32 [n, classes].

    Returns:
        The temperature, from 0.25 to 10, with the log-loss before and after calibration, in nats.
    """
    logits = _logits(probabilities)

    def log_loss(log_temperature: float) -> float:
        return _log_loss(labels, logits / np.exp(log_temperature))

    minimum = minimize_scalar(log_loss, bounds=(np.log(_LOWEST), np.log(_HIGHEST)), method="bounded")
    before, after = log_loss(0.0), float(minimum.fun)
    return Calibration(
        temperature=float(np.exp(minimum.x)) if after < before else 1.0,
        num_images=len(labels),
        log_loss_before=before,
        log_loss_after=min(before, after),
    )


def at_temperature(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Return class probabilities, float32 [n, classes], after division of their logits by a temperature."""
    return np.asarray(softmax(_logits(probabilities) / temperature, axis=1), np.float32)


def _logits(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return logits, float64 [n, classes], whose softmax gives the probabilities."""
    return np.log(np.maximum(probabilities.astype(np.float64), _SMALLEST_PROBABILITY))


def _log_loss(labels: NDArray[np.int64], logits: NDArray[np.float64]) -> float:
    highest = logits.max(axis=1, keepdims=True)
    normalizers = highest[:, 0] + np.log(np.exp(logits - highest).sum(axis=1))
    return float((normalizers - logits[np.arange(len(labels)), labels]).mean())
