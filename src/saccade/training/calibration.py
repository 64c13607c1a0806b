"""Temperature scaling: the division of a network's logits by a temperature that is fitted on validation images.

Source: C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On calibration of modern neural networks", ICML 2017. Temperature
scaling leaves the predicted classes unchanged and brings confidence close to accuracy.

If all predictions for the validation images are correct, the log-loss alone has no minimum: the lower the temperature,
the lower the log-loss, and the network becomes certain of everything. So Jeffreys' prior is added, which is the square
root of the Fisher information: D. Firth, "Bias reduction of maximum likelihood estimates", Biometrika 80, 1993; for
data without errors: G. Heinze, M. Schemper, "A solution to the problem of separation in logistic regression",
Statistics in Medicine 21, 2002. For n equally confident, correct predictions the confidence becomes
(n + 1/2) / (n + 1), as if half an image more had been predicted correctly and half an image incorrectly.

J. Platt's smoothed targets ("Probabilistic outputs for support vector machines", 1999) serve the same purpose, but
they spread the imagined errors over all images, and errors of the most confident predictions are costly: on simulated
predictions, 99% of them correct, they multiplied the temperature of 1,000 images by 3.6. The Fisher information is
largest for the doubtful predictions, where the real errors are: there Jeffreys' prior multiplied it by 1.04.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saccade.runs.records import Calibration

# Bounds of the temperature. A minimum outside them means that the validation split is too small.
_LOWEST, _HIGHEST = 0.25, 10.0
_GRID = 16
# Close to the smallest normal float32: smaller probabilities are not represented exactly.
_SMALLEST_PROBABILITY = 1e-37


def fit_temperature(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> Calibration:
    """Fit the temperature that maximizes the likelihood of the labels times Jeffreys' prior.

    Args:
        labels: true classes, int64 [n], n at least 1.
        probabilities: class probabilities of the uncalibrated network, float32 [n, classes].

    Returns:
        The temperature, from 0.25 to 10, with the log-loss before and after calibration, in nats. If few predictions
        are incorrect, the log-loss on these images may be higher after calibration: it is lower on other images.
    """
    from scipy.optimize import minimize_scalar  # it takes half a second to load, and a training begins without it

    logits = _logits(probabilities)

    def penalized(log_temperature: float) -> float:
        inverse = np.exp(-log_temperature)
        return _log_loss(labels, logits * inverse) - 0.5 * _log_information(logits, inverse) / len(labels)

    # With few images there may be more than one minimum: a grid finds the lowest one.
    grid = np.linspace(np.log(_LOWEST), np.log(_HIGHEST), _GRID)
    lowest = int(np.argmin([penalized(log_temperature) for log_temperature in grid]))
    bounds = grid[max(lowest - 1, 0)], grid[min(lowest + 1, _GRID - 1)]
    minimum = minimize_scalar(penalized, bounds=bounds, method="bounded")
    temperature = float(np.exp(minimum.x)) if minimum.fun < penalized(0.0) else 1.0
    return Calibration(
        temperature=temperature,
        num_images=len(labels),
        log_loss_before=_log_loss(labels, logits),
        log_loss_after=_log_loss(labels, logits / temperature),
    )


def at_temperature(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Return class probabilities, float32 [n, classes], after division of their logits by a temperature."""
    return np.asarray(_softmax(_logits(probabilities) / temperature), np.float32)


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import softmax

    return np.asarray(softmax(logits, axis=1))


def _logits(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return logits, float64 [n, classes], whose softmax gives the probabilities."""
    return np.log(np.maximum(probabilities.astype(np.float64), _SMALLEST_PROBABILITY))


def _log_loss(labels: NDArray[np.int64], logits: NDArray[np.float64]) -> float:
    highest = logits.max(axis=1, keepdims=True)
    normalizers = highest[:, 0] + np.log(np.exp(logits - highest).sum(axis=1))
    return float((normalizers - logits[np.arange(len(labels)), labels]).mean())


def _log_information(logits: NDArray[np.float64], inverse: float) -> float:
    """Return the logarithm of the Fisher information of the images about the inverse of the temperature.

    The information of an image is the variance of its logits under its own class probabilities.

    Args:
        logits: logits at temperature 1, float64 [n, classes].
        inverse: 1 / temperature.
    """
    below = logits - logits.max(axis=1, keepdims=True)  # without it the variance would be a difference of large numbers
    probabilities = _softmax(below * inverse)
    mean = (probabilities * below).sum(axis=1)
    information = (probabilities * below**2).sum() - (mean**2).sum()
    return float(np.log(max(information, np.finfo(np.float64).tiny)))  # 0 if all classes are equally probable
