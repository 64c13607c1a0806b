"""Recipe: every choice of a training, as one frozen, locked value."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from saccade.errors import RecipeError, is_whole_number, number_in_words, type_in_words
from saccade.image_fit import Fit, Scale

ComputeDtype = Literal["float32", "bfloat16"]
BackboneName = Literal[
    "MobileNetV3Small", "MobileNetV3Large", "EfficientNetV2B0", "EfficientNetV2B1", "EfficientNetV2B2",
    "EfficientNetV2B3", "ConvNeXtTiny", "ResNet50V2",
]  # fmt: skip
NetworkName = Literal["fast", "accurate", "classic", "quick", "scheduled", "folder", "EfficientNetLite0", BackboneName]
Phase = Literal["head", "plain", "augmented"]
Sampling = Literal["shuffled", "balanced"]

_AUGMENTATION = (
    "translate", "integer_translate", "horizontal_flip", "rotation", "crop_scale", "vertical_flip", "color_jitter",
    "trivial_augment", "random_erasing", "mixup", "cutmix",
)  # fmt: skip
_AUGMENTATION_IN_STEPS = ("translate", "integer_translate", "rotation")
# Keys that only the gradient steps of a training use.
_STEPS = (
    "batch_size", "min_steps_per_epoch", "optimizer", "learning_rate", "schedule", "lr_decay", "lr_decay_epochs",
    "warmup_epochs", "label_smoothing", "batchnorm_recalibration_batches", "patience", "trainable_fraction",
    "weight_decay", "augmented_versions",
)  # fmt: skip

_SMALLEST_SIDE = 12
_MAX_CHARACTERS = 60  # of a value in an error


def _number(value: Any) -> Any:
    """Convert text of digits to an integer, because a Literal of integers accepts no text."""
    return int(value) if isinstance(value, str) and value.strip().isdecimal() else value


class Recipe(BaseModel):
    """Every choice of a training. Unknown keys and impossible values are errors.

    A training has two phases: `plain_epochs` without augmentation, then `augmented_epochs` with augmentation. The
    second phase continues with the weights and the optimizer state of the first. In a transfer, the first epoch only
    fits a linear head.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(description="name of the recipe")
    network: NetworkName = Field(description="the architecture")
    image_size: Annotated[int, Field(ge=8, le=1024)] | None = Field(
        default=None, description="side of the square images, in pixels; none: chosen from the data"
    )
    fit: Fit | None = Field(
        default=None,
        description="images of another aspect ratio: crop takes the center, pad takes the whole image and adds white "
        "edges, squash takes the whole image and changes its aspect ratio; none: pad above 64 pixels, else crop",
    )
    scale: Scale = Field(
        default="full",
        description="16-bit gray images: full keeps the high byte of a sample, auto the eight highest of the low bits "
        "that the images of the data use, such as 12 bits of a camera",
    )
    batch_size: int = Field(default=32, ge=1, le=65536, description="images in a step")
    min_steps_per_epoch: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="wanted number of steps in an epoch: few images are trained in smaller batches, of 16 images at "
        "least, at a smaller learning rate",
    )
    plain_epochs: int = Field(ge=0, le=100_000, description="epochs of the first phase, without augmentation")
    augmented_epochs: int = Field(
        default=0, ge=0, le=100_000, description="epochs of the second phase, with augmentation"
    )
    translate: float = Field(
        default=0.1, ge=0, le=0.5, description="augmentation: largest translation, as a fraction of width and of height"
    )
    integer_translate: bool = Field(
        default=False,
        description="augmentation: translate by whole pixels, edges reflected; else by fractions of a pixel, edges "
        "repeated",
    )
    horizontal_flip: bool = Field(default=True, description="augmentation: mirror each image in every other epoch")
    rotation: float = Field(default=0.0, ge=0, le=180, description="augmentation: largest rotation, in degrees")
    crop_scale: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="augmentation: smallest area of a random resized crop, as a fraction of the image; 1: no crops",
    )
    vertical_flip: bool = Field(
        default=False, description="augmentation: flip a random half of the images upside down in each epoch"
    )
    color_jitter: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="augmentation: largest change of brightness, contrast and saturation, as a fraction",
    )
    trivial_augment: bool = Field(
        default=False,
        description="augmentation: TrivialAugment, one random operation of random strength on each image",
    )
    random_erasing: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="augmentation: probability that a random rectangle of an image is filled with its mean color",
    )
    mixup: float = Field(
        default=0.0,
        ge=0,
        le=100,
        description="augmentation: average pairs of images and labels, with a weight from Beta(mixup, mixup); 0: never",
    )
    cutmix: float = Field(
        default=0.0,
        ge=0,
        le=100,
        description="augmentation: paste a rectangle of another image, with an area from Beta(cutmix, cutmix), and mix "
        "the labels by area; 0: never; with mixup, each is used in half of the batches",
    )
    initial_scale: float = Field(
        default=1.0,
        ge=0.25,
        le=1,
        description="side of the network's input in the first epoch, as a fraction of the side of the images",
    )
    final_scale: float = Field(
        default=1.0,
        ge=0.25,
        le=1,
        description="the same fraction in the last two fifths of the epochs and after the training; until then the "
        "side grows in steps of an eighth",
    )
    optimizer: Literal["adam", "adamw", "muon"] = Field(
        default="adam",
        description="adam; adamw, with weight decay; or muon for convolution kernels and Nesterov momentum for other "
        "weights",
    )
    weight_decay: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="optimizer=adamw: fraction of each weight that a step removes, times the learning rate",
    )
    learning_rate: float = Field(default=0.001, gt=0, le=10, description="highest learning rate of the optimizer")
    schedule: Literal["steps", "linear", "cosine"] = Field(
        default="steps",
        description="the learning rate falls by `lr_decay` every `lr_decay_epochs` epochs, linearly to 0, or along "
        "half a cosine wave to 0",
    )
    lr_decay: float = Field(default=1.0, gt=0, le=1, description="schedule=steps: factor of the learning rate")
    lr_decay_epochs: int = Field(default=10, ge=1, description="schedule=steps: epochs between two decays")
    warmup_epochs: float = Field(
        default=0.0, ge=0, le=100, description="epochs in which the learning rate rises linearly from 0"
    )
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=1, description="fraction of each label that is shared between all classes"
    )
    compute: Literal["auto", ComputeDtype] = Field(
        default="auto",
        description="dtype of the training; auto: the dtype that is measured to be faster on this machine",
    )
    tta_views: Annotated[Literal[1, 6], BeforeValidator(_number)] = Field(
        default=1,
        description="test-time augmentation: number of translated and mirrored versions of an image whose predictions "
        "are averaged",
    )
    batchnorm_recalibration_batches: int = Field(
        default=0,
        ge=0,
        le=100_000,
        description="training batches from which the moving averages of batch normalization are computed again after "
        "each epoch; 0: the moving averages of the training stay",
    )
    validation_split: float = Field(
        default=0.1, ge=0, le=0.5, description="fraction of the training images held out for validation, stratified"
    )
    keep: Literal["last", "best", "if_improved"] = Field(
        default="last",
        description="weights to keep: the last; those of the best validation accuracy, with the lowest validation loss "
        "among equals; or, in a transfer, the last, unless the validation log-loss of the fitted head alone is lower "
        "by more than a standard error, each at its fitted temperature",
    )
    patience: int = Field(
        default=0, ge=0, description="stop after this number of epochs without a better validation accuracy; 0: never"
    )
    class_weights: bool = Field(default=False, description="weight each class by the inverse of its frequency")
    sampling: Sampling = Field(
        default="shuffled",
        description="training images of an epoch: shuffled, each image once; or balanced, each class equally often, so "
        "that images of rare classes are repeated; the fit of a linear head weights the classes instead",
    )
    checkpoint_seconds: float = Field(
        default=60.0, ge=0, le=1e6, description="seconds between two checkpoints; 0: a checkpoint after every step"
    )
    deterministic: bool = Field(
        default=True, description="use only operations that give the same bits each time, even where they are slower"
    )
    transfer: bool = Field(
        default=False,
        description="start from pretrained weights; the first epoch fits a linear head to the features, and batch "
        "normalization stays frozen",
    )
    trainable_fraction: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="transfer: fraction of the layers with weights, counted from the output, that the epochs after the "
        "first train",
    )
    augmented_versions: int = Field(
        default=0,
        ge=0,
        le=100,
        description="transfer: number of augmented versions of each training image; the outputs of the frozen layers "
        "for the image and its versions are computed once and kept, and the upper layers are trained on them. 0: each "
        "step computes the whole network, on newly augmented images",
    )
    extends: int = Field(default=0, ge=0, description="number of epochs of the run that this run extends")
    extended_rate: float = Field(
        default=0.0, ge=0, le=10, description="learning rate at the beginning of the last of these epochs"
    )
    extended_schedule: Literal["hold", "restart", "anneal"] = Field(
        default="hold",
        description="learning rate after these epochs: constant, the schedule again, or a linear fall to 0",
    )
    seed: int = Field(
        default=0, ge=0, lt=2**32, description="seed of weights, order, augmentation and validation split"
    )

    @model_validator(mode="after")
    def _something_to_do(self) -> Recipe:
        if self.plain_epochs + self.augmented_epochs == 0:
            raise ValueError("a training needs at least one epoch: plain_epochs + augmented_epochs is 0")
        if self.has_frozen_network and self.epochs > 1:
            raise ValueError(
                "a frozen network has one epoch, which fits its head: to train its upper layers too, take the recipe "
                "photo, or set trainable_fraction above 0"
            )
        if self.keep == "if_improved" and not self.transfer:
            raise ValueError("keep=if_improved is for a transfer: there is no fitted head to go back to")
        if self.keep == "if_improved" and self.patience:
            raise ValueError("patience waits for a better epoch, and keep=if_improved looks at the last one alone")
        if self.keeps_outputs and self.initial_scale != self.final_scale:
            raise ValueError(
                "kept outputs of frozen layers have one size: give initial_scale and final_scale the same value"
            )
        if self.sampling == "balanced" and self.class_weights:
            raise ValueError(
                "sampling=balanced and class_weights=true both make rare classes count more: take one of them"
            )
        return self

    @property
    def epochs(self) -> int:
        """Number of epochs of both phases."""
        return self.plain_epochs + self.augmented_epochs

    @property
    def weights_chosen_by_validation(self) -> bool:
        """True where validation images choose among epochs, so that the validation accuracy is optimistic."""
        return self.keep != "last" and self.epochs > 1

    @property
    def has_frozen_network(self) -> bool:
        """True in a transfer that trains no layer but the head, so that the training has one epoch."""
        return self.transfer and not self.trainable_fraction

    @property
    def head_only(self) -> bool:
        """True where the training fits a linear head to the features of a frozen network, and does nothing else."""
        return self.transfer and self.epochs == 1

    @property
    def keeps_outputs(self) -> bool:
        """True where the upper layers of a network are trained on kept outputs of its frozen layers."""
        return self.transfer and self.augmented_versions > 0 and self.epochs > 1

    def phase(self, epoch: int) -> Phase:
        """Return the phase of an epoch, counted from 0."""
        if self.transfer and epoch == 0:
            return "head"
        return "plain" if epoch < self.plain_epochs else "augmented"

    def keys_without_effect(self, keys: Collection[str]) -> list[str]:
        """Return the keys among `keys` that have no effect.

        These are keys of augmentation, where no epoch is augmented; keys of the gradient steps, where the training only
        fits a linear head; and the augmentation within a step, where the steps train on kept outputs.
        """
        if self.phase(self.epochs - 1) == "augmented":
            return [key for key in _AUGMENTATION_IN_STEPS if key in keys and self.keeps_outputs]
        idle = (*_AUGMENTATION, *_STEPS) if self.head_only else _AUGMENTATION
        # A linear head is also fitted to the mirrored images.
        return [key for key in idle if key in keys and not (key == "horizontal_flip" and self.transfer)]

    def batch_size_for(self, images: int) -> int:
        """Return the batch size for a number of training images: at least 16 where `min_steps_per_epoch` reduces it."""
        if not self.min_steps_per_epoch:
            return self.batch_size
        return min(self.batch_size, max(16, images // self.min_steps_per_epoch))

    def final_size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width, in pixels, of the trained network's input for images of this height and width."""
        return _fraction_of(self.final_scale, height), _fraction_of(self.final_scale, width)

    def training_size(self, epoch: int, height: int, width: int) -> tuple[int, int]:
        """Return height and width, in pixels, of the network's input in an epoch, counted from 0."""
        fraction = self._size_fraction(epoch)
        return _fraction_of(fraction, height), _fraction_of(fraction, width)

    @property
    def grown_from(self) -> int:
        """First epoch, counted from 0, with inputs of the final size: the last epoch at the latest."""
        if self.initial_scale == self.final_scale:
            return 0
        return self.extends or min(math.ceil(0.6 * self.epochs), self.epochs - 1)

    def is_early(self, epoch: int) -> bool:
        """Return whether an epoch, counted from 0, is in the first third of a training: only then some layers train."""
        return not self.extends and epoch < self.epochs / 3

    def _size_fraction(self, epoch: int) -> float:
        if epoch >= self.grown_from:
            return self.final_scale
        # In steps of an eighth, because each size needs a compiled graph of its own.
        grown = epoch / (0.6 * self.epochs)
        fraction = round(8 * (self.initial_scale + (self.final_scale - self.initial_scale) * grown)) / 8
        return min(self.final_scale, max(self.initial_scale, fraction))

    def learning_rate_at(self, epoch: int, fraction: float = 0.0, batch_size: int | None = None) -> float:
        """Return the learning rate at a point of the training.

        Args:
            epoch: epoch, counted from 0; in a run that extends another, from `extends` on.
            fraction: fraction of the epoch's images that have been trained on, 0 to 1.
            batch_size: batch size of this training, where it is smaller than the recipe's. The rate falls with the
                square root of the batch size, because the noise of the gradient grows.
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
        if self.schedule == "cosine":
            return rate * (1 + math.cos(math.pi * self._work_done(epoch, fraction))) / 2
        return rate * self.lr_decay ** ((epoch - self._first_epoch) // self.lr_decay_epochs)

    @property
    def _first_epoch(self) -> int:
        """First epoch, counted from 0, with gradient steps of this training."""
        return self.extends or int(self.transfer)

    def _work_done(self, epoch: int, fraction: float) -> float:
        """Return the finished fraction of the training's work: an epoch at half the side is a quarter of an epoch."""
        work = [self._size_fraction(each) ** 2 for each in range(self._first_epoch, self.epochs)]
        done = epoch - self._first_epoch
        return (sum(work[:done]) + fraction * work[done]) / sum(work)

    def with_settings(self, settings: Mapping[str, Any]) -> Recipe:
        """Return this recipe with some keys changed.

        Args:
            settings: key -> value; text is converted to the type of the key ("none" for no value).

        Raises:
            RecipeError: a key is unknown (the error suggests the nearest key), or a value is invalid.
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
        """Return the recipe of a run that continues after `done` epochs of this recipe, in the phase of the last epoch.

        Args:
            done: number of finished epochs of this recipe.
            epochs: number of further epochs.
            schedule: learning rate in the further epochs, see `extended_schedule`.

        Raises:
            RecipeError: `epochs` is not a whole number above 0.
        """
        _require_epochs(epochs, "an extension")
        plain = min(done, self.plain_epochs)
        more = {"plain_epochs": plain, "augmented_epochs": done - plain}
        more["augmented_epochs" if self.phase(done - 1) == "augmented" else "plain_epochs"] += epochs
        rate = self.learning_rate_at(done - 1)
        return self.with_settings(more | {"extends": done, "extended_rate": rate, "extended_schedule": schedule})

    def with_epochs(self, epochs: int) -> Recipe:
        """Return this recipe with another number of epochs, in which its phases keep their shares.

        A phase with epochs keeps at least one where there are two epochs or more.
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
    """Return a fraction of a side, in pixels: the whole side, or an even number from `_SMALLEST_SIDE` on."""
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
    """Return a short value as text; the type of any other value."""
    text = repr(value)[:_MAX_CHARACTERS] if isinstance(value, str | int | float | None) else ""
    return text if 0 < len(text) < _MAX_CHARACTERS else type_in_words(value)


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
