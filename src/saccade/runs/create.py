"""A new run directory, never one that exists."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from saccade.atomic_io import next_free_folder, write_json
from saccade.data.dataset import Dataset, Split, SplitName
from saccade.errors import RunError
from saccade.named_paths import out_path
from saccade.recipes import ComputeDtype, Recipe
from saccade.runs.environment import read_environment
from saccade.runs.records import DataRecord, Parent, Status
from saccade.runs.run import Run
from saccade.runs.time_budget_state import Plan


def create_run(
    out: str | Path | None,
    dataset: Dataset,
    recipe: Recipe,
    splits: Mapping[SplitName, Split],
    compute_dtype: ComputeDtype,
    parent: Parent | None = None,
    plan: Plan | None = None,
) -> Run:
    """Makes a run directory and writes what is known before the training.

    Args:
        out: the directory to make; None for the first free `runs/<data>-<recipe>-<n>`.
        dataset: what will be trained on.
        recipe: how.
        splits: the images, by what they are for.
        compute_dtype: what the training computes in.
        parent: the run that it extends, if it does.
        plan: how it is fitted into a time budget, if it is.

    Raises:
        RunError: the directory exists and is not empty, or can't be made.
    """
    data = DataRecord.of(dataset, {name: len(split) for name, split in splits.items()})
    try:
        path = next_free_folder(Path("runs"), f"{dataset.name}-{recipe.name}") if out is None else _make(Path(out))
    except OSError as error:
        raise RunError(f"the run directory can't be made: {error}", remedy="name another one with --out") from None
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
    # Last, because it makes the directory a run: whoever is killed before leaves nothing that could be gone on with.
    write_json(path / "recipe.json", recipe.model_dump())
    return run


def check_free(out: str | Path | None) -> None:
    """Fails early where `create_run` would fail late because something is in the way.

    Raises:
        RunError: the directory exists and is not empty.
    """
    path = out_path(out, RunError)
    if path is not None and (not path.is_dir() or any(path.iterdir())) and path.exists():
        raise _in_the_way(path)


def _make(path: Path) -> Path:
    check_free(path)
    path.mkdir(parents=True, exist_ok=True)
    return path


def _in_the_way(path: Path) -> RunError:
    return RunError(
        f"'{path}' exists already; a run is never overwritten",
        expected="a directory that does not exist yet, or an empty one",
        remedy="name another one with --out, or leave --out away: runs are then numbered",
    )
