"""Choice between fine-tuning and a linear head alone within a time budget, and its image size and augmented versions.

Arithmetic only. The costs follow from two measured speeds: that of the features by ONNX Runtime, and that of a step of
the upper layers by TensorFlow. Their ratio depends on the processor. The plan of a training changes when its own steps
are measured.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from saccade.recipes import Recipe
from saccade.runs.time_budget_state import Costs, FeatureCosts, Pace
from saccade.training.time_budget import budget
from saccade.training.time_budget.budget import MAX_FINE_TUNING_PASSES, Work, images_within, seconds_after
from saccade.training.time_budget.feature_budget import (
    FeatureWork,
    head_seconds,
    smaller_recipes,
)

# Seconds for an image, relative to those of its features: for the outputs of the frozen layers, with the augmentation
# before them, and for inference by the upper layers (`benchmarks/fine_tuning.py`).
_OUTPUTS = 0.85
_UPPER = 0.4
# Seconds relative to the seconds to build the networks: to trace the graph of the step, and to save.
_GRAPH = 4.0
_SAVING = 4.0
# Seconds at the end of a pass, besides the validation.
_CLOSING = 0.3
# Smallest side of the network's input relative to the stored images. At smaller images, a few passes are not better
# than a head alone. On `clothing`, of 171 validation images: 88.9% by a head at 224x224 pixels; after some 100 s of
# training, 91.2% at 224x224, 91.8% at 192x192 and 87.7% at 160x160.
_MIN_FRACTION = 0.85
# Fewer passes over the training images lower the accuracy more than smaller images, or fewer versions of them, do.
_USEFUL_PASSES = 3.0
# With fewer passes, two augmented versions of each image are as good as more of them.
_MANY_PASSES = 12.0
_FEW_VERSIONS = 2


@dataclass(frozen=True)
class FineTuningSpeed:
    """Measured speed of this machine, in seconds.

    Attributes:
        features: costs of the features and of the head.
        step: seconds of a step for each pixel of the images in the step, at the size of the network's input.
        building: seconds to build the networks.
    """

    features: FeatureCosts
    step: float
    building: float

    def faster(self, other: FineTuningSpeed) -> FineTuningSpeed:
        """Return the lower costs of two measurements, since another process may have slowed one of them down."""
        return FineTuningSpeed(
            features=min(self.features, other.features, key=lambda costs: costs.pixel),
            step=min(self.step, other.step),
            building=min(self.building, other.building),
        )


@dataclass(frozen=True)
class FineTuningWork:
    """Work of fitting a linear head and of fine-tuning the upper layers on kept outputs.

    Attributes:
        head: work of the linear head, by the same recipe.
        validation: number of validation images.
        min_passes: smallest number of passes over the training images for which this work is chosen.
    """

    head: FeatureWork
    validation: int
    min_passes: float = _USEFUL_PASSES

    @property
    def recipe(self) -> Recipe:
        """Recipe of the training."""
        return self.head.recipe

    @property
    def steps(self) -> Work:
        """Work of the gradient steps."""
        return Work(self.recipe, self.head.height, self.head.width, self.head.training, self.validation)


@dataclass(frozen=True)
class FineTuningChoice:
    """Choice among candidates.

    Attributes:
        work: the chosen work.
        costs: costs of its gradient steps.
        images: number of training images in all passes.
        before: seconds for outputs, features and head.
    """

    work: FineTuningWork
    costs: Costs
    images: int
    before: float

    @property
    def pace(self) -> Pace:
        """Pace of the training: the pass that fits the head is the first epoch of the recipe."""
        n = self.work.head.training
        return Pace(start=n, position=1.0, end=n + self.images)


def candidate_recipes(recipe: Recipe, height: int, width: int, settings: Collection[str]) -> list[tuple[Recipe, float]]:
    """Return the recipe and cheaper copies, from the most accurate to the fastest, each with its fewest passes.

    Args:
        recipe: recipe with the user's settings.
        height: height of the stored images, in pixels.
        width: width of the stored images, in pixels.
        settings: recipe keys that the user set, which are kept.
    """
    smaller = [
        each
        for each in smaller_recipes(recipe, height, width, settings)
        if min(each.final_size(height, width)) >= _MIN_FRACTION * min(height, width)
    ]
    if "augmented_versions" in settings or recipe.augmented_versions == 1:
        return [(sized, _USEFUL_PASSES) for sized in [recipe, *smaller]]
    fewer = [
        (sized.with_settings({"augmented_versions": versions}), _USEFUL_PASSES)
        for sized in [recipe, *smaller]
        for versions in (min(_FEW_VERSIONS, recipe.augmented_versions), 1)
    ]
    return [(recipe, _MANY_PASSES), *fewer] if recipe.augmented_versions > _FEW_VERSIONS else fewer


def step_costs(speed: FineTuningSpeed) -> Costs:
    """Return the costs of the gradient steps."""
    building, features = speed.building, speed.features.pixel
    return Costs(
        image=0.0,
        pixel=speed.step,
        graph=_GRAPH * building,
        validated=_UPPER * features,
        closing=_CLOSING,
        saving=_SAVING * building,
    )


def seconds_before_steps(work: FineTuningWork, costs: FeatureCosts) -> float:
    """Return the seconds for the outputs, the features and the head."""
    versions = (1 + work.recipe.augmented_versions) * work.head.training + work.validation
    pixels = math.prod(work.recipe.final_size(work.head.height, work.head.width))
    # The upper layers compute the features of the images themselves, and the training accuracy of the fitted head.
    features = _UPPER * (2 * work.head.training + work.validation)
    return (_OUTPUTS * versions + features) * costs.pixel * pixels + head_seconds(work.head, costs)


def seconds_for(work: FineTuningWork, speed: FineTuningSpeed) -> float:
    """Return the seconds to the end of the command for all epochs of the recipe, of which the first fits the head."""
    images = (work.recipe.epochs - 1) * work.head.training
    before = seconds_before_steps(work, speed.features)
    return before + budget.seconds_for(work.steps, step_costs(speed), images, position=1)


def choose(candidates: Sequence[FineTuningWork], speed: FineTuningSpeed, seconds: float) -> FineTuningChoice | None:
    """Return the first candidate with time for its fewest passes over the training images, or None if there is none.

    Args:
        candidates: work of each candidate recipe, from the most accurate to the fastest.
        speed: measured speed.
        seconds: seconds to the end of the command, without the reserve.
    """
    choices = (choice_of(work, speed, seconds) for work in candidates)
    return next(
        (choice for choice in choices if choice.images >= choice.work.min_passes * choice.work.head.training), None
    )


def choice_of(work: FineTuningWork, speed: FineTuningSpeed, seconds: float) -> FineTuningChoice:
    """Return the choice of a work: the number of images of its steps that fit into the seconds."""
    before, costs = seconds_before_steps(work, speed.features), step_costs(speed)
    images = images_within(work.steps, costs, 1, seconds - before)
    return FineTuningChoice(work, costs, min(images, MAX_FINE_TUNING_PASSES * work.head.training), before)


def summarize_choice(choice: FineTuningChoice, *, minutes: float, spent: float, until: str) -> tuple[str, ...]:
    """Return the lines of the summary: the plan and its times.

    Args:
        choice: the choice.
        minutes: the budget.
        spent: seconds of the budget that have passed.
        until: clock time of the end of the budget.
    """
    work = choice.work
    height, width = work.recipe.final_size(work.head.height, work.head.width)
    versions, passes = work.recipe.augmented_versions, choice.images / work.head.training
    images = f"{work.head.training:,} training images at {width}x{height} pixels"
    augmented = f"{versions} augmented version{'s' if versions > 1 else ''} of each"
    plan = f"recipe {work.recipe.name}, {images}, {augmented}; a linear head, then {passes:.3g} passes of fine-tuning"
    end = seconds_after(work.steps, choice.costs)
    times = (
        f"{minutes:g} minutes, until {until}; {spent:.0f} s are spent, {choice.before:.0f} s are planned for frozen "
        f"layers and head, {end:.0f} s for the end and for saving"
    )
    lines = [f"plan: {plan}", f"time: {times}"]
    if choice.images == MAX_FINE_TUNING_PASSES * work.head.training:
        lines.append(work.steps.note_of_largest)
    return tuple(lines)
