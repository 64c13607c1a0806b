"""Training within a time budget, from the call to the end."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from saccade.data.dataset import Dataset, Split, SplitName
from saccade.errors import TrainingError
from saccade.keras_loading import require_keras_settings
from saccade.recipes import ComputeDtype, Recipe
from saccade.runs.create import check_free, create_run
from saccade.runs.lock import locked_for_training
from saccade.runs.run import Run
from saccade.runs.time_budget_state import Costs, Plan
from saccade.training.machine_precision import fastest_compute_dtype
from saccade.training.machine_speed import measure_costs
from saccade.training.progress import Progress, progress_of
from saccade.training.time_budget.budget import (
    Work,
    candidate_recipes,
    choose_size,
    images_within,
    initial_pace,
    require_enough_time,
    reserve,
    sizes_are_free,
)
from saccade.training.time_budget.plan_summary import summarize_plan
from saccade.training.time_budget.timekeeping import Timekeeping
from saccade.training.train import (
    build_networks,
    load_data,
    make_splits,
    reject_transfer,
    resolve_recipe,
    run_training,
)

# `accurate` is considered if `fast` has time for this number of passes over the data, and chosen if `accurate` itself
# has time for `_MIN_ACCURATE_PASSES`. On CIFAR-10, `fast` has 89.5% after 8 passes and `accurate` has 91.8% after 24
# passes (docs/performance.md); no numbers of passes in between were measured.
_MIN_FAST_PASSES = 32
_MIN_ACCURATE_PASSES = 16
_MAX_MINUTES = 366 * 24 * 60


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


def train_within(
    data: str | os.PathLike[str] | Dataset | None,
    minutes: float,
    *,
    recipe: str | Recipe | None = None,
    out: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    reuse_split: Run | str | Path | None = None,
    progress: bool | Progress = True,
) -> Run:
    """Train within a time budget, which includes loading and saving, and write a run directory.

    A few steps measure the speed of the machine. Recipe, image size and number of passes over the data are chosen to
    fit the budget; learning rate, image sizes and phases follow the recipe in proportion. During the training, the plan
    changes when the speed of the machine changes. A training ends early after 100 passes over the data.

    Args:
        data: as for `train`; decoding is part of the budget.
        minutes: duration from the call to the return.
        recipe: the name of a recipe, whose images may be made smaller to save time, or a recipe, of which only the
            number of passes changes. None: `fast`, or `accurate` if there is enough time.
        out: the run directory to create. None: the first free `runs/<data>-<recipe>-<n>`.
        settings: recipe keys to change; the plan does not change these keys.
        reuse_split: as for `train`.
        progress: True for progress on standard error, False for none, or progress callbacks.

    Returns:
        The run; its `plan()` returns the first plan and its changes.

    Raises:
        TrainingError: the budget is too short; the error names the shortest possible budget. Else as for `train`.
        DataError: the data can't be used.
        RecipeError: the recipe, a key or a value is unknown.
        RunError: `out` exists already, or `reuse_split` is not a run.
    """
    budget = Budget(minutes, time.monotonic())
    require_keras_settings()
    check_free(out)
    loading = resolve_recipe("quick" if recipe is None else recipe, None, settings)
    dataset = data if isinstance(data, Dataset) else load_data(data, loading, progress is True)
    return train_in_budget(
        dataset, budget, recipe=recipe, out=out, settings=settings, reuse_split=reuse_split, progress=progress
    )


def train_in_budget(
    dataset: Dataset,
    budget: Budget,
    *,
    recipe: str | Recipe | None = None,
    out: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    reuse_split: Run | str | Path | None = None,
    progress: bool | Progress = True,
) -> Run:
    """Train on a loaded dataset within a time budget that may have begun before the call.

    Raises:
        TrainingError, RecipeError, RunError: as for `train_within`.
    """
    require_keras_settings()
    check_free(out)
    previous_split = None if reuse_split is None else Run.open(reuse_split).split_of()
    callback = progress_of(progress)
    callback.on_plan("measuring this machine")
    planned = _plan(dataset, budget, recipe, settings or {}, previous_split)
    work, splits = planned.work, planned.splits
    compute_dtype = _compute_dtype(work.recipe)
    networks = build_networks(work.recipe, dataset, splits["train"], compute_dtype)
    run = create_run(out, dataset, work.recipe, splits, compute_dtype, plan=planned.plan)
    callback.on_train_begin(run, networks.validated)
    callback.on_plan("\n".join(planned.plan.reasons))
    timekeeping = Timekeeping(work, planned.plan, budget.spent, callback)
    with locked_for_training(run.path):
        run_training(run, networks, splits, progress=callback, timekeeping=timekeeping)
    return run


@dataclass(frozen=True)
class _Planned:
    work: Work
    splits: Mapping[SplitName, Split]
    plan: Plan


def _plan(
    dataset: Dataset,
    budget: Budget,
    recipe: str | Recipe | None,
    settings: Mapping[str, Any],
    previous_split: Mapping[str, SplitName] | None,
) -> _Planned:
    """Choose the recipe, the image size and the number of training images."""
    small = min(dataset.preprocessing.height, dataset.preprocessing.width) < 16
    default = "quick" if small else "fast"
    first = resolve_recipe(default if recipe is None else recipe, None, settings)
    reject_transfer(first)
    splits = make_splits(dataset, first, previous_split)
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
    if recipe is None and not small and _passes(largest, costs, budget) >= _MIN_FAST_PASSES:
        accurate = work.with_recipe(resolve_recipe("accurate", None, settings))
        accurate = accurate.with_recipe(candidate_recipes(accurate)[0]) if free else accurate
        accurate_costs = _measure(accurate, dataset, splits)
        if _passes(accurate, accurate_costs, budget) >= _MIN_ACCURATE_PASSES:
            largest, costs = accurate, accurate_costs
    chosen = largest.with_recipe(choose_size(largest, costs, budget.left)) if free else largest
    require_enough_time(chosen, costs, budget.minutes, budget.spent())
    pace = initial_pace(chosen, costs, budget.left)
    until = datetime.now() + timedelta(seconds=60 * budget.minutes - budget.spent())
    reasons = summarize_plan(
        chosen, costs, pace, sizes_are_free=free,
        minutes=budget.minutes, spent=budget.spent(), until=f"{until:%H:%M:%S}",
    )  # fmt: skip
    return _Planned(chosen, splits, Plan(minutes=budget.minutes, reasons=reasons, costs=costs, first=pace))


def _measure(work: Work, dataset: Dataset, splits: Mapping[SplitName, Split]) -> Costs:
    networks = build_networks(work.recipe, dataset, splits["train"], _compute_dtype(work.recipe))
    return measure_costs(work, networks, splits["train"])


def _compute_dtype(recipe: Recipe) -> ComputeDtype:
    return fastest_compute_dtype() if recipe.compute == "auto" else recipe.compute


def _passes(work: Work, costs: Costs, budget: Budget) -> float:
    return images_within(work, costs, 0, budget.left) / work.training
