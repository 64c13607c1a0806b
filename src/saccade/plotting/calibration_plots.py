"""Plots of confidence against accuracy: the reliability diagram and the accuracy-coverage curve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from saccade.plotting.figure import new_figure

_COLOR = "#3b82d6"
# The accuracy of fewer predictions is mostly noise, and a curve needs no more than 300 points.
_MIN_PREDICTIONS = 20
_POINTS = 300


def draw_reliability(bins: Sequence[tuple[float, float, tuple[float, float]]]) -> Figure:
    """Draw a reliability diagram: accuracy against confidence, and the diagonal of perfect calibration.

    Args:
        bins: bins of confidence: mean confidence, accuracy, and the 95% interval of the accuracy.
    """
    figure = new_figure(4.6, 4.2)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="gray", linestyle="--", linewidth=1)
    for confidence, accuracy, (low, high) in bins:
        axes.errorbar(
            confidence, accuracy, yerr=[[accuracy - low], [high - accuracy]],
            marker="o", markersize=4, color=_COLOR, capsize=2, linewidth=1,
        )  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy", title="reliability diagram")
    axes.grid(alpha=0.3)
    return figure


def draw_coverage(confidences: NDArray[np.floating], correct: NDArray[np.bool_]) -> Figure:
    """Draw the accuracy-coverage curve: accuracy on the most confident predictions by coverage.

    Args:
        confidences: confidences of the predictions, float [n], 0 to 1.
        correct: correct predictions, bool [n].
    """
    figure = new_figure(4.6, 4.2)
    axes = figure.add_subplot()
    order = np.argsort(-confidences, kind="stable")
    predicted = np.arange(1, len(order) + 1)
    accuracy = np.cumsum(correct[order]) / predicted
    first = min(_MIN_PREDICTIONS, len(order)) - 1
    drawn = np.unique(np.linspace(first, len(order) - 1, _POINTS).astype(int))
    axes.plot(predicted[drawn] / len(order), accuracy[drawn], color=_COLOR)
    axes.set(xlim=(0, 1), xlabel="coverage: fraction of images not abstained on", ylabel="accuracy on these images")
    axes.set_title("accuracy-coverage curve")
    axes.set_ylim(top=1.0)
    axes.grid(alpha=0.3)
    return figure
