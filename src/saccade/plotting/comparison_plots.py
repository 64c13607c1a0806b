"""Plots of a comparison: accuracy against cost, and images on which two run groups disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, PercentFormatter
from numpy.typing import NDArray

from saccade.plotting.figure import new_figure
from saccade.plotting.image_grid import CORRECT, INCORRECT, Tile, draw_grid
from saccade.sanitize import counted, printable

MAX_IMAGES = 20
"""Maximum number of images that `draw_disagreements` draws."""

_COLUMNS = 5
_MAX_NAME_LENGTH = 100
# Colors that color-blind readers can distinguish (Okabe and Ito, 2008), and markers for readers who see no color.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
_MARKERS = "osD^vPX"
_MAX_LEGEND_ENTRIES = 20


@dataclass(frozen=True)
class AccuracyPoint:
    """Accuracy and cost of one run group.

    Attributes:
        name: name of the run group.
        runs: number of runs.
        accuracy: mean accuracy, 0 to 1.
        interval: 95% interval of the accuracy.
        minutes: mean training time, in minutes.
        weights: number of weights of the network.
    """

    name: str
    runs: int
    accuracy: float
    interval: tuple[float, float]
    minutes: float
    weights: int


def draw_comparison(title: str, points: Sequence[AccuracyPoint]) -> Figure:
    """Draw the accuracy of each run group, with its interval, against training time and number of weights.

    Args:
        title: title of the figure.
        points: run groups.
    """
    figure = new_figure(11, 4.6 + 0.22 * min(len(points), _MAX_LEGEND_ENTRIES))
    figure.suptitle(title, parse_math=False)
    time, size = figure.subplots(1, 2, sharey=True)
    for number, point in enumerate(points):
        _draw_point(time, point, point.minutes, number)
        _draw_point(size, point, point.weights, number)
    time.set_ylabel("accuracy, with its 95% interval")
    time.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    _scale(time, [point.minutes for point in points], "minutes of training")
    _scale(size, [point.weights for point in points], "weights of the network")
    size.xaxis.set_major_formatter(EngFormatter())
    handles, labels = time.get_legend_handles_labels()
    figure.legend(handles[:_MAX_LEGEND_ENTRIES], labels[:_MAX_LEGEND_ENTRIES], loc="outside lower center")
    return figure


def draw_disagreements(
    images: NDArray[np.uint8],
    true: Sequence[str],
    first: Sequence[tuple[str, float]],
    second: Sequence[tuple[str, float]],
    names: tuple[str, str],
    total: int,
) -> Figure:
    """Draw images with the predictions of two run groups: green if correct, red with a cross if incorrect.

    Args:
        images: uint8 [m, height, width, 3], m at most `MAX_IMAGES`.
        true: names of the m true classes.
        first: m predictions of the first run group: class name and probability.
        second: m predictions of the second run group: class name and probability.
        names: names of the two run groups.
        total: number of images on which the run groups disagree, including images that are not drawn.
    """
    name_a, name_b = (_short(name, _MAX_NAME_LENGTH) for name in names)
    drawn = f"{len(images)} of the {counted(total, 'image')} on which they disagree" if total else "no disagreement"
    tiles = [
        Tile(image, (f"true: {_short(label, 20)}",), (_prediction("A", label, *a), _prediction("B", label, *b)))
        for image, label, a, b in zip(images, true, first, second, strict=True)
    ]
    return draw_grid(f"A: {name_a}\nB: {name_b}\n{drawn}", tiles, columns=_COLUMNS, side=2.1)


def _draw_point(axes: Axes, point: AccuracyPoint, cost: float, number: int) -> None:
    low, high = point.interval
    axes.errorbar(
        cost,
        point.accuracy,
        yerr=[[max(0.0, point.accuracy - low)], [max(0.0, high - point.accuracy)]],
        fmt=_MARKERS[number % len(_MARKERS)],
        color=_COLORS[number % len(_COLORS)],
        capsize=4,
        label=_label(point),
    )


def _label(point: AccuracyPoint) -> str:
    name = _short(point.name, _MAX_NAME_LENGTH).replace("$", r"\$")
    runs = f", {point.runs} runs" if point.runs > 1 else ""
    return f"{name}: {point.accuracy:.2%}{runs}"


def _scale(axes: Axes, costs: Sequence[float], label: str) -> None:
    axes.set_xlabel(label)
    axes.grid(alpha=0.3)
    if min(costs) > 0 and max(costs) > 5 * min(costs):
        axes.set_xscale("log")
        axes.set_xlabel(f"{label} (logarithmic)")
    else:
        axes.set_xlim(0, 1.2 * max(costs) or 1)


def _prediction(group: str, true: str, predicted: str, probability: float) -> tuple[str, str]:
    """Return the line of a prediction and the color of the line."""
    correct = predicted == true
    line = f"{group} {'✓' if correct else '✗'} {_short(predicted, 16)} {probability:.0%}"
    return line, CORRECT if correct else INCORRECT


def _short(name: str, length: int) -> str:
    text = printable(name)
    return text if len(text) <= length else f"{text[: length - 1]}…"
