"""The drawings of a comparison: accuracy against cost, and the pictures on which two contenders differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, PercentFormatter
from numpy.typing import NDArray

from saccade.evaluation.compare.comparison import Comparison, Contender, DifferingPicture
from saccade.plotting.figure import new_figure
from saccade.plotting.image_grid import RIGHT, WRONG, Tile, draw_grid
from saccade.sanitize import counted, printable

MOST_PICTURES = 20

_COLUMNS = 5
_LONGEST_NAME = 100
# Colours that most colour-blind readers tell apart (Okabe and Ito, 2008), and signs for those who see none.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
_SIGNS = "osD^vPX"
_MOST_NAMED = 20


def draw_comparison(comparison: Comparison) -> Figure:
    """Draws each contender's accuracy, with its interval, against minutes of training and against weights."""
    figure = new_figure(11, 4.6 + 0.22 * min(len(comparison.contenders), _MOST_NAMED))
    figure.suptitle(f"{printable(comparison.data_name)}, {comparison.split}: n = {comparison.n:,}", parse_math=False)
    time, size = figure.subplots(1, 2, sharey=True)
    for place, contender in enumerate(comparison.contenders):
        _draw_contender(time, contender, contender.minutes, place)
        _draw_contender(size, contender, contender.weights, place)
    time.set_ylabel("accuracy, with its 95% interval")
    time.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    _scale(time, [contender.minutes for contender in comparison.contenders], "minutes of training")
    _scale(size, [contender.weights for contender in comparison.contenders], "weights of the network")
    size.xaxis.set_major_formatter(EngFormatter())
    handles, names = time.get_legend_handles_labels()
    figure.legend(handles[:_MOST_NAMED], names[:_MOST_NAMED], loc="outside lower center")
    return figure


def draw_differences(
    pixels: NDArray[np.uint8], pictures: Sequence[DifferingPicture], names: tuple[str, str], n: int
) -> Figure:
    """Draws pictures with the answers of both, green where right and red with a cross where wrong.

    Args:
        pixels: uint8 [m, height, width, 3], m at most `MOST_PICTURES`.
        pictures: what was said of them.
        names: of the two contenders, A and B.
        n: pictures on which they differ in all.
    """
    first, second = (_short(name, _LONGEST_NAME) for name in names)
    shown = f"{len(pictures)} of the {counted(n, 'picture')} on which they differ" if n else "they differ on no picture"
    tiles = [
        Tile(
            picture,
            (f"true: {_short(said.true, 20)}",),
            (
                _answer("A", said.first, said.first_probability, right=said.first == said.true),
                _answer("B", said.second, said.second_probability, right=said.second == said.true),
            ),
        )
        for picture, said in zip(pixels, pictures, strict=True)
    ]
    return draw_grid(f"A: {first}\nB: {second}\n{shown}", tiles, columns=_COLUMNS, side=2.1)


def _draw_contender(axes: Axes, contender: Contender, cost: float, place: int) -> None:
    low, high = contender.accuracy_interval
    axes.errorbar(
        cost,
        contender.accuracy,
        yerr=[[max(0.0, contender.accuracy - low)], [max(0.0, high - contender.accuracy)]],
        fmt=_SIGNS[place % len(_SIGNS)],
        color=_COLOURS[place % len(_COLOURS)],
        capsize=4,
        label=_label(contender),
    )


def _label(contender: Contender) -> str:
    name = _short(contender.name, _LONGEST_NAME).replace("$", r"\$")
    runs = f", {len(contender.runs)} runs" if len(contender.runs) > 1 else ""
    return f"{name}: {contender.accuracy:.2%}{runs}"


def _scale(axes: Axes, costs: Sequence[float], label: str) -> None:
    axes.set_xlabel(label)
    axes.grid(alpha=0.3)
    if min(costs) > 0 and max(costs) > 5 * min(costs):
        axes.set_xscale("log")
        axes.set_xlabel(f"{label} (logarithmic)")
    else:
        axes.set_xlim(0, 1.2 * max(costs) or 1)


def _answer(who: str, answer: str, probability: float, *, right: bool) -> tuple[str, str]:
    """What one of the two said, and its colour."""
    return f"{who} {'✓' if right else '✗'} {_short(answer, 16)} {probability:.0%}", RIGHT if right else WRONG


def _short(name: str, length: int) -> str:
    text = printable(name)
    return text if len(text) <= length else f"{text[: length - 1]}…"
