"""Where a training stands: what decides on its next step, apart from the variables of network and optimizer."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from saccade.runs.records import EpochRecord
from saccade.runs.time_budget_state import Plan


class TrainingState(BaseModel):
    """Where a training stands after a step: with the network's and the optimizer's variables, all that it goes on from.

    Attributes:
        step: steps done, in all epochs together.
        epoch: the one that the next step belongs to, counted from 0; the number of epochs once all are done.
        seen: training images seen in this epoch.
        steps: steps done in this epoch.
        loss_sum: sum over the images seen in this epoch of their loss, in nats.
        correct: how many of them were classified correctly.
        seconds: clock time spent in this epoch.
        history: the records of the epochs before this one.
        timings: for each of them, its seconds and the images seen in it.
        best_accuracy: on the validation split, of the epochs before this one; None before there is any.
        best_epoch: the epoch, counted from 1, that had it, of several the one of least validation loss; 0 before there
            is any.
        half_merits: where each half of the validation split chooses weights of its own: the accuracy, and the loss
            times
             -1, of these weights on that half, by the name of the half.
        ended: whether the training is over, and how.
        plan: of a training within a time budget; None without one.
        spent: seconds of that budget that are gone.
        began: where in the recipe this epoch began: an epoch of it, counted from 0, and the part of that one.
    """

    # Not frozen: it moves on with every step.
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
    best_accuracy: float | None = None
    best_epoch: int = Field(default=0, ge=0)
    half_merits: dict[str, tuple[float, float]] = Field(default_factory=dict)
    ended: Literal["finished", "stopped early"] | None = None
    plan: Plan | None = None
    spent: float = Field(default=0.0, ge=0)
    began: tuple[int, float] = (0, 0.0)

    @property
    def seen_in_all(self) -> int:
        """Training images seen in all epochs together."""
        return sum(images for _, images in self.timings) + self.seen

    def place(self, epochs: int, images: int) -> tuple[int, float]:
        """Where in a recipe of so many epochs the next step stands: an epoch, counted from 0, and the part of it done.

        Args:
            epochs: of the recipe.
            images: training images in a pass.
        """
        if self.plan is None:
            return self.epoch, self.seen / images
        return self.plan.pace.place_at(self.seen_in_all, epochs)

    def at_end_of_pass(self, images: int) -> bool:
        """Whether all of so many training images were seen in this epoch, or as many as its plan wants."""
        return self.seen == images or (self.plan is not None and self.seen_in_all >= self.plan.pace.end)
