"""Plot of a learning curve: measured accuracies, the fitted power law and its extrapolation."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator, PercentFormatter

from saccade.experiments.learning_curve_result import MULTIPLES, LearningCurve
from saccade.experiments.power_law import Law
from saccade.plotting.figure import new_figure

# Colors of Okabe and Ito (2008), which most color-blind readers distinguish.
_MEASURED = "#0072b2"
_PREDICTED = "#d55e00"
_TESTED = "#009e73"


def draw_curve(curve: LearningCurve, law: Law) -> Figure:
    """Plot accuracy against the number of images on a logarithmic scale, with the extrapolation dashed."""
    figure = new_figure(8.5, 5.2)
    axes = figure.subplots()
    axes.set_title(
        f"{curve.data_name}, {curve.recipe.name}: more images {curve.verdict}"
        if curve.verdict != "can't be told"
        else f"{curve.data_name}, {curve.recipe.name}: it is unclear whether more images would help",
        parse_math=False,
    )
    _draw_law(axes, curve, law)
    _draw_measured(axes, curve)
    _draw_backtest(axes, curve)
    axes.set_xlabel("training images")
    axes.set_ylabel(f"accuracy on the same {curve.num_evaluated:,} held-out images")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks([point.num_images for point in curve.points] + [more.num_images for more in curve.extrapolations])
    axes.tick_params("x", rotation=30)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    return figure


def _draw_law(axes: Axes, curve: LearningCurve, law: Law) -> None:
    smallest, largest = curve.points[0].num_images, curve.points[-1].num_images
    for low, high, dashed in ((smallest, largest, False), (largest, MULTIPLES[-1] * largest, True)):
        images = np.geomspace(low, high, 60)
        values = [1 - law.at(float(number)) for number in images]
        ends = np.clip([law.interval(value) for value in values], 0, 1)
        axes.fill_between(images, ends[:, 0], ends[:, 1], color=_PREDICTED, alpha=0.15, linewidth=0)
        label = "extrapolation with 95% interval" if dashed else "power law"
        axes.plot(
            images, [value[0] for value in values], color=_PREDICTED, linestyle="--" if dashed else "-", label=label
        )
    for more in curve.extrapolations:
        axes.annotate(
            f"{more.accuracy:.1%}", (more.num_images, more.accuracy), (0, 6), textcoords="offset points", ha="center"
        )


def _draw_measured(axes: Axes, curve: LearningCurve) -> None:
    for point in curve.points:
        axes.plot(
            [point.num_images] * len(point.accuracies), point.accuracies, ".", color=_MEASURED, alpha=0.4, markersize=5
        )
    axes.plot(
        [point.num_images for point in curve.points], [point.accuracy for point in curve.points], "o", color=_MEASURED,
        label="measured: mean and each training",
    )  # fmt: skip


def _draw_backtest(axes: Axes, curve: LearningCurve) -> None:
    backtest = curve.backtest
    below, above = backtest.predicted - backtest.interval[0], backtest.interval[1] - backtest.predicted
    # Left of the measured point, so that both are visible.
    axes.errorbar(
        [0.93 * backtest.num_images], [backtest.predicted], yerr=[[max(0, below)], [max(0, above)]], color=_TESTED,
        fmt="D", markersize=4, capsize=4, label="predicted from the smaller sizes",
    )  # fmt: skip
