"""Plans of trainings within a time budget: measurement of this machine, and choice of recipe, image size and length."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from saccade.data.dataset import Dataset, Split, SplitName
from saccade.data.default_recipe import default_recipe_of
from saccade.errors import TrainingError
from saccade.recipes import Recipe, get_recipe
from saccade.runs.time_budget_state import Costs, FeaturePlan, Plan
from saccade.training.fit import Networks
from saccade.training.machine_precision import compute_dtype_of
from saccade.training.machine_speed import feature_work, fine_tuning_speed, measure_costs, measure_features
from saccade.training.time_budget import feature_budget, fine_tuning_budget
from saccade.training.time_budget.budget import (
    Budget,
    Work,
    candidate_recipes,
    choose_size,
    images_within,
    initial_pace,
    require_enough_time,
    sizes_are_free,
)
from saccade.training.time_budget.fine_tuning_budget import FineTuningChoice, FineTuningWork
from saccade.training.time_budget.plan_summary import summarize_plan
from saccade.training.train import build_networks, make_splits, reject_transfer, resolve_recipe
from saccade.training.transfer_learning.linear_probe import feature_extractor
from saccade.training.transfer_learning.pretrained import PretrainedWeights, imagenet_model

# `accurate` is considered if `fast` has time for this number of passes over the data, and chosen if `accurate` itself
# has time for `_MIN_ACCURATE_PASSES`. On CIFAR-10, `fast` has 89.5% after 8 passes and `accurate` has 91.8% after 24
# passes (docs/performance.md); no numbers of passes in between were measured.
_MIN_FAST_PASSES = 32
_MIN_ACCURATE_PASSES = 16


@dataclass(frozen=True)
class Planned:
    """Training that is planned and can begin.

    Attributes:
        recipe: chosen recipe.
        splits: images of each split.
        plan: the plan.
        networks: networks by the recipe, with their first weights.
        pretrained: source of these weights; None without transfer learning.
        work: work of a training by gradient steps, whose plan may change; None for a linear head.
    """

    recipe: Recipe
    splits: Mapping[SplitName, Split]
    plan: Plan | FeaturePlan
    networks: Networks
    pretrained: PretrainedWeights | None = None
    work: Work | None = None


def plan_training(
    dataset: Dataset,
    budget: Budget,
    recipe: str | Recipe | None,
    settings: Mapping[str, Any],
    previous_split: Mapping[str, SplitName] | None,
) -> Planned:
    """Measure this machine, and choose a training that ends within the budget.

    Args:
        dataset: the data.
        budget: the time budget.
        recipe: name of a recipe, or a recipe. None: the default recipe for the image size.
        settings: recipe keys that the user set, which are kept.
        previous_split: content hash -> split, of the images that keep their split; None if there are none.

    Raises:
        TrainingError: the budget is too short, or the recipe can't train on the data or within a budget.
    """
    default = default_recipe_of(dataset)
    first = resolve_recipe(default if recipe is None else recipe, None, settings)
    reject_transfer(first)
    if first.transfer and not (first.head_only or first.keeps_outputs):
        raise TrainingError(
            "a pretrained network is fine-tuned within a time budget on kept outputs of its frozen layers only",
            found=f"augmented_versions={first.augmented_versions}",
            remedy="omit the minutes, or keep outputs: --set augmented_versions=2",
        )
    splits = make_splits(dataset, first, previous_split)
    if first.transfer:
        return _plan_photographs(dataset, budget, first, splits, settings, is_fixed=isinstance(recipe, Recipe))
    return _plan_steps(dataset, budget, first, splits, settings, recipe)


def _plan_photographs(
    dataset: Dataset,
    budget: Budget,
    first: Recipe,
    splits: Mapping[SplitName, Split],
    settings: Mapping[str, Any],
    *,
    is_fixed: bool,
) -> Planned:
    """Choose fine-tuning or a linear head alone, with image size, augmented versions and mirror images."""
    pretrained = PretrainedWeights.from_model(imagenet_model())
    start = time.perf_counter()
    networks = build_networks(first, dataset, splits["train"], compute_dtype_of(first), pretrained)
    extractor = feature_extractor(networks.validated, first, dataset.preprocessing, dataset.name)
    building = time.perf_counter() - start
    height, width = dataset.preprocessing.height, dataset.preprocessing.width
    whole = feature_work(first, dataset, splits, extractor)
    costs = measure_features(whole, extractor, splits["train"], building)
    probe = first
    if first.keeps_outputs:
        speed = fine_tuning_speed(costs, networks.trained, first, splits["train"], building)
        # The features come from kept outputs, so the cached features of each size need not be looked for.
        works = [FineTuningWork(whole, len(splits["validation"]))]
        if not is_fixed:
            works = [
                FineTuningWork(replace(whole, recipe=each), len(splits["validation"]), passes)
                for each, passes in fine_tuning_budget.candidate_recipes(first, height, width, settings)
            ]
        choice = fine_tuning_budget.choose(works, speed, budget.left)
        if choice is None:
            # The processor may have been busy for a moment, which must not decide against fine-tuning.
            again = measure_features(whole, extractor, splits["train"], building)
            speed = speed.faster(fine_tuning_speed(again, networks.trained, first, splits["train"], building))
            costs = speed.features
            choice = fine_tuning_budget.choose(works, speed, budget.left)
        if choice is None and is_fixed:
            choice = fine_tuning_budget.choice_of(works[0], speed, budget.left)
            require_enough_time(choice.work.steps, choice.costs, budget.minutes, budget.spent() + choice.before)
        if choice is not None:
            return _fine_tuning(dataset, budget, splits, choice, networks, pretrained)
        probe = _linear_probe(settings)
    recipes = [probe] if is_fixed else feature_budget.candidate_recipes(probe, height, width, settings)
    candidates = [feature_work(each, dataset, splits, extractor) for each in recipes]
    head = feature_budget.choose(candidates, costs, budget.left)
    feature_budget.require_enough_time(head, budget.left, budget.minutes, budget.spent())
    reasons = feature_budget.summarize_choice(
        head, costs, minutes=budget.minutes, spent=budget.spent(), until=_clock_time_of_end(budget)
    )
    if first.keeps_outputs:
        reasons += ("there is no time to fine-tune the network: more minutes would help",)
    plan = FeaturePlan(minutes=budget.minutes, reasons=reasons, costs=costs, seconds=head.seconds)
    chosen = head.work.recipe
    if (chosen.final_scale, chosen.head_only) != (first.final_scale, first.head_only):
        networks = build_networks(chosen, dataset, splits["train"], compute_dtype_of(chosen), pretrained)
    return Planned(chosen, splits, plan, networks, pretrained)


def _linear_probe(settings: Mapping[str, Any]) -> Recipe:
    """Return the recipe of a linear head alone, with the settings that have an effect on it."""
    recipe = get_recipe("linear-probe")
    idle = {*recipe.keys_without_effect(settings), "plain_epochs", "augmented_epochs"}
    return recipe.with_settings({key: value for key, value in settings.items() if key not in idle})


def _fine_tuning(
    dataset: Dataset,
    budget: Budget,
    splits: Mapping[SplitName, Split],
    choice: FineTuningChoice,
    networks: Networks,
    pretrained: PretrainedWeights,
) -> Planned:
    """Return the plan of a choice.

    Args:
        dataset: the data.
        budget: the time budget.
        splits: images of each split.
        choice: the choice.
        networks: new networks at the size of the stored images.
        pretrained: source of their weights.
    """
    reasons = fine_tuning_budget.summarize_choice(
        choice, minutes=budget.minutes, spent=budget.spent(), until=_clock_time_of_end(budget)
    )
    recipe = choice.work.recipe
    if recipe.final_scale != 1:
        networks = build_networks(recipe, dataset, splits["train"], compute_dtype_of(recipe), pretrained)
    plan = Plan(minutes=budget.minutes, reasons=reasons, costs=choice.costs, first=choice.pace)
    return Planned(recipe, splits, plan, networks, pretrained, work=choice.work.steps)


def _plan_steps(
    dataset: Dataset,
    budget: Budget,
    first: Recipe,
    splits: Mapping[SplitName, Split],
    settings: Mapping[str, Any],
    recipe: str | Recipe | None,
) -> Planned:
    """Choose the recipe, the image size and the number of training images of a training by gradient steps."""
    work = Work(
        first,
        dataset.preprocessing.height,
        dataset.preprocessing.width,
        len(splits["train"]),
        len(splits["validation"]),
    )
    free = not isinstance(recipe, Recipe) and sizes_are_free(first, settings)
    largest = work.with_recipe(candidate_recipes(work)[0]) if free else work
    costs = _measure(largest, dataset, splits)
    if recipe is None and first.name == "fast" and _passes(largest, costs, budget) >= _MIN_FAST_PASSES:
        accurate = work.with_recipe(resolve_recipe("accurate", None, settings))
        accurate = accurate.with_recipe(candidate_recipes(accurate)[0]) if free else accurate
        accurate_costs = _measure(accurate, dataset, splits)
        if _passes(accurate, accurate_costs, budget) >= _MIN_ACCURATE_PASSES:
            largest, costs = accurate, accurate_costs
    chosen = largest.with_recipe(choose_size(largest, costs, budget.left)) if free else largest
    require_enough_time(chosen, costs, budget.minutes, budget.spent())
    pace = initial_pace(chosen, costs, budget.left)
    reasons = summarize_plan(
        chosen, costs, pace, sizes_are_free=free,
        minutes=budget.minutes, spent=budget.spent(), until=_clock_time_of_end(budget),
    )  # fmt: skip
    networks = build_networks(chosen.recipe, dataset, splits["train"], compute_dtype_of(chosen.recipe))
    plan = Plan(minutes=budget.minutes, reasons=reasons, costs=costs, first=pace)
    return Planned(chosen.recipe, splits, plan, networks, work=chosen)


def _measure(work: Work, dataset: Dataset, splits: Mapping[SplitName, Split]) -> Costs:
    networks = build_networks(work.recipe, dataset, splits["train"], compute_dtype_of(work.recipe))
    return measure_costs(work, networks, splits["train"])


def _passes(work: Work, costs: Costs, budget: Budget) -> float:
    return images_within(work, costs, 0, budget.left) / work.training


def _clock_time_of_end(budget: Budget) -> str:
    return f"{datetime.now() + timedelta(seconds=60 * budget.minutes - budget.spent()):%H:%M:%S}"
