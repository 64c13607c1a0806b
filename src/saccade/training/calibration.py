"""Calibration: the temperature by which a trained network's logits are divided, so that confidence is accuracy.

Source: C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On calibration of modern neural networks", ICML 2017: a single
number, fitted on validation data, which changes no answer and makes its probability mean something.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from saccade.runs.records import Calibration

# Beyond these a validation split is so small, or the network so right on all of it, that there is nothing to fit.
_LOWEST, _HIGHEST = 0.25, 10.0
# The logarithm of less than this is no better known: float32 ends there.
_SMALLEST_PROBABILITY = 1e-37


def fit_temperature(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> Calibration:
    """The temperature that makes the log-loss of probabilities least.

    Args:
        labels: the true classes, int64 [n], n at least 1.
        probabilities: of the network as it is, float32 [n, classes].

    Returns:
        The temperature, between 0.25 and 10, with the log-loss before and after.
    """
    logits = _logarithms(probabilities)

    def log_loss(logarithm: float) -> float:
        return _log_loss(labels, logits / np.exp(logarithm))

    found = minimize_scalar(log_loss, bounds=(np.log(_LOWEST), np.log(_HIGHEST)), method="bounded")
    before, after = log_loss(0.0), float(found.fun)
    better = after < before
    return Calibration(
        temperature=float(np.exp(found.x)) if better else 1.0,
        num_images=len(labels),
        log_loss_before=before,
        log_loss_after=min(before, after),
    )


def at_temperature(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Probabilities, float32 [n, classes], as they are once their logits were divided by a temperature."""
    return np.asarray(softmax(_logarithms(probabilities) / temperature, axis=1), np.float32)


def _logarithms(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Logits that give these probabilities, float64."""
    return np.log(np.maximum(probabilities.astype(np.float64), _SMALLEST_PROBABILITY))


def _log_loss(labels: NDArray[np.int64], logits: NDArray[np.float64]) -> float:
    highest = logits.max(axis=1, keepdims=True)
    normalizers = highest[:, 0] + np.log(np.exp(logits - highest).sum(axis=1))
    return float((normalizers - logits[np.arange(len(labels)), labels]).mean())
