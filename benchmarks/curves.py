"""Validation accuracy over the seconds of training, of any number of runs, as one drawing."""

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


def draw_curves(runs: Sequence[Run], path: Path) -> None:
    """Draws a thin line for each run, runs of the same recipe in one color; runs without validation are left out.

    Args:
        runs: in any order.
        path: of the PNG; replaced if it is there.

    Raises:
        RunError: none of the runs has validation accuracies.
    """
    curves = {run.path: curve for run in runs if (curve := curve_of(run))}
    if not curves:
        raise RunError(
            "none of the runs has validation accuracies to draw", expected="runs trained with validation > 0"
        )
    figure = new_figure(8, 5)
    axes = figure.subplots()
    drawn = [run for run in runs if run.path in curves]
    for number, name in enumerate(dict.fromkeys(run.recipe.name for run in drawn)):
        of_recipe = [curves[run.path] for run in drawn if run.recipe.name == name]
        _draw(axes, of_recipe, name, color=f"C{number}")
    axes.set_xlabel("seconds of training, validation included")
    axes.set_ylabel("validation accuracy")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.suptitle(", ".join(dict.fromkeys(run.data_name for run in drawn)), parse_math=False)
    with atomic_write(path) as temporary:
        save_figure(figure, temporary, dpi=110)


def curve_of(run: Run) -> list[tuple[float, float]]:
    """Seconds since the beginning of the first epoch, and the validation accuracy then, for each epoch that has one."""
    epochs = epochs_of(run)
    passed = itertools.accumulate(epoch.seconds for epoch in epochs)
    return [
        (seconds, epoch.validation_accuracy)
        for seconds, epoch in zip(passed, epochs, strict=True)
        if epoch.validation_accuracy is not None
    ]


def _draw(axes: Axes, curves: Sequence[Sequence[tuple[float, float]]], name: str, *, color: str) -> None:
    for number, curve in enumerate(curves):
        seconds, accuracies = zip(*curve, strict=True)
        label = f"{name} (n = {len(curves)})" if number == 0 else None
        axes.plot(seconds, accuracies, color=color, marker="o", markersize=2.5, linewidth=1, label=label)
