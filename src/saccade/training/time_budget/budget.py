"""Plans a training within a time: how much of a recipe fits, and at which size of images. Arithmetic alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection
from dataclasses import dataclass, replace

from saccade.errors import TrainingError
from saccade.recipes import Recipe
from saccade.runs.time_budget_state import Costs, Pace

# Of the whole budget, kept back for what nobody foresees, and for the process to end.
_RESERVE_FRACTION = 0.015
_RESERVE_SECONDS = 1.0
# Below these a smaller size of images is taken: 2.7 passes over CIFAR-10 at up to 20 pixels came to more than 4.4 at
# up to 16, in the same time (docs/performance.md). Few images in small batches need more passes for as many steps.
_WANTED_PASSES = 2
_WANTED_STEPS = 180
# Beyond so many passes over the same images a training ends before its time.
MOST_PASSES = 100
# Sides of the images in the last epochs, as parts of their own, that are tried in turn.
_END_SIZES = (0.75, 0.625, 0.5, 0.375, 0.25)
_SMALLEST_END = 16
# Larger ones are not tried: pixels in a batch, as 500 images of 64x64 have.
_MOST_PIXELS = 500 * 64 * 64
# What is familiar is learned from so many training images.
_OOD_IMAGES = 5000
# Making a view of an image, for each pixel of its own, as a part of what looking at a pixel of it costs.
_TTA_FRACTION = 0.05
# A training shorter than that is none.
_LEAST_STEPS = 10
# A forecast that misses the end by less than this part of the budget is left as it is.
_TOLERANCE_FRACTION = 0.01


@dataclass(frozen=True)
class Work:
    """What is to be done, whatever time it takes.

    Attributes:
        recipe: that is gone through.
        height: of the stored images, in pixels.
        width: of the stored images, in pixels.
        training: number of training images.
        validation: number of validation images.
    """

    recipe: Recipe
    height: int
    width: int
    training: int
    validation: int

    @property
    def batch_size(self) -> int:
        """Images in a step."""
        return self.recipe.batch_size_for(self.training)

    def with_recipe(self, recipe: Recipe) -> Work:
        """The same images by another recipe."""
        return replace(self, recipe=recipe)


def reserve(minutes: float) -> float:
    """Seconds of a budget that are left unplanned."""
    return _RESERVE_SECONDS + _RESERVE_FRACTION * 60 * minutes


def step_seconds(work: Work, costs: Costs, epoch: int) -> float:
    """Seconds for a training image in an epoch of the recipe, counted from 0."""
    height, width = work.recipe.training_size(epoch, work.height, work.width)
    return costs.image + costs.pixel * height * width


def mean_seconds(work: Work, costs: Costs, position: float) -> float:
    """Seconds for a training image, on average from a position in the recipe, in its epochs, to its end."""
    left = work.recipe.epochs - position
    if left <= 0:
        return step_seconds(work, costs, work.recipe.epochs - 1)
    parts = [(min(1.0, epoch + 1 - position), epoch) for epoch in _epochs_from(work.recipe, position)]
    return sum(fraction * step_seconds(work, costs, epoch) for fraction, epoch in parts) / left


def graphs_ahead(work: Work, position: float) -> int:
    """How many graphs are still to be made at most, that of the present size not counted once its training has begun.

    A network of which all layers always learn needs one fewer.
    """
    recipe = work.recipe
    kinds = [
        (recipe.training_size(epoch, work.height, work.width), recipe.phase(epoch), recipe.is_early(epoch))
        for epoch in _epochs_from(recipe, position)
    ]
    changes = sum(before != after for before, after in itertools.pairwise(kinds))
    return changes + (position == 0)


def validated_seconds(work: Work, costs: Costs) -> float:
    """Seconds in which one image is validated, one view."""
    return costs.validated * math.prod(work.recipe.final_size(work.height, work.width))


def closing_seconds(work: Work, costs: Costs) -> float:
    """Seconds that the end of a pass over the data takes."""
    return costs.closing + work.validation * validated_seconds(work, costs)


def seconds_after(work: Work, costs: Costs) -> float:
    """From the last step to the end of the command: validation, calibration over all views, OOD score, saving."""
    tta_images = work.recipe.tta_views * work.validation
    ood_images = work.validation + min(work.training, _OOD_IMAGES) if work.validation else 0
    made = _TTA_FRACTION * tta_images * costs.validated * work.height * work.width if work.recipe.tta_views > 1 else 0
    return (
        closing_seconds(work, costs) + costs.saving + made + (tta_images + ood_images) * validated_seconds(work, costs)
    )


def images_within(work: Work, costs: Costs, position: float, seconds: float) -> int:
    """How many training images can be seen from a position in the recipe, with so many seconds to the command's end.

    Args:
        work: the training.
        costs: what its parts take.
        position: in epochs of the recipe.
        seconds: all that are left, reserve taken off.
    """
    left = seconds - seconds_after(work, costs) - graphs_ahead(work, position) * costs.graph
    return max(0, int(left / _each(work, costs, position)))


def seconds_for(work: Work, costs: Costs, images: int) -> float:
    """From the first step to the end of the command, for a training on so many images."""
    graphs = graphs_ahead(work, 0) * costs.graph
    return graphs + images * _each(work, costs, 0) + seconds_after(work, costs)


def first_pace(work: Work, costs: Costs, seconds: float) -> Pace:
    """The pace of a training that has so many seconds to the end of its command, reserve taken off."""
    return Pace(end=min(images_within(work, costs, 0, seconds), MOST_PASSES * work.training))


def require_enough(work: Work, costs: Costs, minutes: float, spent: float) -> None:
    """Refuses a budget in which nothing could be learned.

    Args:
        work: the training, at its smallest.
        costs: what its parts take.
        minutes: the budget.
        spent: seconds of it that are gone.

    Raises:
        TrainingError: it is too small; the least one is named.
    """
    fewest = _LEAST_STEPS * work.batch_size
    images = images_within(work, costs, 0, 60 * minutes - reserve(minutes) - spent)
    if images >= fewest:
        return
    least = (spent + seconds_for(work, costs, fewest) + _RESERVE_SECONDS) / (60 * (1 - _RESERVE_FRACTION))
    after = seconds_after(work, costs)
    raise TrainingError(
        f"{minutes:g} minutes are too few to train anything here",
        expected=f"at least {math.ceil(10 * least + 1) / 10:g} minutes",
        found=f"{spent:.0f} s spent before the first step, {after:.0f} s for validation and saving at the end; "
        f"of the rest {images:,} images could be seen",
        remedy=f"--minutes {math.ceil(10 * least + 1) / 10:g}",
    )


def sizes_are_free(recipe: Recipe, settings: Collection[str]) -> bool:
    """Whether the sizes of a named recipe's images may be chosen: they grow, and nobody set them.

    Args:
        recipe: with all settings made.
        settings: the keys that were set.
    """
    return recipe.initial_scale < recipe.final_scale and not {"initial_scale", "final_scale"} & set(settings)


def sizes_to_try(work: Work) -> list[Recipe]:
    """The recipe itself, and it with smaller and smaller images, which grow by the same factor; at least one."""
    own = work.recipe
    factor = own.initial_scale / own.final_scale
    smaller = [
        own.model_copy(update={"final_scale": end, "initial_scale": max(0.25, round(8 * end * factor) / 8)})
        for end in _END_SIZES
        if end < own.final_scale and min(_end(work, end)) >= _SMALLEST_END
    ]
    every = [own, *smaller]
    fitting = [each for each in every if math.prod(_end(work, each.final_scale)) * work.batch_size <= _MOST_PIXELS]
    return fitting or every[-1:]


def sized(work: Work, costs: Costs, seconds: float) -> Recipe:
    """The recipe with the largest images at which enough of it fits into so many seconds, or else the smallest."""
    tried = sizes_to_try(work)
    enough = wanted_images(work)
    fitting = (each for each in tried if images_within(work.with_recipe(each), costs, 0, seconds) >= enough)
    return next(fitting, tried[-1])


def wanted_images(work: Work) -> int:
    """How many images a training should see before larger ones are of use."""
    return max(_WANTED_PASSES * work.training, _WANTED_STEPS * work.batch_size)


def replanned(work: Work, costs: Costs, pace: Pace, seen: int, seconds: float, *, tolerance: float) -> Pace | None:
    """Another pace for the rest of a training, where it would miss its end otherwise.

    Args:
        work: the training.
        costs: what its parts take now.
        pace: in force.
        seen: images seen in all.
        seconds: to the end of the command, reserve taken off.
        tolerance: by how many seconds it may miss it.

    Returns:
        None where the pace in force will do. One that ends at `seen` where nothing but saving fits.
    """
    position = pace.position_at(seen, work.recipe.epochs)
    most = max(0, MOST_PASSES * work.training - seen)
    fitting, planned = min(most, images_within(work, costs, position, seconds)), pace.end - seen
    if abs(fitting - planned) * _each(work, costs, position) <= tolerance:
        return None
    return Pace(start=seen, position=position, end=seen + (fitting if 2 * fitting >= work.batch_size else 0))


def tolerance(minutes: float) -> float:
    """Seconds by which a forecast may miss the end of a budget before the rest is planned anew."""
    return _TOLERANCE_FRACTION * 60 * minutes


def _each(work: Work, costs: Costs, position: float) -> float:
    """Seconds for a training image with its share of the ends of passes."""
    return mean_seconds(work, costs, position) + closing_seconds(work, costs) / work.training


def _end(work: Work, final_scale: float) -> tuple[int, int]:
    return work.recipe.model_copy(update={"final_scale": final_scale}).final_size(work.height, work.width)


def _epochs_from(recipe: Recipe, position: float) -> range:
    return range(min(int(position), recipe.epochs - 1), recipe.epochs)
