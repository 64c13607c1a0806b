"""Search space of `saccade tune`: keys of a recipe, and a range or choices for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from saccade.errors import RecipeError
from saccade.recipes.recipe import Recipe

Value = bool | int | float | str
"""Value of a tuned key."""

# Keys that can't be tuned, with the reason.
_FIXED = {
    "seed": "it chooses the images that are held out, and another seed gives other results by chance",
    "validation_split": "all settings are compared on the same validation images",
    "image_size": "all settings are compared on images of one size",
    "fit": "all settings are compared on the same pixels",
    "scale": "all settings are compared on the same pixels",
    "tta_views": "validation uses no test-time augmentation",
    "checkpoint_seconds": "it has no effect on the trained weights",
    "deterministic": "it has no effect on the accuracy",
    "compute": "it depends on the machine",
    "extends": "it is for runs that extend others",
    "extended_rate": "it is for runs that extend others",
    "extended_schedule": "it is for runs that extend others",
}
# Smallest ratio of the ends of a range that is searched by its logarithm.
_LOGARITHMIC_FROM = 10


class Range(BaseModel):
    """A range of numbers from `low` to `high`, both included.

    Attributes:
        low: smallest number.
        high: largest number.
        log: whether the range is searched on a logarithmic scale.
        whole: whether the range holds whole numbers only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    low: float
    high: float
    log: bool = False
    whole: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> Range:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError("a range goes from a smaller number to a greater one, and from above 0 where it is log")
        return self

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}" + (" (logarithmic)" if self.log else "")


class Choices(BaseModel):
    """A choice between several values.

    Attributes:
        values: different values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    values: tuple[Value, ...]

    def __contains__(self, value: object) -> bool:
        return value in self.values

    def __str__(self) -> str:
        return ", ".join(text_of(value) for value in self.values)


SearchSpace = Mapping[str, Range | Choices]


def search_space(recipe: Recipe, changes: Mapping[str, str | Range | Choices | None]) -> dict[str, Range | Choices]:
    """Return the search space of a recipe, with some of the default ranges replaced, added or removed.

    Args:
        recipe: recipe to tune.
        changes: key -> "LOW..HIGH", "A,B,C", a range or choices; None: the key is not tuned.

    Raises:
        RecipeError: a key is unknown or can't be tuned, a value is invalid, or the space has no key.
    """
    space = {key: dimension for key, dimension in _own_ranges(recipe).items() if key not in changes}
    for key, wanted in changes.items():
        if wanted is not None:
            _check_key(recipe, key)
            space[key] = _dimension(recipe, key, wanted) if isinstance(wanted, str) else wanted
    if not space:
        raise RecipeError(
            "there is nothing to tune: no key is left to search", remedy="name one, --search KEY=LOW..HIGH"
        )
    return {key: space[key] for key in Recipe.model_fields if key in space}


def text_of(value: Value) -> str:
    """Return a value as the option `--set` takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _own_ranges(recipe: Recipe) -> dict[str, Range | Choices]:
    """Return the default search space around the values of a recipe.

    It has few keys, because each key needs more trials: learning rate and batch size, which depend on each other and on
    the data; label smoothing; in an augmented training the augmentation; the initial scale where inputs grow. Where the
    training only fits a linear head, these keys have no effect: mirrored images and class weights are left.
    """
    if recipe.head_only:
        keys = ("horizontal_flip", "class_weights") if recipe.sampling == "shuffled" else ("horizontal_flip",)
        return {key: Choices(values=(True, False)) for key in keys}
    rate, batch = recipe.learning_rate, recipe.batch_size
    space: dict[str, Range | Choices] = {
        "learning_rate": Range(low=rate / 4, high=min(10.0, rate * 4), log=True),
        "batch_size": Choices(values=tuple(sorted({max(1, batch // 2), batch, min(65536, batch * 2)}))),
        "label_smoothing": Range(low=0.0, high=max(0.3, recipe.label_smoothing)),
    }
    if recipe.keeps_outputs:
        space["crop_scale"] = Range(low=0.2, high=1.0)
        space["horizontal_flip"] = Choices(values=(True, False))
    elif recipe.augmented_epochs:
        space["translate"] = Range(low=0.0, high=min(0.5, max(0.125, 2 * recipe.translate)))
        space["horizontal_flip"] = Choices(values=(True, False))
        if recipe.rotation:
            space["rotation"] = Range(low=0.0, high=min(180.0, 2 * recipe.rotation))
    if recipe.schedule == "steps" and recipe.lr_decay < 1:
        space["lr_decay"] = Range(low=recipe.lr_decay / 4, high=min(1.0, recipe.lr_decay * 4), log=True)
    if recipe.initial_scale < recipe.final_scale:
        space["initial_scale"] = Range(low=max(0.25, recipe.initial_scale - 0.125), high=recipe.final_scale)
    return space


def _check_key(recipe: Recipe, key: str) -> None:
    if key in _FIXED:
        raise RecipeError(f"the recipe's key '{key}' can't be tuned", found=_FIXED[key], remedy="omit the key")
    if recipe.head_only and recipe.keys_without_effect([key]):
        raise RecipeError(
            f"the recipe's key '{key}' can't be tuned",
            found="the training only fits a linear head to the features of a frozen network, and takes no steps",
            remedy="omit the key, or tune the training of the network: --recipe photo",
        )
    # Raises the error for an unknown key, which suggests the nearest key.
    recipe.with_settings({key: getattr(recipe, key, None)})


def _dimension(recipe: Recipe, key: str, text: str) -> Range | Choices:
    low, dots, high = text.partition("..")
    if dots:
        return _range(recipe, key, low.strip(), high.strip())
    values = [_value(recipe, key, part.strip()) for part in text.split(",")]
    return Choices(values=tuple(dict.fromkeys(values)))


def _range(recipe: Recipe, key: str, low: str, high: str) -> Range:
    first, last = _value(recipe, key, low), _value(recipe, key, high)
    if isinstance(first, bool | str) or isinstance(last, bool | str):
        raise RecipeError(
            f"the recipe's key '{key}' is no number, so it has no range",
            found=f"{key}={low}..{high}",
            remedy=f"name the values to choose from: --search {key}=A,B",
        )
    if first >= last:
        raise RecipeError(
            f"the range of '{key}' is empty", expected="LOW..HIGH, the smaller first", found=f"{low}..{high}"
        )
    return Range(
        low=float(first),
        high=float(last),
        log=first > 0 and last / first >= _LOGARITHMIC_FROM,
        whole=isinstance(first, int),
    )


def _value(recipe: Recipe, key: str, text: str) -> Value:
    """Convert text to the type of a key."""
    value: Any = getattr(recipe.with_settings({key: text}), key)
    if not isinstance(value, bool | int | float | str):
        raise RecipeError(f"the recipe's key '{key}' can't be searched at '{text}'")
    return value
