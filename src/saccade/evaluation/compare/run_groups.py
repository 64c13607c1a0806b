"""From runs to run groups: runs that differ by seed alone belong together."""

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

# What changes when a training is repeated, or has no part in what comes of it.
_NOT_THE_RECIPE = {"seed", "checkpoint_seconds"}


def group_runs(runs: Sequence[Run]) -> list[list[int]]:
    """The places of the runs, those together that have the same recipe, data and end, and differ by seed alone.

    Where all of them are alike, each stands for itself: then the question is how far apart seeds are.
    """
    groups: dict[str, list[int]] = {}
    for place, run in enumerate(runs):
        groups.setdefault(str(_identity(run)), []).append(place)
    return list(groups.values()) if len(groups) > 1 else [[place] for place in range(len(runs))]


def make_run_group(runs: Sequence[Run], name: str, correct: NDArray[np.bool_]) -> RunGroup:
    """The run group that these runs are.

    Args:
        runs: of one group.
        name: what to call it.
        correct: bool [runs, n]: which images each was right on.
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


def names_of(groups: Sequence[Sequence[Run]]) -> list[str]:
    """A name for each group, no two the same: a run's own, or the recipe's with the settings that not all share."""
    differing = _differing_settings([group[0].recipe for group in groups])
    names = [group[0].name if len(group) == 1 else _recipe_name(group[0], differing) for group in groups]
    counts = Counter(names)
    return [name if counts[name] == 1 else str(group[0].path) for name, group in zip(names, groups, strict=True)]


def _identity(run: Run) -> tuple[Any, ...]:
    status = run.status()
    # A training that was interrupted is not what its recipe says.
    done = status.epochs if status.state in ("interrupted", "running") else None
    plan, source = run.plan(), run.source()
    minutes = None if plan is None else plan.minutes
    pretrained = None if source is None else source.fingerprint
    return (
        run.recipe.model_dump(exclude=_NOT_THE_RECIPE),
        run.data_fingerprint,
        run.preprocessing,
        done,
        minutes,
        pretrained,
    )


def _differing_settings(recipes: Sequence[Recipe]) -> list[str]:
    settings = [key for key in Recipe.model_fields if key not in _NOT_THE_RECIPE | {"name"}]
    alike = [recipe for recipe in recipes if recipe.name == recipes[0].name]
    # Recipes of other names differ in many settings, and the name says so.
    return [key for key in settings if len({str(getattr(recipe, key)) for recipe in alike}) > 1]


def _recipe_name(run: Run, differing: Sequence[str]) -> str:
    settings = ", ".join(f"{key}={str(getattr(run.recipe, key)).lower()}" for key in differing)
    return f"{run.recipe.name} on {run.data_name}" + (f" ({settings})" if settings else "")
