"""Recipe: every choice of a training, as one frozen, locked value."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from saccade.errors import RecipeError

NetworkName = Literal["classic", "quick", "scheduled", "folder"]


class Recipe(BaseModel):
    """Every choice of a training. Unknown keys and impossible values are refused.

    A training has two phases: `plain_epochs` on the pictures as they are, then `augmented_epochs` on randomly moved
    ones. The second goes on where the first ended, with the same weights and the same optimizer state.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(description="what the recipe is called")
    network: NetworkName = Field(description="the architecture")
    image_size: Annotated[int, Field(ge=8, le=1024)] | None = Field(
        default=None, description="side of the square pictures, in pixels; none: chosen from the data"
    )
    batch_size: int = Field(default=32, ge=1, le=65536, description="pictures in a step")
    plain_epochs: int = Field(ge=0, le=100_000, description="epochs of the first phase, without augmentation")
    augmented_epochs: int = Field(default=0, ge=0, le=100_000, description="epochs of the second phase, augmented")
    shift: float = Field(
        default=0.1, ge=0, le=0.5, description="augmentation: largest shift, as a part of width and of height"
    )
    flip: bool = Field(default=True, description="augmentation: mirror every other picture, left to right")
    rotation: float = Field(default=0.0, ge=0, le=180, description="augmentation: largest rotation, in degrees")
    learning_rate: float = Field(default=0.001, gt=0, le=10, description="Adam's learning rate in the first epoch")
    decay: float = Field(
        default=1.0, gt=0, le=1, description="the learning rate is multiplied by this every `decay_every` epochs"
    )
    decay_every: int = Field(default=10, ge=1, description="epochs between two decays of the learning rate")
    validation: float = Field(
        default=0.1, ge=0, le=0.5, description="part of the training pictures held out for validation, stratified"
    )
    keep: Literal["last", "best"] = Field(
        default="last", description="the weights to keep: the last, or those of the best validation accuracy"
    )
    patience: int = Field(
        default=0, ge=0, description="stop after so many epochs without a better validation accuracy; 0: never"
    )
    class_weights: bool = Field(default=False, description="weigh each class by the inverse of its frequency")
    seed: int = Field(default=0, ge=0, lt=2**32, description="seed of weights, order, augmentation and validation part")

    @model_validator(mode="after")
    def _something_to_do(self) -> Recipe:
        if self.plain_epochs + self.augmented_epochs == 0:
            raise ValueError("a training needs at least one epoch: plain_epochs + augmented_epochs is 0")
        return self

    @property
    def epochs(self) -> int:
        """Epochs of both phases together."""
        return self.plain_epochs + self.augmented_epochs

    def phase(self, epoch: int) -> Literal["plain", "augmented"]:
        """The phase that an epoch, counted from 0, belongs to."""
        return "plain" if epoch < self.plain_epochs else "augmented"

    def learning_rate_at(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0."""
        return self.learning_rate * self.decay ** (epoch // self.decay_every)

    def with_settings(self, settings: Mapping[str, Any]) -> Recipe:
        """This recipe with some keys changed.

        Args:
            settings: key -> value; text is read as the key's own type ("none" for no value).

        Raises:
            RecipeError: a key is unknown (the nearest known one is named) or can't take its value.
        """
        for key in settings:
            if key not in Recipe.model_fields or key == "name":
                raise _unknown_key(key)
        given = {key: None if _is_none(value) else value for key, value in settings.items()}
        try:
            return Recipe.model_validate({**self.model_dump(), **given})
        except ValidationError as error:
            raise _bad_value(error) from None

    def with_epochs(self, epochs: int) -> Recipe:
        """This recipe with so many epochs in all, shared between its phases as they are now.

        A phase that has epochs keeps at least one while there are enough to go round.
        """
        if epochs < 1:
            raise RecipeError("a training needs at least one epoch", found=f"epochs = {epochs}")
        augmented = round(epochs * self.augmented_epochs / self.epochs)
        if self.plain_epochs and self.augmented_epochs and epochs > 1:
            augmented = min(max(augmented, 1), epochs - 1)
        return self.with_settings({"plain_epochs": epochs - augmented, "augmented_epochs": augmented})


def _is_none(value: Any) -> bool:
    return isinstance(value, str) and value.strip().lower() == "none"


def _unknown_key(key: str) -> RecipeError:
    known = [name for name in Recipe.model_fields if name != "name"]
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return RecipeError(
        f"a recipe has no key '{key}'",
        expected=f"one of {', '.join(known)}",
        remedy=f"did you mean '{near[0]}'?" if near else None,
    )


def _bad_value(error: ValidationError) -> RecipeError:
    first = error.errors(include_url=False, include_context=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return RecipeError(message)
    key = str(first["loc"][0])
    description = Recipe.model_fields[key].description
    return RecipeError(
        f"the recipe's key '{key}' can't be {first['input']!r}", expected=f"{message[0].lower()}{message[1:]}",
        remedy=f"'{key}' is: {description}",
    )  # fmt: skip
