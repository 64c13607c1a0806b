"""The plan of a training within a time budget: what `plan.json` and every checkpoint of such a training hold."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Pace(_Record):
    """How fast a training goes through its recipe: from a point of it to its end, evenly over so many images.

    A recipe of eight epochs may be gone through in two passes over the data, or in twenty: sizes, learning rate and
    phases then come at the same parts of the whole.

    Attributes:
        start: training images seen, in all passes together, when it came into force.
        position: where the training then was, in epochs of the recipe.
        end: images seen when it will be at the recipe's end.
    """

    start: int = Field(default=0, ge=0)
    position: float = Field(default=0.0, ge=0)
    end: int = Field(ge=0)

    def position_at(self, seen: int, epochs: int) -> float:
        """Where a training is after so many images, in epochs of a recipe that has so many."""
        if seen >= self.end:
            return float(epochs)
        if seen <= self.start:
            return self.position
        fraction = (seen - self.start) / (self.end - self.start)
        return self.position + fraction * (epochs - self.position)

    def place_at(self, seen: int, epochs: int) -> tuple[int, float]:
        """The same as an epoch of the recipe, counted from 0, and the part of it that is done."""
        position = self.position_at(seen, epochs)
        epoch = min(int(position), epochs - 1)
        return epoch, position - epoch


class Costs(_Record):
    """What a training's parts take on this machine, in seconds.

    Attributes:
        image: a training image, whatever its size.
        pixel: each pixel of a training image, at the size at which it is seen.
        graph: the first step at a size, beside an ordinary one.
        validated: each pixel of an image that is validated, one view.
        closing: the end of a pass over the data, beside validation.
        saving: all that follows the last pass, beside what grows with the images looked at.
    """

    image: float = Field(ge=0)
    pixel: float = Field(ge=0)
    graph: float = Field(ge=0)
    validated: float = Field(ge=0)
    closing: float = Field(ge=0)
    saving: float = Field(ge=0)

    @model_validator(mode="after")
    def _takes_time(self) -> Costs:
        if self.image + self.pixel <= 0:
            raise ValueError("an image takes some time")
        return self

    def times(self, slowness: float) -> Costs:
        """The costs where everything takes so many times as long."""
        return Costs(**{name: slowness * value for name, value in self.model_dump().items()})


class Replan(_Record):
    """A change of the plan.

    Attributes:
        step: after which it was made, counted over all epochs.
        spent: seconds of the budget spent by then.
        slowness: what steps took of late, as a multiple of what was measured before the training.
        pace: from then on.
    """

    step: int = Field(ge=0)
    spent: float = Field(ge=0)
    slowness: float = Field(gt=0)
    pace: Pace


class Plan(_Record):
    """A training's plan.

    Attributes:
        minutes: the budget, from the start of the command to its end.
        reasons: why this recipe, size and length.
        costs: as they were measured before the training.
        first: the pace at the beginning.
        replans: the changes, in order.
    """

    minutes: float = Field(gt=0)
    reasons: tuple[str, ...]
    costs: Costs
    first: Pace
    replans: tuple[Replan, ...] = ()

    @property
    def pace(self) -> Pace:
        """The one in force."""
        return self.replans[-1].pace if self.replans else self.first

    def changed(self, replan: Replan) -> Plan:
        """The plan with another pace from now on."""
        return self.model_copy(update={"replans": (*self.replans, replan)})
