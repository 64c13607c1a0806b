"""train_within: a training that takes so many minutes, from the call to the end."""

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
from saccade.training.machine_precision import compute_dtype_of_machine
from saccade.training.machine_speed import measure_costs
from saccade.training.progress import Progress, progress_of
from saccade.training.time_budget.budget import (
    Work,
    first_pace,
    images_within,
    require_enough,
    reserve,
    sized,
    sizes_are_free,
    sizes_to_try,
)
from saccade.training.time_budget.plan_summary import plan_in_words
from saccade.training.time_budget.timekeeping import Timekeeping
from saccade.training.train import (
    build_networks,
    checked_splits,
    load_data,
    reject_transfer,
    resolve_recipe,
    run_training,
)

# `accurate` is measured where `fast` could make so many passes over the data, and taken if it can make so many itself:
# with 8 and 24 passes they have 89.5% and 91.8% on CIFAR-10 (docs/performance.md). Between, nothing is measured.
_ACCURATE_AFTER = 32
_ACCURATE_PASSES = 16
_MOST_MINUTES = 366 * 24 * 60


@dataclass(frozen=True)
class Budget:
    """A time to keep to.

    Attributes:
        minutes: from `began` to the end.
        began: a reading of `time.monotonic`.

    Raises:
        TrainingError: the minutes are not a positive number of at most a year.
    """

    minutes: float
    began: float

    def __post_init__(self) -> None:
        if not 0 < self.minutes <= _MOST_MINUTES:
            raise TrainingError("a training takes a positive number of minutes", found=f"{self.minutes:g}")

    def spent(self) -> float:
        """Seconds that are gone."""
        return time.monotonic() - self.began

    @property
    def left(self) -> float:
        """Seconds that can be planned with."""
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
    """Trains for so many minutes, loading the data and saving included, and leaves a run directory.

    A few steps measure this machine. Recipe, size of the images and number of passes over the data are chosen so that
    all fits; learning rate, sizes and phases follow the recipe in proportion. While it trains, the rest is planned anew
    where the machine turns out faster or slower. Beyond 100 passes over the data it ends earlier.

    Args:
        data: as for `train`; what decoding it takes is part of the time.
        minutes: from the call to the return.
        recipe: a named recipe, whose images may be seen at a smaller size to save time, or a value of your own, which
            is only gone through faster or slower. None: `fast`, or `accurate` where there is time enough for it.
        out: the directory to make. None: the first free `runs/<data>-<recipe>-<n>`.
        settings: recipe keys to change; those named stay as they are.
        reuse_split: as for `train`.
        progress: whether to tell on stderr how it goes, or whom to tell instead.

    Returns:
        The run; its `plan()` tells what was planned, and what of it was changed on the way.

    Raises:
        TrainingError: the time is too short; the least that would do is named. Else as for `train`.
        DataError: the data can't be used.
        RecipeError: the recipe, a key or a value is not known.
        RunError: `out` is in the way, or `reuse_split` is no run.
    """
    budget = Budget(minutes, time.monotonic())
    require_keras_settings()
    check_free(out)
    size = resolve_recipe("quick" if recipe is None else recipe, None, settings).image_size
    dataset = data if isinstance(data, Dataset) else load_data(data, size, progress is True)
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
    """The same on a loaded dataset, in a budget that may have begun before.

    Raises:
        TrainingError, RecipeError, RunError: as `train_within`.
    """
    require_keras_settings()
    check_free(out)
    previous_split = None if reuse_split is None else Run.open(reuse_split).split_of()
    callback = progress_of(progress)
    callback.on_plan("measuring this machine")
    planned = _planned(dataset, budget, recipe, settings or {}, previous_split)
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


def _planned(
    dataset: Dataset,
    budget: Budget,
    recipe: str | Recipe | None,
    settings: Mapping[str, Any],
    previous_split: Mapping[str, SplitName] | None,
) -> _Planned:
    """Chooses what to train, and how much of it."""
    small = min(dataset.preprocessing.height, dataset.preprocessing.width) < 16
    default = "quick" if small else "fast"
    first = resolve_recipe(default if recipe is None else recipe, None, settings)
    reject_transfer(first)
    splits = checked_splits(dataset, first, previous_split)
    work = Work(
        first,
        dataset.preprocessing.height,
        dataset.preprocessing.width,
        len(splits["train"]),
        len(splits["validation"]),
    )
    free = not isinstance(recipe, Recipe) and sizes_are_free(first, settings)
    largest = work.with_recipe(sizes_to_try(work)[0]) if free else work
    costs = _measured(largest, dataset, splits)
    if recipe is None and not small and _passes(largest, costs, budget) >= _ACCURATE_AFTER:
        accurate = work.with_recipe(resolve_recipe("accurate", None, settings))
        accurate = accurate.with_recipe(sizes_to_try(accurate)[0]) if free else accurate
        its_costs = _measured(accurate, dataset, splits)
        if _passes(accurate, its_costs, budget) >= _ACCURATE_PASSES:
            largest, costs = accurate, its_costs
    chosen = largest.with_recipe(sized(largest, costs, budget.left)) if free else largest
    require_enough(chosen, costs, budget.minutes, budget.spent())
    pace = first_pace(chosen, costs, budget.left)
    until = datetime.now() + timedelta(seconds=60 * budget.minutes - budget.spent())
    reasons = plan_in_words(
        chosen, costs, pace, sizes_are_free=free,
        minutes=budget.minutes, spent=budget.spent(), until=f"{until:%H:%M:%S}",
    )  # fmt: skip
    return _Planned(chosen, splits, Plan(minutes=budget.minutes, reasons=reasons, costs=costs, first=pace))


def _measured(work: Work, dataset: Dataset, splits: Mapping[SplitName, Split]) -> Costs:
    networks = build_networks(work.recipe, dataset, splits["train"], _compute_dtype(work.recipe))
    return measure_costs(work, networks, splits["train"])


def _compute_dtype(recipe: Recipe) -> ComputeDtype:
    return compute_dtype_of_machine() if recipe.compute == "auto" else recipe.compute


def _passes(work: Work, costs: Costs, budget: Budget) -> float:
    return images_within(work, costs, 0, budget.left) / work.training
