"""The drawing of robustness: a panel for each corruption, and one for their mean."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from saccade.evaluation.robustness.corruptions import STRENGTHS
from saccade.evaluation.robustness.robustness import Robustness
from saccade.plotting.figure import new_figure
from saccade.sanitize import printable

_COLOR = "#0072b2"
_MEAN = "#d55e00"


def draw_robustness(robustness: Robustness) -> Figure:
    """Draws the accuracy over the strength of each corruption with its 95% interval, and the mean of all."""
    figure = new_figure(12, 6)
    title = f"{printable(robustness.data_name)}, {robustness.split}: accuracy as images get worse"
    figure.suptitle(f"{title} (n = {robustness.n:,})", parse_math=False)
    panels = figure.subplots(2, 4, sharex=True, sharey=True).ravel()
    plain = [robustness.accuracy]
    for axes, corrupted in zip(panels, robustness.corruptions, strict=False):
        intervals = [robustness.accuracy_interval, *corrupted.intervals]
        _draw(axes, corrupted.name, [*plain, *corrupted.accuracies], _COLOR)
        axes.fill_between((0, *STRENGTHS), *zip(*intervals, strict=True), color=_COLOR, alpha=0.2, linewidth=0)
    columns = zip(*(corrupted.accuracies for corrupted in robustness.corruptions), strict=True)
    means = [sum(column) / len(column) for column in columns]
    _draw(panels[-1], f"mean: {robustness.mean:.1%}", [*plain, *means], _MEAN)
    for axes in panels:
        axes.axhline(robustness.accuracy, color="gray", linestyle="--", linewidth=0.8)
    figure.supxlabel("strength; 0: the images as they are, the dashed line")
    figure.supylabel("accuracy, with its 95% interval")
    return figure


def _draw(axes: Axes, name: str, accuracies: list[float], color: str) -> None:
    axes.plot((0, *STRENGTHS), accuracies, marker="o", markersize=4, color=color)
    axes.set_title(name, fontsize=11)
    axes.set_xticks((0, *STRENGTHS))
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(alpha=0.3)
