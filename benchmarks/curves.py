"""Plot of validation accuracy over training time, for any number of runs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from trainings import epochs_of

from saccade.atomic_io import atomic_write
from saccade.errors import RunError
from saccade.plotting.figure import new_figure, save_figure
from saccade.runs.run import Run


def plot_curves(runs: Sequence[Run], path: Path) -> None:
    """Plot a line for each run, runs of one recipe in one color; runs without validation are left out.

    Args:
        runs: runs, in any order.
        path: path of the PNG; an existing file is replaced.

    Raises:
        RunError: no run has validation accuracies.
    """
    curves = {run.path: curve for run in runs if (curve := curve_of(run))}
    if not curves:
        raise RunError(
            "none of the runs has validation accuracies to plot", expected="runs trained with validation_split > 0"
        )
    figure = new_figure(8, 5)
    axes = figure.subplots()
    plotted = [run for run in runs if run.path in curves]
    for number, name in enumerate(dict.fromkeys(run.recipe.name for run in plotted)):
        of_recipe = [curves[run.path] for run in plotted if run.recipe.name == name]
        _plot(axes, of_recipe, name, color=f"C{number}")
    axes.set_xlabel("seconds of training, validation included")
    axes.set_ylabel("validation accuracy")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.suptitle(", ".join(dict.fromkeys(run.data_name for run in plotted)), parse_math=False)
    with atomic_write(path) as temporary:
        save_figure(figure, temporary, dpi=110)


def curve_of(run: Run) -> list[tuple[float, float]]:
    """Return (seconds since the start of the first epoch, validation accuracy) for each validated epoch."""
    epochs = epochs_of(run)
    elapsed = itertools.accumulate(epoch.seconds for epoch in epochs)
    return [
        (seconds, epoch.validation_accuracy)
        for seconds, epoch in zip(elapsed, epochs, strict=True)
        if epoch.validation_accuracy is not None
    ]


def _plot(axes: Axes, curves: Sequence[Sequence[tuple[float, float]]], name: str, *, color: str) -> None:
    for number, curve in enumerate(curves):
        seconds, accuracies = zip(*curve, strict=True)
        label = f"{name} (n = {len(curves)})" if number == 0 else None
        axes.plot(seconds, accuracies, color=color, marker="o", markersize=2.5, linewidth=1, label=label)
