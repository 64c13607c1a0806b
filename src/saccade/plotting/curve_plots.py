"""Precision-recall curves and ROC curves of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import color_sequences
from matplotlib.figure import Figure
from numpy.typing import NDArray

from saccade.plotting.figure import new_figure
from saccade.sanitize import shortened

_MAX_NAMED = 10
_MAX_NAME = 18  # characters
_POINTS = 300


@dataclass(frozen=True)
class ClassCurve:
    """A curve of one class against all other classes.

    Attributes:
        class_name: name of the class.
        x: horizontal coordinates, float [points]: recall, or false positive rate.
        y: vertical coordinates, float [points]: precision, or true positive rate.
        area: average precision, or area under the ROC curve, 0 to 1.
    """

    class_name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    area: float


def draw_precision_recall(curves: Sequence[ClassCurve]) -> Figure:
    """Draw precision-recall curves, with the average precision of each class in the legend."""
    return _draw(curves, "precision-recall curve by class", "recall", "precision", "lower left")


def draw_roc(curves: Sequence[ClassCurve]) -> Figure:
    """Draw ROC curves, with the area under the curve of each class in the legend."""
    return _draw(curves, "ROC curve by class", "false positive rate", "true positive rate", "lower right")


def _draw(curves: Sequence[ClassCurve], title: str, xlabel: str, ylabel: str, corner: str) -> Figure:
    """Draw the curves; the classes with the smallest areas are named, the others are gray."""
    figure = new_figure(4.6, 4.2)
    axes = figure.add_subplot()
    ranked = sorted(enumerate(curves), key=lambda numbered: numbered[1].area)
    for _, curve in reversed(ranked[_MAX_NAMED:]):
        axes.plot(*_thinned(curve), color="gray", linewidth=0.6, alpha=0.5)
    palette = color_sequences["tab10" if len(curves) <= _MAX_NAMED else "tab20"]
    for number, curve in ranked[:_MAX_NAMED]:  # a class has the same color in both plots
        label = f"{shortened(curve.class_name, _MAX_NAME)} {curve.area:.3f}"
        axes.plot(*_thinned(curve), color=palette[number % len(palette)], linewidth=1.2, label=label)
    axes.set(xlim=(0, 1), ylim=(0, 1.01), xlabel=xlabel, ylabel=ylabel, title=title)
    axes.legend(loc=corner, fontsize="small", title="lowest areas" if len(curves) > _MAX_NAMED else None)
    axes.grid(alpha=0.3)
    return figure


def _thinned(curve: ClassCurve) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the points of a curve, at most 300, so that a page stays small."""
    chosen = np.unique(np.linspace(0, len(curve.x) - 1, min(_POINTS, len(curve.x))).astype(int))
    return curve.x[chosen], curve.y[chosen]
