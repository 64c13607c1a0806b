"""Time budget, and the plan of a training by gradient steps from measured costs: number of images and image size."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Collection
from dataclasses import dataclass, replace

from saccade.errors import TrainingError
from saccade.recipes import Recipe
from saccade.runs.time_budget_state import Costs, Pace

# Reserve for unforeseen delays and for the end of the process: a fraction of the budget, and seconds.
_RESERVE_FRACTION = 0.015
_RESERVE_SECONDS = 1.0
# With fewer passes or steps, smaller images are used: in the same time, 2.7 passes over CIFAR-10 at up to 20 pixels
# gave a higher accuracy than 4.4 passes at up to 16 (docs/performance.md). The number of steps matters for few images.
_MIN_USEFUL_PASSES = 2
_MIN_USEFUL_STEPS = 180
MAX_PASSES = 100
"""Largest number of passes over the training images; a training with more time ends early."""
MAX_FINE_TUNING_PASSES = 40
"""The same number for the fine-tuning of upper layers on kept outputs, after the head is fitted."""
# Candidates for `final_scale`, in the order of the trials.
_FINAL_SCALES = (0.75, 0.625, 0.5, 0.375, 0.25)
_MIN_FINAL_SIDE = 16
# Largest number of pixels in a batch, that of 500 images of 64x64.
_MAX_PIXELS = 500 * 64 * 64
# Number of training images that the OOD p-value is fitted to.
_OOD_IMAGES = 5000
# Cost of one test-time augmentation per stored pixel, as a fraction of the validation cost per pixel.
_TTA_FRACTION = 0.05
_MIN_STEPS = 10
# Time after the last step, except the time for images: a constant, and a multiple of the time to trace the graph of a
# step, because models are built and traced again, for test-time augmentation, for the OOD p-value and for `model.onnx`.
# Fitted to 17 trainings on the machine of docs/performance.md; the residuals are below 10 s with six other processes.
_SAVING_SECONDS = 2.0
_SAVING_GRAPHS = 1.3
_CLOSING_GRAPHS = 0.01
_MAX_MINUTES = 366 * 24 * 60
# A plan is kept if its forecast misses the end of the budget by less than this fraction of the budget. Few passes of
# fine-tuning are planned more coarsely, so that a resumed training mostly keeps its plan and comes to the same bits.
_TOLERANCE_FRACTION = 0.01
_FINE_TUNING_TOLERANCE_FRACTION = 0.03


@dataclass(frozen=True)
class Budget:
    """Time budget.

    Attributes:
        minutes: duration of the budget.
        began: start of the budget, by `time.monotonic`.

    Raises:
        TrainingError: the minutes are not positive, or more than a year.
    """

    minutes: float
    began: float

    def __post_init__(self) -> None:
        if not 0 < self.minutes <= _MAX_MINUTES:
            raise TrainingError("a training takes a positive number of minutes", found=f"{self.minutes:g}")

    def spent(self) -> float:
        """Return the seconds that have passed."""
        return time.monotonic() - self.began

    @property
    def left(self) -> float:
        """Remaining seconds, without the reserve."""
        return 60 * self.minutes - reserve(self.minutes) - self.spent()


@dataclass(frozen=True)
class Work:
    """Work of a training, without its duration.

    Attributes:
        recipe: recipe of the training.
        height: height of the stored images, in pixels.
        width: width of the stored images, in pixels.
        training: number of training images.
        validation: number of validation images.
    """

    recipe: Recipe
    height: int
    width: int
    training: int
    validation: int

    @property
    def max_images(self) -> int:
        """Largest number of training images in all passes."""
        return self.training * (1 + MAX_FINE_TUNING_PASSES if self.recipe.keeps_outputs else MAX_PASSES)

    @property
    def note_of_largest(self) -> str:
        """Note for a user whose training has the largest number of passes."""
        passes = (
            f"{MAX_FINE_TUNING_PASSES} passes of fine-tuning" if self.recipe.keeps_outputs else f"{MAX_PASSES} passes"
        )
        return f"more than {passes} are useless: the training ends early"

    @property
    def batch_size(self) -> int:
        """Number of images in a step."""
        return self.recipe.batch_size_for(self.training)

    def with_recipe(self, recipe: Recipe) -> Work:
        """Return the work with another recipe."""
        return replace(self, recipe=recipe)


def costs_of_steps(work: Work, *, image: float, pixel: float, graph: float, validated: float) -> Costs:
    """Return the costs of a training by gradient steps, from what was measured of its steps.

    Args:
        work: the training.
        image: seconds for each training image, regardless of its size.
        pixel: seconds for each pixel of a training image.
        graph: seconds that the first step at a size takes longer than other steps.
        validated: seconds for each pixel of a validation image.
    """
    last = work.recipe.epochs - 1
    # Each batch of the batch normalization recalibration is a forward pass, a third of a step.
    batches = min(work.recipe.batchnorm_recalibration_batches, max(1, work.training // work.batch_size))
    images = batches * work.batch_size
    step = image + pixel * math.prod(work.recipe.training_size(last, work.height, work.width))
    return Costs(
        image=image,
        pixel=pixel,
        graph=graph,
        validated=validated,
        closing=_CLOSING_GRAPHS * graph + images * step / 3,
        saving=_SAVING_SECONDS + _SAVING_GRAPHS * graph,
    )


def reserve(minutes: float) -> float:
    """Return the seconds of a budget that are not planned."""
    return _RESERVE_SECONDS + _RESERVE_FRACTION * 60 * minutes


def min_minutes(seconds: float) -> float:
    """Return the shortest budget, in tenths of a minute, for a command of that duration, with some tolerance."""
    return math.ceil(10 * (seconds + _RESERVE_SECONDS) / (60 * (1 - _RESERVE_FRACTION)) + 1) / 10


def step_seconds(work: Work, costs: Costs, epoch: int) -> float:
    """Return the seconds per training image in an epoch of the recipe, counted from 0."""
    height, width = work.recipe.training_size(epoch, work.height, work.width)
    return costs.image + costs.pixel * height * width


def mean_seconds(work: Work, costs: Costs, position: float) -> float:
    """Return the mean seconds per training image from a position in the recipe, in epochs, to its end."""
    remaining = work.recipe.epochs - position
    if remaining <= 0:
        return step_seconds(work, costs, work.recipe.epochs - 1)
    fractions = [(min(1.0, epoch + 1 - position), epoch) for epoch in _epochs_from(work.recipe, position)]
    return sum(fraction * step_seconds(work, costs, epoch) for fraction, epoch in fractions) / remaining


def remaining_graphs(work: Work, position: float) -> int:
    """Return an upper bound of the number of graphs that remain to be traced, without the graph in use.

    A network without frozen layers needs one graph fewer.
    """
    recipe = work.recipe
    if recipe.keeps_outputs:
        return int(position <= 1)  # the epoch after the head traces the only graph
    kinds = [
        (recipe.training_size(epoch, work.height, work.width), recipe.phase(epoch), recipe.is_early(epoch))
        for epoch in _epochs_from(recipe, position)
    ]
    changes = sum(before != after for before, after in itertools.pairwise(kinds))
    return changes + (position == 0)


def validated_seconds(work: Work, costs: Costs) -> float:
    """Return the seconds per validation image, without test-time augmentation."""
    return costs.validated * math.prod(work.recipe.final_size(work.height, work.width))


def closing_seconds(work: Work, costs: Costs) -> float:
    """Return the seconds of the end of a pass over the data: validation, history."""
    return costs.closing + work.validation * validated_seconds(work, costs)


def seconds_after(work: Work, costs: Costs) -> float:
    """Return the seconds from the last step to the end of the command.

    These are the seconds for validation, calibration with test-time augmentation, OOD p-value and saving.
    """
    tta_images = work.recipe.tta_views * work.validation
    ood_images = work.validation + min(work.training, _OOD_IMAGES) if work.validation else 0
    tta = _TTA_FRACTION * tta_images * costs.validated * work.height * work.width if work.recipe.tta_views > 1 else 0
    return (
        closing_seconds(work, costs) + costs.saving + tta + (tta_images + ood_images) * validated_seconds(work, costs)
    )


def images_within(work: Work, costs: Costs, position: float, seconds: float) -> int:
    """Return the number of training images that fit into the remaining time.

    Args:
        work: the training.
        costs: measured costs.
        position: position in the recipe, in epochs.
        seconds: seconds to the end of the command, without the reserve.
    """
    step_time = seconds - seconds_after(work, costs) - remaining_graphs(work, position) * costs.graph
    return max(0, int(step_time / _seconds_per_image(work, costs, position)))


def seconds_for(work: Work, costs: Costs, images: int, position: float = 0) -> float:
    """Return the seconds from a position in the recipe to the end of the command.

    Args:
        work: the training.
        costs: measured costs.
        images: number of training images from there on.
        position: position in the recipe, in epochs; 0 is the first step.
    """
    graphs = remaining_graphs(work, position) * costs.graph
    return graphs + images * _seconds_per_image(work, costs, position) + seconds_after(work, costs)


def initial_pace(work: Work, costs: Costs, seconds: float) -> Pace:
    """Return the pace of a training from the seconds to the end of the command, without the reserve."""
    return Pace(end=min(images_within(work, costs, 0, seconds), work.max_images))


def require_enough_time(work: Work, costs: Costs, minutes: float, spent: float) -> None:
    """Raise an error if a budget is too short for a training.

    Args:
        work: the training, at its smallest image size.
        costs: measured costs.
        minutes: the budget.
        spent: seconds of the budget that have passed.

    Raises:
        TrainingError: the budget is too short; the error names the shortest possible budget.
    """
    min_images = _MIN_STEPS * work.batch_size
    images = images_within(work, costs, 0, 60 * minutes - reserve(minutes) - spent)
    if images >= min_images:
        return
    seconds = spent + seconds_for(work, costs, min_images)
    shortest = min_minutes(seconds)
    after = seconds_after(work, costs)
    raise TrainingError(
        f"{minutes:g} minutes are too few to train anything here",
        expected=f"at least {shortest:g} minutes",
        found=f"{spent:.0f} s before the first step and {after:.0f} s for validation and saving at the end, "
        f"which leave time for {images:,} training images",
        remedy=f"--minutes {shortest:g}",
    )


def sizes_are_free(recipe: Recipe, settings: Collection[str]) -> bool:
    """Return whether the image sizes of a recipe may be chosen: the images grow, and the user did not set the sizes.

    Args:
        recipe: recipe with the user's settings.
        settings: recipe keys that the user set.
    """
    return recipe.initial_scale < recipe.final_scale and not {"initial_scale", "final_scale"} & set(settings)


def candidate_recipes(work: Work) -> list[Recipe]:
    """Return the recipe, and copies with smaller and smaller images that grow by the same factor; at least one."""
    recipe = work.recipe
    factor = recipe.initial_scale / recipe.final_scale
    smaller = [
        recipe.model_copy(update={"final_scale": scale, "initial_scale": max(0.25, round(8 * scale * factor) / 8)})
        for scale in _FINAL_SCALES
        if scale < recipe.final_scale and min(_final_size(work, scale)) >= _MIN_FINAL_SIDE
    ]
    candidates = [recipe, *smaller]
    fitting = [
        candidate
        for candidate in candidates
        if math.prod(_final_size(work, candidate.final_scale)) * work.batch_size <= _MAX_PIXELS
    ]
    return fitting or candidates[-1:]


def choose_size(work: Work, costs: Costs, seconds: float) -> Recipe:
    """Return the candidate with the largest images at which enough images fit into the time, or else the smallest."""
    candidates = candidate_recipes(work)
    enough = min_useful_images(work)
    fitting = (
        candidate for candidate in candidates if images_within(work.with_recipe(candidate), costs, 0, seconds) >= enough
    )
    return next(fitting, candidates[-1])


def min_useful_images(work: Work) -> int:
    """Return the number of training images from which a larger image size is useful."""
    return max(_MIN_USEFUL_PASSES * work.training, _MIN_USEFUL_STEPS * work.batch_size)


def replan(work: Work, costs: Costs, pace: Pace, seen: int, seconds: float, *, tolerance: float) -> Pace | None:
    """Return a new pace for the remaining training if the current pace misses the end of the budget.

    Args:
        work: the training.
        costs: present costs.
        pace: current pace.
        seen: total number of images seen.
        seconds: seconds to the end of the command, without the reserve.
        tolerance: seconds by which the pace may miss the end.

    Returns:
        The new pace, which ends at `seen` if there is time for saving only. None if the current pace is kept.
    """
    position = pace.position_at(seen, work.recipe.epochs)
    limit = max(0, work.max_images - seen)
    fitting, planned = min(limit, images_within(work, costs, position, seconds)), pace.end - seen
    if abs(fitting - planned) * _seconds_per_image(work, costs, position) <= tolerance:
        return None
    return Pace(start=seen, position=position, end=seen + (fitting if 2 * fitting >= work.batch_size else 0))


def tolerance(work: Work, minutes: float) -> float:
    """Return the seconds by which a forecast may miss the end of a budget without a new plan."""
    return 60 * minutes * (_FINE_TUNING_TOLERANCE_FRACTION if work.recipe.keeps_outputs else _TOLERANCE_FRACTION)


def _seconds_per_image(work: Work, costs: Costs, position: float) -> float:
    """Return the seconds per training image, including its share of the ends of passes."""
    return mean_seconds(work, costs, position) + closing_seconds(work, costs) / work.training


def _final_size(work: Work, final_scale: float) -> tuple[int, int]:
    return work.recipe.model_copy(update={"final_scale": final_scale}).final_size(work.height, work.width)


def _epochs_from(recipe: Recipe, position: float) -> range:
    return range(min(int(position), recipe.epochs - 1), recipe.epochs)
