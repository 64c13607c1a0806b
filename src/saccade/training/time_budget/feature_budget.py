"""Choice of image size and mirror images for a linear head on features within a time budget, from measured costs.

Arithmetic only. A frozen network computes features of each training image, and of its mirror image where the recipe
flips images. Nearly all the time goes into the features, in proportion to the number of pixels of the network's input.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from saccade.errors import TrainingError
from saccade.recipes import Recipe
from saccade.runs.time_budget_state import FeatureCosts
from saccade.training.time_budget.budget import min_minutes

# Sides of the network's input below the side of the images, in pixels.
_SMALLER_SIDES = (192, 160, 128)
_SIZE_KEYS = {"image_size", "initial_scale", "final_scale"}
# A better choice is taken if it ends in time at this fraction of the measured speed: the speed of a machine with other
# work changes.
_SPEED = 0.9
# Number of fits to the training images in the choice of a penalty without validation images, relative to one with them:
# a cross-validation, in which each fold has its own fits.
_FOLDS = 6
# A command that ends before this fraction of its budget ends early.
_EARLY = 0.9


@dataclass(frozen=True)
class FeatureWork:
    """Work of fitting a linear head to features.

    Attributes:
        recipe: recipe of the training.
        height: height of the stored images, in pixels.
        width: width of the stored images, in pixels.
        classes: number of classes.
        training: number of training images.
        cross_validated: whether a cross-validation inside the training split chooses the penalty.
        missing: number of images without features in the cache: training images, their mirror images where the recipe
            flips images, and validation images.
    """

    recipe: Recipe
    height: int
    width: int
    classes: int
    training: int
    cross_validated: bool
    missing: int


@dataclass(frozen=True)
class FeatureChoice:
    """Choice among candidates.

    Attributes:
        work: the chosen work.
        seconds: forecast of the time to the end of the command, at the measured speed.
        better: the next better candidate, for which there is no time, and its forecast; None for the best candidate.
    """

    work: FeatureWork
    seconds: float
    better: tuple[Recipe, float] | None


def candidate_recipes(recipe: Recipe, height: int, width: int, settings: Collection[str]) -> list[Recipe]:
    """Return the recipe and cheaper copies, from the most accurate to the fastest.

    First the mirror images are left out, then the network's input gets smaller. A smaller input with mirror images is
    not a candidate: it takes as long as a larger one without them, which is more accurate.

    Args:
        recipe: recipe with the user's settings.
        height: height of the stored images, in pixels.
        width: width of the stored images, in pixels.
        settings: recipe keys that the user set, which are kept.
    """
    mirroring_is_free = "horizontal_flip" not in settings and recipe.horizontal_flip
    without = recipe.with_settings({"horizontal_flip": False}) if mirroring_is_free else recipe
    candidates = [recipe, without] if mirroring_is_free else [recipe]
    return candidates + smaller_recipes(without, height, width, settings)


def smaller_recipes(recipe: Recipe, height: int, width: int, settings: Collection[str]) -> list[Recipe]:
    """Return copies of a recipe whose network sees smaller images, the largest first; none if the user set a size."""
    stored, present = min(height, width), min(recipe.final_size(height, width))
    return [
        recipe.with_settings({"initial_scale": side / stored, "final_scale": side / stored})
        for side in _SMALLER_SIDES
        if stored / 4 <= side < present and _SIZE_KEYS.isdisjoint(settings)
    ]


def seconds_for(work: FeatureWork, costs: FeatureCosts) -> float:
    """Return the seconds from the plan to the end of the command."""
    return features_seconds(work, costs) + head_seconds(work, costs) + costs.saving


def features_seconds(work: FeatureWork, costs: FeatureCosts) -> float:
    """Return the seconds for the features that are not in the cache."""
    return work.missing * costs.pixel * math.prod(work.recipe.final_size(work.height, work.width))


def head_seconds(work: FeatureWork, costs: FeatureCosts) -> float:
    """Return the seconds for the choice of the penalty, by the unmirrored images, and for the fit of the head."""
    examples = work.training * (2 if work.recipe.horizontal_flip else 1)
    fits = _FOLDS if work.cross_validated else 1
    return work.classes * (fits * work.training * costs.penalty + examples * costs.fit)


def choose(candidates: Sequence[FeatureWork], costs: FeatureCosts, seconds: float) -> FeatureChoice:
    """Return the first candidate that ends in time even on a slower machine, or else the fastest candidate.

    Args:
        candidates: work of each candidate recipe, from the most accurate to the fastest; one at least.
        costs: measured costs.
        seconds: seconds to the end of the command, without the reserve.
    """
    forecasts = [seconds_for(work, costs) for work in candidates]
    fitting = (place for place, forecast in enumerate(forecasts) if forecast / _SPEED <= seconds)
    place = next(fitting, min(range(len(candidates)), key=forecasts.__getitem__))
    better = (candidates[place - 1].recipe, forecasts[place - 1]) if place else None
    return FeatureChoice(candidates[place], forecasts[place], better)


def require_enough_time(choice: FeatureChoice, left: float, minutes: float, spent: float) -> None:
    """Raise an error if a budget is too short for the choice at the measured speed.

    Args:
        choice: the choice.
        left: seconds to the end of the command, without the reserve.
        minutes: the budget.
        spent: seconds of the budget that have passed.

    Raises:
        TrainingError: the budget is too short; the error names the shortest possible budget.
    """
    if choice.seconds <= left:
        return
    shortest = min_minutes(spent + choice.seconds)
    raise TrainingError(
        f"{minutes:g} minutes are too few to train anything here",
        expected=f"at least {shortest:g} minutes",
        found=f"{spent:.0f} s before the first feature, and {choice.seconds:.0f} s for features, head and saving",
        remedy=f"--minutes {shortest:g}",
    )


def summarize_choice(
    choice: FeatureChoice, costs: FeatureCosts, *, minutes: float, spent: float, until: str
) -> tuple[str, ...]:
    """Return the lines of the summary: the plan, its times, and the reason for the choice.

    Args:
        choice: the choice.
        costs: measured costs.
        minutes: the budget.
        spent: seconds of the budget that have passed.
        until: clock time of the end of the budget.
    """
    work = choice.work
    features, head, end = features_seconds(work, costs), head_seconds(work, costs), spent + choice.seconds
    times = (
        f"{minutes:g} minutes, until {until}; {spent:.0f} s are spent, {features:.0f} s are planned for the features, "
        f"{head:.0f} s for the head, {costs.saving:.0f} s for the rest and for saving"
    )
    size_and_mirroring = _size_and_mirroring(work, work.recipe)
    lines = [
        f"plan: recipe {work.recipe.name}, {work.training:,} training images {size_and_mirroring}",
        f"time: {times}",
    ]
    if choice.better is not None:
        recipe, seconds = choice.better
        lines.append(f"why: {_size_and_mirroring(work, recipe)}, it would take {(spent + seconds) / 60:.1f} minutes")
    elif end < _EARLY * 60 * minutes:
        lines.append(f"this recipe needs no more time: the training ends early, after {end / 60:.1f} minutes")
    return tuple(lines)


def _size_and_mirroring(work: FeatureWork, recipe: Recipe) -> str:
    height, width = recipe.final_size(work.height, work.width)
    return f"at {width}x{height} pixels, {'with' if recipe.horizontal_flip else 'without'} their mirror images"
