"""The drawings of a report page: whether confidence is accuracy, and what abstaining buys."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from saccade.evaluation.metrics import CALIBRATION_BINS, wilson_interval
from saccade.plotting.figure import new_figure

_COLOR = "#3b82d6"
_FEWEST_PREDICTED = 20


def draw_reliability(confidences: NDArray[np.floating], correct: NDArray[np.bool_]) -> Figure:
    """Draws the accuracy of the answers of each confidence, with 95% Wilson intervals, beside what it should be.

    Args:
        confidences: float [n], the probability of each answer.
        correct: bool [n], whether it is right.
    """
    figure = new_figure(4.6, 4.2)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="gray", linestyle="--", linewidth=1)
    bins = np.digitize(confidences, np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS, right=True)
    for number in np.unique(bins):
        own = bins == number
        low, high = wilson_interval(int(correct[own].sum()), int(own.sum()))
        at, accuracy = float(confidences[own].mean()), float(correct[own].mean())
        axes.errorbar(
            at, accuracy, yerr=[[accuracy - low], [high - accuracy]],
            marker="o", markersize=4, color=_COLOR, capsize=2, linewidth=1,
        )  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy", title="is confidence accuracy?")
    axes.grid(alpha=0.3)
    return figure


def draw_coverage(confidences: NDArray[np.floating], correct: NDArray[np.bool_]) -> Figure:
    """Draws how accurate the answers are when only the most confident part of the images is answered.

    Args:
        confidences: float [n], the probability of each answer.
        correct: bool [n], whether it is right.
    """
    figure = new_figure(4.6, 4.2)
    axes = figure.add_subplot()
    order = np.argsort(-confidences, kind="stable")
    predicted = np.arange(1, len(order) + 1)
    accuracy = np.cumsum(correct[order]) / predicted
    # Of the first few the accuracy says nothing yet; of tens of thousands not every point is needed.
    shown = np.unique(np.linspace(min(_FEWEST_PREDICTED, len(order)) - 1, len(order) - 1, 300).astype(int))
    axes.plot(predicted[shown] / len(order), accuracy[shown], color=_COLOR)
    axes.set(xlim=(0, 1), xlabel="part of the images answered", ylabel="accuracy of the answers")
    axes.set_title("what saying “abstained” buys")
    axes.set_ylim(top=1.0)
    axes.grid(alpha=0.3)
    return figure
