"""Creation of run directories. An existing run is never overwritten."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from saccade.atomic_io import write_json
from saccade.data.dataset import Dataset, Split, SplitName
from saccade.errors import RunError
from saccade.named_paths import out_path
from saccade.output_folders import make_folder, numbered, require_free
from saccade.recipes import ComputeDtype, Recipe
from saccade.runs.environment import read_environment
from saccade.runs.records import DataRecord, Parent, Status
from saccade.runs.run import Run, has_ended, is_run
from saccade.runs.time_budget_state import FeaturePlan, Plan
from saccade.sanitize import command_line


def create_run(
    out: str | Path | None,
    dataset: Dataset,
    recipe: Recipe,
    splits: Mapping[SplitName, Split],
    compute_dtype: ComputeDtype,
    parent: Parent | None = None,
    plan: Plan | FeaturePlan | None = None,
) -> Run:
    """Make a run directory, and write the records that are known before the training.

    Args:
        out: directory to make; None for the first free `runs/<data>-<recipe>-<n>`.
        dataset: training data.
        recipe: recipe of the training.
        splits: images of each split.
        compute_dtype: dtype of the training.
        parent: run that this run extends; None where it extends none.
        plan: plan of a training within a time budget; None without a time budget.

    Raises:
        RunError: the directory exists and is not empty, or can't be made.
    """
    data = DataRecord.of(dataset, {name: len(split) for name, split in splits.items()})
    check_free(out)
    path = make_folder(out, numbered_runs(dataset, recipe), RunError)
    run = Run(path=path, recipe=recipe, data=data)
    write_json(path / "environment.json", read_environment(compute_dtype).model_dump())
    run.write_status(Status(state="running", epochs=0, kept_epoch=0))
    run.write_split(splits)
    run.write_unreadable(dataset.unreadable)
    if dataset.fixes:
        run.write_fixes(dataset.fixes)
    if parent is not None:
        write_json(path / "parent.json", parent.model_dump())
    if plan is not None:
        run.write_plan(plan)
    write_json(path / "data.json", data.model_dump())
    # Last, because this file makes the directory a run: a process that is killed before leaves nothing to resume.
    write_json(path / "recipe.json", recipe.model_dump())
    return run


def check_free(out: str | Path | None) -> None:
    """Check before any work that `create_run` can make its directory.

    Raises:
        RunError: the directory exists and is not empty.
    """
    path = out_path(out, RunError)
    if path is not None and is_run(path) and not has_ended(Run.open(path)):
        raise RunError(
            f"'{path}' exists already; nothing is overwritten",
            found="a training that is not at its end",
            remedy=f"to go on with it: {command_line('train', '--resume', path)}; for another one, change --out",
        )
    require_free(out, RunError, plural="runs")


def numbered_runs(dataset: Dataset, recipe: Recipe) -> Iterator[Path]:
    """Yield the default directories of a run: `runs/<data>-<recipe>-<n>`."""
    return numbered(Path("runs"), f"{dataset.name}-{recipe.name}-")
