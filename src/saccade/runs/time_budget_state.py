"""Plans of trainings within a time budget, which `plan.json` holds; every checkpoint holds the plan of its training.

A training by gradient steps has a `Plan`, which may change while the training runs. A training that fits a linear head
to the features of a frozen network has a `FeaturePlan`: its choices are keys of the recipe, and stay.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Pace(_Record):
    """Linear map from the number of images trained on to the position in the recipe.

    A recipe of eight epochs may be run in two passes over the data, or in twenty: input sizes, learning rate and phases
    then change at the same fractions of the training.

    Attributes:
        start: training images in all passes at the start of this pace.
        position: position at the start of this pace, in epochs of the recipe.
        end: training images in all passes at the end of the recipe.
    """

    start: int = Field(default=0, ge=0)
    position: float = Field(default=0.0, ge=0)
    end: int = Field(ge=0)

    def position_at(self, seen: int, epochs: int) -> float:
        """Return the position after `seen` images, in epochs of a recipe that has `epochs` epochs."""
        if seen >= self.end:
            return float(epochs)
        if seen <= self.start:
            return self.position
        fraction = (seen - self.start) / (self.end - self.start)
        return self.position + fraction * (epochs - self.position)

    def place_at(self, seen: int, epochs: int) -> tuple[int, float]:
        """Return the position as an epoch of the recipe, counted from 0, and the finished fraction of the epoch."""
        position = self.position_at(seen, epochs)
        epoch = min(int(position), epochs - 1)
        return epoch, position - epoch


class Costs(_Record):
    """Costs of a training on this machine, in seconds.

    Attributes:
        image: seconds for each training image, regardless of its size.
        pixel: seconds for each pixel of a training image, at the size of the network's input.
        graph: seconds that the first step at a size takes longer than other steps.
        validated: seconds for each pixel of a validation image, without test-time augmentation.
        closing: seconds at the end of a pass over the data, without validation.
        saving: seconds after the last pass, without the time that depends on the number of images.
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
        """Return the costs multiplied by `slowness`."""
        return Costs(**{name: slowness * value for name, value in self.model_dump().items()})


class Replan(_Record):
    """Change of a plan.

    Attributes:
        step: number of steps, in all epochs, before the change.
        spent: seconds of the budget before the change.
        slowness: duration of the latest steps, as a multiple of the costs measured before the training.
        pace: pace after the change.
    """

    step: int = Field(ge=0)
    spent: float = Field(ge=0)
    slowness: float = Field(gt=0)
    pace: Pace


class Plan(_Record):
    """Plan of a training by gradient steps.

    Attributes:
        minutes: time budget, from the start of the command to its end.
        reasons: reasons for this recipe, size and length.
        costs: costs measured before the training.
        first: pace at the beginning.
        replans: changes of the plan, in order.
    """

    minutes: float = Field(gt=0)
    reasons: tuple[str, ...]
    costs: Costs
    first: Pace
    replans: tuple[Replan, ...] = ()

    @property
    def pace(self) -> Pace:
        """Current pace."""
        return self.replans[-1].pace if self.replans else self.first

    def changed(self, replan: Replan) -> Plan:
        """Return the plan with one more change."""
        return self.model_copy(update={"replans": (*self.replans, replan)})


class FeatureCosts(_Record):
    """Costs of fitting a linear head to the features of a frozen network on this machine, in seconds.

    Attributes:
        pixel: seconds for the features, for each pixel of the network's input.
        penalty: seconds for the choice of the penalty, for each training image and class.
        fit: seconds for the fit of the head, for each training image or mirror image, and class.
        saving: seconds for all else: networks are built, the result is calibrated and saved.
    """

    pixel: float = Field(gt=0)
    penalty: float = Field(ge=0)
    fit: float = Field(ge=0)
    saving: float = Field(ge=0)


class FeaturePlan(_Record):
    """Plan of a training that fits a linear head to the features of a frozen network.

    Attributes:
        minutes: time budget, from the start of the command to its end.
        reasons: reasons for the image size and the mirror images, which are keys of the recipe.
        costs: costs measured before the training.
        seconds: forecast of the time from the plan to the end of the command.
    """

    minutes: float = Field(gt=0)
    reasons: tuple[str, ...]
    costs: FeatureCosts
    seconds: float = Field(ge=0)
