"""Plot of a robustness measurement: one panel per corruption, and a panel of the mean over the corruptions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from saccade.plotting.figure import new_figure

_COLOR = "#0072b2"
_MEAN_COLOR = "#d55e00"


def draw_robustness(
    title: str, names: Sequence[str], accuracies: NDArray[np.float64], intervals: NDArray[np.float64]
) -> Figure:
    """Draw accuracy against corruption strength, with 95% intervals.

    Args:
        title: title of the figure.
        names: names of the seven corruptions.
        accuracies: accuracies at the strengths 0 (the unchanged images) to 5, float64 [7, 6], 0 to 1.
        intervals: lower and upper ends of the 95% intervals of the accuracies, float64 [7, 6, 2].
    """
    figure = new_figure(12, 6)
    figure.suptitle(title, parse_math=False)
    panels = figure.subplots(2, 4, sharex=True, sharey=True).ravel()
    strengths = np.arange(accuracies.shape[1])
    for axes, name, curve, interval in zip(panels, names, accuracies, intervals, strict=False):
        _draw_curve(axes, name, curve, _COLOR)
        axes.fill_between(strengths, *interval.T, color=_COLOR, alpha=0.2, linewidth=0)
    _draw_curve(panels[-1], f"mean: {accuracies[:, 1:].mean():.1%}", accuracies.mean(axis=0), _MEAN_COLOR)
    for axes in panels:
        axes.axhline(accuracies[0, 0], color="gray", linestyle="--", linewidth=0.8)
    figure.supxlabel("corruption strength; 0 (dashed line): unchanged images")
    figure.supylabel("accuracy, with its 95% interval")
    return figure


def _draw_curve(axes: Axes, name: str, accuracies: NDArray[np.float64], color: str) -> None:
    strengths = np.arange(len(accuracies))
    axes.plot(strengths, accuracies, marker="o", markersize=4, color=color)
    axes.set_title(name, fontsize=11)
    axes.set_xticks(strengths)
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(alpha=0.3)
