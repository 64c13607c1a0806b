"""Recipe: every choice of a training, as one frozen, locked value."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from saccade.errors import RecipeError, is_whole_number, number_in_words, type_in_words

ComputeDtype = Literal["float32", "bfloat16"]
BackboneName = Literal[
    "MobileNetV3Small", "MobileNetV3Large", "EfficientNetV2B0", "EfficientNetV2B1", "EfficientNetV2B2",
    "EfficientNetV2B3", "ConvNeXtTiny", "ResNet50V2",
]  # fmt: skip
NetworkName = Literal["fast", "accurate", "classic", "quick", "scheduled", "folder", BackboneName]
Phase = Literal["head", "plain", "augmented"]

_AUGMENTATION = ("translate", "integer_translate", "horizontal_flip", "rotation")

_SMALLEST_SIDE = 12
_SHOWN = 60  # characters of a value in an error


def _number(value: Any) -> Any:
    """Text that is a whole number as that number: a choice between numbers takes no text for one by itself."""
    return int(value) if isinstance(value, str) and value.strip().isdecimal() else value


class Recipe(BaseModel):
    """Every choice of a training. Unknown keys and impossible values are refused.

    A training has two phases: `plain_epochs` on the images as they are, then `augmented_epochs` on randomly moved
    ones. The second goes on where the first ended, with the same weights and the same optimizer state. In a transfer
    the first epoch of all, of whichever phase, only fits a head.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(description="what the recipe is called")
    network: NetworkName = Field(description="the architecture")
    image_size: Annotated[int, Field(ge=8, le=1024)] | None = Field(
        default=None, description="side of the square images, in pixels; none: chosen from the data"
    )
    batch_size: int = Field(default=32, ge=1, le=65536, description="images in a step")
    min_steps_per_epoch: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="steps that an epoch has at least: of few images, smaller batches are made, at a smaller rate",
    )
    plain_epochs: int = Field(ge=0, le=100_000, description="epochs of the first phase, without augmentation")
    augmented_epochs: int = Field(default=0, ge=0, le=100_000, description="epochs of the second phase, augmented")
    translate: float = Field(
        default=0.1, ge=0, le=0.5, description="augmentation: largest shift, as a part of width and of height"
    )
    integer_translate: bool = Field(
        default=False,
        description="augmentation: shift by whole pixels, edges reflected; else by parts of a pixel, edges repeated",
    )
    horizontal_flip: bool = Field(default=True, description="augmentation: mirror each image in every other epoch")
    rotation: float = Field(default=0.0, ge=0, le=180, description="augmentation: largest rotation, in degrees")
    initial_scale: float = Field(
        default=1.0,
        ge=0.25,
        le=1,
        description="side at which the network sees images in the first epoch, as a part of their side",
    )
    final_scale: float = Field(
        default=1.0,
        ge=0.25,
        le=1,
        description="the same in the last two fifths of the epochs and ever after; it grows until then, by eighths",
    )
    optimizer: Literal["adam", "muon"] = Field(
        default="adam", description="adam; or muon for convolution kernels and Nesterov's momentum for the rest"
    )
    learning_rate: float = Field(default=0.001, gt=0, le=10, description="the optimizer's highest learning rate")
    schedule: Literal["steps", "linear"] = Field(
        default="steps",
        description="the learning rate falls by `lr_decay` every `lr_decay_epochs` epochs, or linearly to 0",
    )
    lr_decay: float = Field(
        default=1.0, gt=0, le=1, description="schedule=steps: what the learning rate is multiplied by"
    )
    lr_decay_epochs: int = Field(default=10, ge=1, description="schedule=steps: epochs between two decays")
    warmup_epochs: float = Field(
        default=0.0, ge=0, le=100, description="epochs in which the learning rate rises linearly from 0"
    )
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=1, description="part of each label that is shared between all classes"
    )
    compute: Literal["auto", ComputeDtype] = Field(
        default="auto", description="dtype that training computes in; auto: what is measured to be faster here"
    )
    tta_views: Annotated[Literal[1, 6], BeforeValidator(_number)] = Field(
        default=1, description="moved and mirrored views of an image that an answer is averaged over"
    )
    batchnorm_recalibration_batches: int = Field(
        default=0,
        ge=0,
        le=100_000,
        description="training batches from which the moving averages of batch normalization are taken anew after each "
        "epoch; 0: they stay as training left them",
    )
    validation_split: float = Field(
        default=0.1, ge=0, le=0.5, description="part of the training images held out for validation, stratified"
    )
    keep: Literal["last", "best", "if_improved"] = Field(
        default="last",
        description="the weights to keep: the last, those of the best validation accuracy (of several epochs that have "
        "it, the one of least validation loss), or, in a transfer, the last where they are no worse in validation than "
        "the fitted head alone, else that head",
    )
    patience: int = Field(
        default=0, ge=0, description="stop after so many epochs without a better validation accuracy; 0: never"
    )
    class_weights: bool = Field(default=False, description="weigh each class by the inverse of its frequency")
    checkpoint_seconds: float = Field(
        default=60.0, ge=0, le=1e6, description="seconds between two checkpoints; 0: one after every step"
    )
    deterministic: bool = Field(
        default=True, description="only operations that give the same bits each time, at whatever cost"
    )
    transfer: bool = Field(
        default=False,
        description="the network's weights come from elsewhere; in the first epoch a linear head is fitted to what it "
        "gives, and batch normalization stays as it came",
    )
    trainable_fraction: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="transfer: part of the layers with weights, the uppermost, that the epochs after the first change",
    )
    extends: int = Field(default=0, ge=0, description="epochs that were done by the run that this one extends")
    extended_rate: float = Field(
        default=0.0, ge=0, le=10, description="the learning rate at the beginning of the last of these epochs"
    )
    extended_schedule: Literal["hold", "restart", "anneal"] = Field(
        default="hold",
        description="after them the learning rate stays there, follows the schedule anew, or falls linearly to 0",
    )
    seed: int = Field(
        default=0, ge=0, lt=2**32, description="seed of weights, order, augmentation and validation split"
    )

    @model_validator(mode="after")
    def _something_to_do(self) -> Recipe:
        if self.plain_epochs + self.augmented_epochs == 0:
            raise ValueError("a training needs at least one epoch: plain_epochs + augmented_epochs is 0")
        if self.keep == "if_improved" and not self.transfer:
            raise ValueError("keep=if_improved is for a transfer: there is no fitted head to go back to")
        if self.keep == "if_improved" and self.patience:
            raise ValueError("patience waits for a better epoch, and keep=if_improved looks at the last one alone")
        return self

    @property
    def epochs(self) -> int:
        """Epochs of both phases together."""
        return self.plain_epochs + self.augmented_epochs

    @property
    def weights_chosen_by_validation(self) -> bool:
        """Whether validation images choose the kept weights, so that the accuracy on these images is optimistic."""
        return self.keep != "last"

    def phase(self, epoch: int) -> Phase:
        """What an epoch, counted from 0, does: fit a head, or train on images as they are or on moved ones."""
        if self.transfer and epoch == 0:
            return "head"
        return "plain" if epoch < self.plain_epochs else "augmented"

    def keys_without_effect(self, keys: Collection[str]) -> list[str]:
        """Those of some keys that change nothing: keys of augmentation, where no epoch is augmented."""
        if self.phase(self.epochs - 1) == "augmented":
            return []
        # A fitted head sees each image mirrored too.
        return [key for key in _AUGMENTATION if key in keys and not (key == "horizontal_flip" and self.transfer)]

    def batch_size_for(self, images: int) -> int:
        """The images in a step when there are so many training images: no fewer than 16 where they are few."""
        if not self.min_steps_per_epoch:
            return self.batch_size
        return min(self.batch_size, max(16, images // self.min_steps_per_epoch))

    def final_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width, in pixels, at which the trained network sees images of this height and width."""
        return _fraction_of(self.final_scale, height), _fraction_of(self.final_scale, width)

    def training_size(self, epoch: int, height: int, width: int) -> tuple[int, int]:
        """Height and width, in pixels, at which the network sees such images in an epoch, counted from 0."""
        fraction = self._size_fraction(epoch)
        return _fraction_of(fraction, height), _fraction_of(fraction, width)

    @property
    def grown_from(self) -> int:
        """The epoch, counted from 0, from which on images are seen at their final size: at latest the last."""
        if self.initial_scale == self.final_scale:
            return 0
        return self.extends or min(math.ceil(0.6 * self.epochs), self.epochs - 1)

    def is_early(self, epoch: int) -> bool:
        """Whether an epoch, counted from 0, is in the first third of a training, in which some layers learn only."""
        return not self.extends and epoch < self.epochs / 3

    def _size_fraction(self, epoch: int) -> float:
        if epoch >= self.grown_from:
            return self.final_scale
        # In steps of an eighth, since each size takes a graph of its own.
        grown = epoch / (0.6 * self.epochs)
        fraction = round(8 * (self.initial_scale + (self.final_scale - self.initial_scale) * grown)) / 8
        return min(self.final_scale, max(self.initial_scale, fraction))

    def learning_rate_at(self, epoch: int, fraction: float = 0.0, batch_size: int | None = None) -> float:
        """The learning rate at a point of the training.

        Args:
            epoch: counted from 0; of a run that extends another, from `extends` on.
            fraction: of this epoch's images that have been seen, 0 to 1.
            batch_size: of this training, where it is smaller than the recipe's; the rate falls with its root, as the
                noise of a step's gradient grows.
        """
        factor = math.sqrt((batch_size or self.batch_size) / self.batch_size)
        if epoch < self._first_epoch:
            return 0.0
        if self.extends and self.extended_schedule != "restart":
            falls = self._work_done(epoch, fraction) if self.extended_schedule == "anneal" else 0.0
            return factor * self.extended_rate * (1 - falls)
        rate = factor * self.learning_rate
        if self.warmup_epochs:
            rate *= min(1.0, (epoch - self._first_epoch + fraction) / self.warmup_epochs)
        if self.schedule == "linear":
            return rate * (1 - self._work_done(epoch, fraction))
        return rate * self.lr_decay ** ((epoch - self._first_epoch) // self.lr_decay_epochs)

    @property
    def _first_epoch(self) -> int:
        """The first epoch, counted from 0, in which this training does steps of its own."""
        return self.extends or int(self.transfer)

    def _work_done(self, epoch: int, fraction: float) -> float:
        """The part of the training's own work that is done: an epoch of images half as wide is a quarter of one."""
        work = [self._size_fraction(each) ** 2 for each in range(self._first_epoch, self.epochs)]
        done = epoch - self._first_epoch
        return (sum(work[:done]) + fraction * work[done]) / sum(work)

    def with_settings(self, settings: Mapping[str, Any]) -> Recipe:
        """This recipe with some keys changed.

        Args:
            settings: key -> value; text is read as the key's own type ("none" for no value).

        Raises:
            RecipeError: a key is unknown (the nearest known one is named) or can't take its value.
        """
        if not isinstance(settings, Mapping):
            raise RecipeError(
                "settings are values by the recipe's keys",
                expected='a dictionary such as {"seed": 3}',
                found=type_in_words(settings),
            )
        for key, value in settings.items():
            if not isinstance(key, str):
                raise RecipeError("a recipe's key is a name", expected='text such as "seed"', found=type_in_words(key))
            if key not in Recipe.model_fields or key == "name":
                raise _unknown_key(key)
            if isinstance(value, bool) and Recipe.model_fields[key].annotation is not bool:  # no 1 for True
                raise RecipeError(
                    f"the recipe's key '{key}' can't be {value}",
                    remedy=f"'{key}' is: {Recipe.model_fields[key].description}",
                )
        given = {key: None if _is_none(value) else value for key, value in settings.items()}
        try:
            return Recipe.model_validate({**self.model_dump(), **given})
        except ValidationError as error:
            raise _bad_value(error) from None

    def extended(self, done: int, epochs: int, schedule: Literal["hold", "restart", "anneal"]) -> Recipe:
        """The recipe of a run that goes on after `done` epochs of this one, for some more in the phase they ended in.

        Args:
            done: epochs of this recipe that were done.
            epochs: to do now.
            schedule: what the learning rate does then, see `extended_schedule`.

        Raises:
            RecipeError: there would be no epoch to do.
        """
        _require_epochs(epochs, "an extension")
        plain = min(done, self.plain_epochs)
        more = {"plain_epochs": plain, "augmented_epochs": done - plain}
        more["augmented_epochs" if self.phase(done - 1) == "augmented" else "plain_epochs"] += epochs
        rate = self.learning_rate_at(done - 1)
        return self.with_settings(more | {"extends": done, "extended_rate": rate, "extended_schedule": schedule})

    def with_epochs(self, epochs: int) -> Recipe:
        """This recipe with so many epochs in all, shared between its phases as they are now.

        A phase that has epochs keeps at least one while there are enough to go round.
        """
        _require_epochs(epochs, "a training")
        augmented = round(epochs * self.augmented_epochs / self.epochs)
        if self.plain_epochs and self.augmented_epochs and epochs > 1:
            augmented = min(max(augmented, 1), epochs - 1)
        return self.with_settings({"plain_epochs": epochs - augmented, "augmented_epochs": augmented})


def _require_epochs(epochs: object, what: str) -> None:
    if not is_whole_number(epochs):
        raise RecipeError(f"{what} takes a whole number of epochs", found=number_in_words(epochs))
    if epochs < 1:
        raise RecipeError(f"{what} needs at least one epoch", found=f"epochs = {epochs}")


def _fraction_of(fraction: float, side: int) -> int:
    """A part of a side, an even number where it is not the whole side; small images hardly shrink."""
    return side if fraction == 1 else min(side, max(_SMALLEST_SIDE, 2 * round(fraction * side / 2)))


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


def _in_words(value: object) -> str:
    """A short value as it is; of another one, its type."""
    shown = repr(value)[:_SHOWN] if isinstance(value, str | int | float | None) else ""
    return shown if 0 < len(shown) < _SHOWN else type_in_words(value)


def _bad_value(error: ValidationError) -> RecipeError:
    first = error.errors(include_url=False)[0]
    message = str(first["ctx"]["error"]) if first["type"] == "value_error" else first["msg"]
    if not first["loc"]:
        return RecipeError(message)
    key = str(first["loc"][0])
    description = Recipe.model_fields[key].description
    return RecipeError(
        f"the recipe's key '{key}' can't be {_in_words(first['input'])}", expected=f"{message[0].lower()}{message[1:]}",
        remedy=f"'{key}' is: {description}",
    )  # fmt: skip
