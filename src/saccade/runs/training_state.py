"""State of a training: all that the next step depends on, except the variables of network and optimizer."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from saccade.runs.records import EpochRecord
from saccade.runs.time_budget_state import Plan


class TrainingState(BaseModel):
    """State of a training after a step.

    Attributes:
        step: number of steps in all epochs.
        epoch: epoch of the next step, counted from 0; the number of epochs at the end of the training.
        seen: number of training images in this epoch so far.
        steps: number of steps in this epoch so far.
        loss_sum: sum of the losses of these images, in nats.
        correct: number of these images that were classified correctly.
        seconds: clock time of this epoch so far.
        history: records of the epochs before this one.
        timings: seconds and number of training images of each epoch before this one.
        exchanges: number of workers of each of these epochs, and the seconds in which the first worker waited for the
            gradients of the others, added and sent them.
        best_accuracy: best validation accuracy of the epochs before this one; None before the first validation.
        best_epoch: epoch of the best validation accuracy, counted from 1, with the lowest validation loss among equals;
            0 before the first validation.
        half_merits: name of a half of the validation split -> accuracy, and loss times -1, on that half of the weights
            that the half chooses; empty where the halves choose no weights of their own.
        ended: how the training ended; None before its end.
        plan: plan of a training within a time budget; None without a time budget.
        spent: seconds of the time budget spent so far.
        began: position in the recipe at the start of this epoch: an epoch, counted from 0, and a fraction of it.
    """

    # Not frozen: the training loop updates the state in every step.
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    step: int = Field(default=0, ge=0)
    epoch: int = Field(default=0, ge=0)
    seen: int = Field(default=0, ge=0)
    steps: int = Field(default=0, ge=0)
    loss_sum: float = 0.0
    correct: int = Field(default=0, ge=0)
    seconds: float = Field(default=0.0, ge=0)
    history: list[EpochRecord] = Field(default_factory=list)
    timings: list[tuple[float, int]] = Field(default_factory=list)
    exchanges: list[tuple[int, float]] = Field(default_factory=list)
    best_accuracy: float | None = None
    best_epoch: int = Field(default=0, ge=0)
    half_merits: dict[str, tuple[float, float]] = Field(default_factory=dict)
    ended: Literal["finished", "stopped early"] | None = None
    plan: Plan | None = None
    spent: float = Field(default=0.0, ge=0)
    began: tuple[int, float] = (0, 0.0)

    @property
    def seen_in_all(self) -> int:
        """Number of training images in all epochs so far."""
        return sum(images for _, images in self.timings) + self.seen

    def place(self, epochs: int, images: int) -> tuple[int, float]:
        """Return the position of the next step in the recipe: an epoch, counted from 0, and a fraction of the epoch.

        Args:
            epochs: number of epochs of the recipe.
            images: number of training images in a pass.
        """
        if self.plan is None:
            return self.epoch, self.seen / images
        return self.plan.pace.place_at(self.seen_in_all, epochs)

    def at_end_of_pass(self, images: int) -> bool:
        """Return whether this epoch has trained on all `images` training images, or the plan ends here."""
        return self.seen == images or (self.plan is not None and self.seen_in_all >= self.plan.pace.end)
