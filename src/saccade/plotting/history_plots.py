"""Training curves: loss and accuracy per epoch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from saccade.plotting.figure import new_figure, save_figure

_TRAINING, _VALIDATION = "training (as seen)", "validation"


class Epoch(Protocol):
    """Metrics of one epoch."""

    @property
    def epoch(self) -> int:
        """Number of the epoch, from 1."""

    @property
    def phase(self) -> str:
        """Name of the phase of the recipe."""

    @property
    def learning_rate(self) -> float:
        """Learning rate at the beginning of the epoch."""

    @property
    def loss(self) -> float:
        """Mean training loss, in nats."""

    @property
    def accuracy(self) -> float:
        """Training accuracy."""

    @property
    def validation_loss(self) -> float | None:
        """Mean validation loss, in nats; None without validation images."""

    @property
    def validation_accuracy(self) -> float | None:
        """Validation accuracy; None without validation images."""


def draw_history(history: Sequence[Epoch], path: Path, *, title: str) -> None:
    """Write the plot of a history as a PNG file with a title."""
    figure = history_plot(history)
    figure.suptitle(title, parse_math=False)
    save_figure(figure, path, dpi=110)


def history_plot(history: Sequence[Epoch]) -> Figure:
    """Plot training and validation loss and accuracy per epoch, with phases and learning rates marked.

    A single epoch has no curve: bars compare its training and its validation values.
    """
    figure = new_figure(11, 4.2)
    loss, accuracy = figure.subplots(1, 2)
    if len(history) == 1:
        (only,) = history
        _bars(loss, "loss (cross-entropy, nats)", only.loss, only.validation_loss, "{:.4f}")
        _bars(accuracy, "accuracy", only.accuracy, only.validation_accuracy, "{:.2%}")
        accuracy.set_xlim(0, 1)
        return figure
    epochs = [record.epoch for record in history]
    _curves(loss, epochs, [r.loss for r in history], [r.validation_loss for r in history])
    _curves(accuracy, epochs, [r.accuracy for r in history], [r.validation_accuracy for r in history])
    loss.set_ylabel("loss (cross-entropy, nats)")
    accuracy.set_ylabel("accuracy")
    accuracy.legend(loc="lower right")
    for axes in (loss, accuracy):
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        axes.set_xlim(0.5, len(history) + 0.5)
        axes.xaxis.get_major_locator().set_params(integer=True)
        _mark_phases(axes, history, name_rates=axes is loss)
    return figure


def _curves(axes: Axes, epochs: Sequence[int], training: Sequence[float], validation: Sequence[float | None]) -> None:
    axes.plot(epochs, training, marker="o", markersize=3, label=_TRAINING)
    after_epochs = [value for value in validation if value is not None]
    if after_epochs:
        axes.plot(epochs, after_epochs, marker="s", markersize=3, label=_VALIDATION)


def _bars(axes: Axes, name: str, training: float, validation: float | None, form: str) -> None:
    """Draw the values of one epoch as horizontal bars with their numbers."""
    values = {_TRAINING: training} | ({} if validation is None else {_VALIDATION: validation})
    labels = [f"{label}\n{form.format(value)}" for label, value in values.items()]
    axes.barh(labels, list(values.values()), height=0.5, color=["C0", "C1"][: len(values)])
    axes.invert_yaxis()  # the first bar at the top
    axes.set_xlabel(name)
    axes.grid(alpha=0.3, axis="x")


def _mark_phases(axes: Axes, history: Sequence[Epoch], *, name_rates: bool) -> None:
    """Draw dashed lines where a phase begins and dotted lines where the learning rate changes."""
    if history and history[0].phase == "augmented":
        _name_phase(axes, history[0])
    for before, after in pairwise(history):
        if before.phase != after.phase:
            axes.axvline(after.epoch - 0.5, color="gray", linestyle="--", linewidth=1)
            _name_phase(axes, after)
        if before.learning_rate != after.learning_rate:
            axes.axvline(after.epoch - 0.5, color="gray", linestyle=":", linewidth=0.8)
            if name_rates:
                rate = f"learning rate {after.learning_rate:.0e}"
                axes.text(after.epoch - 0.4, axes.get_ylim()[1], rate, va="top", rotation=90, fontsize=7, color="gray")


def _name_phase(axes: Axes, first: Epoch) -> None:
    axes.text(first.epoch - 0.4, axes.get_ylim()[1], first.phase, va="top", fontsize=8, color="gray")
