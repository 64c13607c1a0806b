"""Run groups: runs that differ only by seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.evaluation.compare.comparison import RunGroup
from saccade.evaluation.compare.significance import mean_interval
from saccade.recipes import Recipe
from saccade.runs.run import Run

# Recipe keys that do not distinguish recipes: they differ between repetitions, or do not influence the weights.
_IGNORED_KEYS = {"seed", "checkpoint_seconds"}


def group_runs(runs: Sequence[Run]) -> list[list[int]]:
    """Return the indices of the runs of each run group.

    Runs of one run group have the same recipe, data and training length, and differ only by seed. If all runs form one
    run group, each run becomes a run group, so that the seeds are compared.
    """
    groups: dict[str, list[int]] = {}
    for index, run in enumerate(runs):
        groups.setdefault(str(_identity(run)), []).append(index)
    return list(groups.values()) if len(groups) > 1 else [[index] for index in range(len(runs))]


def make_run_group(runs: Sequence[Run], name: str, correct: NDArray[np.bool_]) -> RunGroup:
    """Create a run group.

    Args:
        runs: runs of the run group.
        name: name of the run group.
        correct: correct predictions of each run, bool [runs, n].
    """
    return RunGroup(
        name=name,
        runs=tuple(run.path.resolve() for run in runs),
        recipe=runs[0].recipe.name,
        seeds=tuple(run.recipe.seed for run in runs),
        accuracies=tuple(float(accuracy) for accuracy in correct.mean(axis=1)),
        accuracy_interval=mean_interval(correct),
        seconds=tuple(sum(timing.seconds for timing in run.timings()) for run in runs),
        weights=sum(weight.size for weight in runs[0].weights().values()),
    )


def name_groups(groups: Sequence[Sequence[Run]]) -> list[str]:
    """Return a unique name for each run group: the run's name, or the recipe's name with the differing settings."""
    differing = _differing_settings([group[0].recipe for group in groups])
    names = [group[0].name if len(group) == 1 else _recipe_name(group[0], differing) for group in groups]
    counts = Counter(names)
    return [name if counts[name] == 1 else str(group[0].path) for name, group in zip(names, groups, strict=True)]


def _identity(run: Run) -> tuple[Any, ...]:
    status = run.status()
    # An interrupted training has fewer epochs than its recipe.
    epochs = status.epochs if status.state in ("interrupted", "running") else None
    plan, source = run.plan(), run.source()
    minutes = None if plan is None else plan.minutes
    pretrained = None if source is None else source.fingerprint
    return (
        run.recipe.model_dump(exclude=_IGNORED_KEYS),
        run.data_fingerprint,
        run.preprocessing,
        epochs,
        minutes,
        pretrained,
    )


def _differing_settings(recipes: Sequence[Recipe]) -> list[str]:
    settings = [key for key in Recipe.model_fields if key not in _IGNORED_KEYS | {"name"}]
    # Recipes of different names differ in many settings, and their names are sufficient.
    same_name = [recipe for recipe in recipes if recipe.name == recipes[0].name]
    return [key for key in settings if len({str(getattr(recipe, key)) for recipe in same_name}) > 1]


def _recipe_name(run: Run, differing: Sequence[str]) -> str:
    settings = ", ".join(f"{key}={str(getattr(run.recipe, key)).lower()}" for key in differing)
    return f"{run.recipe.name} on {run.data_name}" + (f" ({settings})" if settings else "")
