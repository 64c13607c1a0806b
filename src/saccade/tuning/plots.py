"""Plots of a tuning: history, importance of the keys, and parallel coordinates of the trials."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from saccade.plotting.figure import new_figure
from saccade.recipes.search_space import Choices, Range, SearchSpace, Value, text_of
from saccade.tuning.result import Trial

_COLOR = "#3b82d6"
_GRAY = "#8a929c"
_BEST = "#d55e00"


def draw_progress(trials: Sequence[Trial]) -> Figure:
    """Plot the validation accuracy of each trial and the best accuracy so far."""
    figure = new_figure(7.2, 4)
    axes = figure.add_subplot()
    complete = [trial for trial in trials if trial.state == "complete"]
    pruned = [trial for trial in trials if trial.state != "complete" and trial.accuracy is not None]
    _points(axes, complete, marker="o", color=_COLOR, label="complete")
    _points(axes, pruned, marker="x", color=_GRAY, label="pruned, after its last epoch")
    best = np.maximum.accumulate([trial.accuracy or 0.0 for trial in complete])
    last = max(trial.number for trial in trials) + 1
    axes.step([*(trial.number for trial in complete), last], [*best, *best[-1:]], where="post", color=_BEST)
    axes.annotate("best so far", (last, best[-1]), (0, 5), textcoords="offset points", ha="right", color=_BEST)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    axes.set(xlabel="trial (0: the unchanged recipe)", ylabel="validation accuracy", title="history")
    axes.margins(y=0.12)
    figure.legend(loc="outside lower center", ncols=2)
    axes.grid(alpha=0.3)
    return figure


def draw_importances(importances: Mapping[str, float]) -> Figure:
    """Plot the importance of each key as a bar."""
    figure = new_figure(7.2, 1.2 + 0.4 * len(importances))
    axes = figure.add_subplot()
    keys = sorted(importances, key=lambda key: importances[key])
    bars = axes.barh(keys, [importances[key] for key in keys], color=_COLOR)
    axes.bar_label(bars, [f"{importances[key]:.0%}" for key in keys], padding=3)
    axes.set(xlabel="fraction of the variance between complete trials (fANOVA)", title="importance")
    axes.set_xlim(0, 1.12 * max(importances.values()))
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    return figure


def draw_parallel_coordinates(trials: Sequence[Trial], space: SearchSpace, best: Trial) -> Figure:
    """Plot each trial as a line from its settings to its accuracy: the best thick, pruned trials thin and gray."""
    keys = list(space)
    figure = new_figure(max(7.2, 1.5 * (len(keys) + 1)), 4.4)
    axes = figure.add_subplot()
    shown = [trial for trial in trials if trial.accuracy is not None and trial.settings.keys() == space.keys()]
    reached = [trial.accuracy or 0.0 for trial in shown] or [0.0]
    ends = Range(low=min(reached), high=max(*reached, min(reached) + 1e-3))
    for trial in sorted(
        shown, key=lambda trial: (trial.number == best.number, trial.state == "complete", trial.accuracy)
    ):
        _line(axes, trial, space, ends, is_best=trial.number == best.number)
    for place, key in enumerate(keys):
        _axis(axes, place, space[key])
    _axis(axes, len(keys), ends, percent=True)
    axes.set_xticks(range(len(keys) + 1), [*keys, "validation\naccuracy"])
    axes.set(yticks=[], xlim=(-0.4, len(keys) + 0.6), ylim=(-0.06, 1.06), title="parallel coordinates")
    axes.spines[:].set_visible(False)
    return figure


def _points(axes: Axes, trials: Sequence[Trial], marker: str, color: str, label: str) -> None:
    if trials:
        numbers, accuracies = [trial.number for trial in trials], [trial.accuracy or 0.0 for trial in trials]
        axes.plot(numbers, accuracies, linestyle="none", marker=marker, color=color, label=label)


def _line(axes: Axes, trial: Trial, space: SearchSpace, ends: Range, *, is_best: bool) -> None:
    heights = [_height(dimension, trial.settings[key]) for key, dimension in space.items()]
    reached = _height(ends, trial.accuracy or 0.0)
    complete = trial.state == "complete"
    axes.plot(
        range(len(heights) + 1),
        [*heights, reached],
        color=_BEST if is_best else colormaps["viridis"](0.85 * reached) if complete else _GRAY,
        linewidth=3 if is_best else 1.3 if complete else 0.6,
        alpha=1 if is_best else 0.8 if complete else 0.5,
    )


def _axis(axes: Axes, place: int, dimension: Range | Choices, *, percent: bool = False) -> None:
    """Draw the vertical axis of a key, with labels at its ends and its middle, or at its choices."""
    axes.axvline(place, 0.05, 0.95, color="#000000", linewidth=0.8)
    for mark in _marks(dimension):
        text = f"{mark:.1%}" if percent else f"{mark:.3g}" if isinstance(mark, float) else text_of(mark)
        axes.annotate(
            text, (place, _height(dimension, mark)), (4, 0), textcoords="offset points", va="center", fontsize=10
        )


def _height(dimension: Range | Choices, value: Value) -> float:
    """Return the position of a value on its axis, 0 to 1."""
    if isinstance(dimension, Choices):
        last = len(dimension.values) - 1
        return dimension.values.index(value) / last if last else 0.5
    low, high, number = dimension.low, dimension.high, float(value)
    if dimension.log:
        low, high, number = math.log(low), math.log(high), math.log(number)
    return (number - low) / (high - low)


def _marks(dimension: Range | Choices) -> Sequence[Value]:
    if isinstance(dimension, Choices):
        return dimension.values
    return dimension.low, _middle(dimension), dimension.high


def _middle(dimension: Range) -> float:
    middle = math.sqrt(dimension.low * dimension.high) if dimension.log else (dimension.low + dimension.high) / 2
    return float(round(middle)) if dimension.whole else middle
