"""The drawings of a comparison: accuracy against cost, and the images on which two run groups differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, PercentFormatter
from numpy.typing import NDArray

from saccade.evaluation.compare.comparison import Comparison, DifferingImage, RunGroup
from saccade.plotting.figure import new_figure
from saccade.plotting.image_grid import CORRECT, INCORRECT, Tile, draw_grid
from saccade.sanitize import counted, printable

MOST_IMAGES = 20

_COLUMNS = 5
_LONGEST_NAME = 100
# Colors that most color-blind readers tell apart (Okabe and Ito, 2008), and signs for those who see none.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
_SIGNS = "osD^vPX"
_MOST_NAMED = 20


def draw_comparison(comparison: Comparison) -> Figure:
    """Draws each run group's accuracy, with its interval, against minutes of training and against weights."""
    figure = new_figure(11, 4.6 + 0.22 * min(len(comparison.groups), _MOST_NAMED))
    figure.suptitle(f"{printable(comparison.data_name)}, {comparison.split}: n = {comparison.n:,}", parse_math=False)
    time, size = figure.subplots(1, 2, sharey=True)
    for place, group in enumerate(comparison.groups):
        _draw_group(time, group, group.minutes, place)
        _draw_group(size, group, group.weights, place)
    time.set_ylabel("accuracy, with its 95% interval")
    time.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    _scale(time, [group.minutes for group in comparison.groups], "minutes of training")
    _scale(size, [group.weights for group in comparison.groups], "weights of the network")
    size.xaxis.set_major_formatter(EngFormatter())
    handles, names = time.get_legend_handles_labels()
    figure.legend(handles[:_MOST_NAMED], names[:_MOST_NAMED], loc="outside lower center")
    return figure


def draw_differences(
    pixels: NDArray[np.uint8], images: Sequence[DifferingImage], names: tuple[str, str], n: int
) -> Figure:
    """Draws images with the answers of both, green where right and red with a cross where wrong.

    Args:
        pixels: uint8 [m, height, width, 3], m at most `MOST_IMAGES`.
        images: what was said of them.
        names: of the two run groups, A and B.
        n: images on which they differ in all.
    """
    first, second = (_short(name, _LONGEST_NAME) for name in names)
    shown = f"{len(images)} of the {counted(n, 'image')} on which they differ" if n else "they differ on no image"
    tiles = [
        Tile(
            image,
            (f"true: {_short(difference.true, 20)}",),
            (
                _prediction_line(
                    "A", difference.first, difference.first_probability, correct=difference.first == difference.true
                ),
                _prediction_line(
                    "B", difference.second, difference.second_probability, correct=difference.second == difference.true
                ),
            ),
        )
        for image, difference in zip(pixels, images, strict=True)
    ]
    return draw_grid(f"A: {first}\nB: {second}\n{shown}", tiles, columns=_COLUMNS, side=2.1)


def _draw_group(axes: Axes, group: RunGroup, cost: float, place: int) -> None:
    low, high = group.accuracy_interval
    axes.errorbar(
        cost,
        group.accuracy,
        yerr=[[max(0.0, group.accuracy - low)], [max(0.0, high - group.accuracy)]],
        fmt=_SIGNS[place % len(_SIGNS)],
        color=_COLORS[place % len(_COLORS)],
        capsize=4,
        label=_label(group),
    )


def _label(group: RunGroup) -> str:
    name = _short(group.name, _LONGEST_NAME).replace("$", r"\$")
    runs = f", {len(group.runs)} runs" if len(group.runs) > 1 else ""
    return f"{name}: {group.accuracy:.2%}{runs}"


def _scale(axes: Axes, costs: Sequence[float], label: str) -> None:
    axes.set_xlabel(label)
    axes.grid(alpha=0.3)
    if min(costs) > 0 and max(costs) > 5 * min(costs):
        axes.set_xscale("log")
        axes.set_xlabel(f"{label} (logarithmic)")
    else:
        axes.set_xlim(0, 1.2 * max(costs) or 1)


def _prediction_line(who: str, class_name: str, probability: float, *, correct: bool) -> tuple[str, str]:
    """What one of the two said, and its color."""
    return (
        f"{who} {'✓' if correct else '✗'} {_short(class_name, 16)} {probability:.0%}",
        CORRECT if correct else INCORRECT,
    )


def _short(name: str, length: int) -> str:
    text = printable(name)
    return text if len(text) <= length else f"{text[: length - 1]}…"
