"""Training within a time budget, from the call to the end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saccade.data.dataset import Dataset
from saccade.data.load import Data, load_for_recipe
from saccade.keras_loading import require_keras_settings
from saccade.recipes import Recipe
from saccade.runs.create import check_free, create_run
from saccade.runs.lock import locked_for_training
from saccade.runs.run import Run
from saccade.runs.time_budget_state import Plan
from saccade.training.machine_precision import compute_dtype_of
from saccade.training.parallel.parallel_step import Workers
from saccade.training.plan import plan_training
from saccade.training.progress import Progress, progress_of
from saccade.training.time_budget.budget import Budget
from saccade.training.time_budget.timekeeping import Timekeeping
from saccade.training.train import resolve_recipe, run_training, within_cache


def train_within(
    data: Data | None,
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

    On photographs (recipe `photo`), the speed of the features of a few images is measured. The size of the network's
    input is chosen, and whether the head is fitted to the mirror images too. This plan does not change, and a training
    that needs less time ends early.

    Args:
        data: as for `train`; decoding is part of the budget.
        minutes: duration from the call to the return.
        recipe: the name of a recipe, whose images may be made smaller to save time, or a recipe, of which only the
            number of passes changes. None: the default recipe for the image size; `accurate` instead of `fast` if there
            is enough time.
        out: the run directory to create. None: the first free `runs/<data>-<recipe>-<n>`.
        settings: recipe keys to change; the plan does not change these keys.
        reuse_split: as for `train`.
        progress: True for progress on standard error, False for none, or progress callbacks.

    Returns:
        The run; its `plan()` returns the plan and its changes.

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
    dataset = data if isinstance(data, Dataset) else load_for_recipe(data, loading, progress=progress is True)
    wanted = Wanted(recipe, settings or {})
    return train_in_budget(dataset, budget, wanted, out=out, reuse_split=reuse_split, progress=progress)


@dataclass(frozen=True)
class Wanted:
    """What the user has chosen of the recipe.

    Attributes:
        recipe: as for `train_within`.
        settings: as for `train_within`.
    """

    recipe: str | Recipe | None
    settings: Mapping[str, Any]


def train_in_budget(
    dataset: Dataset,
    budget: Budget,
    wanted: Wanted,
    *,
    out: str | Path | None = None,
    reuse_split: Run | str | Path | None = None,
    workers: Workers | None = None,
    progress: bool | Progress = True,
) -> Run:
    """Train on a loaded dataset within a time budget that may have begun before the call.

    The plan begins with the speed of one worker, and changes with the speed of all workers.

    Raises:
        TrainingError, RecipeError, RunError: as for `train_within`.
        ClusterError: the workers failed.
    """
    require_keras_settings()
    check_free(out)
    previous_split = None if reuse_split is None else Run.open(reuse_split).split_of()
    callback = progress_of(progress)
    callback.on_plan("measuring this machine")
    planned = plan_training(dataset, budget, wanted.recipe, wanted.settings, previous_split)
    plan, splits, networks = planned.plan, planned.splits, planned.networks
    chosen = within_cache(planned.recipe, networks, splits["train"], callback)
    run = create_run(out, dataset, chosen, splits, compute_dtype_of(chosen), plan=plan)
    if chosen.head_only and workers is not None:
        callback.on_warning("the plan has no steps that could be divided among workers: this process works alone")
        workers = None
    if workers is not None:
        run.record_workers(workers.count)
    if planned.pretrained is not None:
        run.write_source(planned.pretrained.record)
    callback.on_train_begin(run, networks.validated)
    callback.on_plan("\n".join(plan.reasons))
    timekeeping = None
    if planned.work is not None and isinstance(plan, Plan):
        timekeeping = Timekeeping(planned.work, plan, budget.spent, callback)
    with locked_for_training(run.path):
        run_training(run, networks, splits, progress=callback, timekeeping=timekeeping, workers=workers)
    return run
