"""resume: goes on with a training that was killed or interrupted, to the bits it would have come to."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from saccade.data.dataset import Dataset, Split, SplitName
from saccade.errors import RunError
from saccade.keras_loading import require_keras_settings
from saccade.runs.checkpoints import Checkpoint
from saccade.runs.environment import read_environment
from saccade.runs.lock import locked_for_training
from saccade.runs.records import Environment, Status
from saccade.runs.run import Run
from saccade.runs.run_split import load_run_data, run_splits
from saccade.sanitize import command_line
from saccade.training.progress import Progress, progress_of
from saccade.training.time_budget.budget import Work
from saccade.training.time_budget.timekeeping import Timekeeping
from saccade.training.train import build_networks, run_training

# What of the environment decides on bits.
_DECISIVE = ("saccade", "python", "packages", "backend", "processor", "cores", "accelerators")


def resume(
    run: Run | str | Path,
    data: str | os.PathLike[str] | Dataset | None = None,
    *,
    force: bool = False,
    progress: bool | Progress = True,
) -> Run:
    """Goes on with a training from its latest checkpoint.

    On the same machine, with the same versions and the same data, weights and history come to the same bytes as those
    of a training that was never stopped. A training within a time budget goes on by the plan in force, in the minutes
    that were left at the checkpoint; where that plan has to be changed again, other weights come of it.

    Args:
        run: the run, or its directory.
        data: where the data is now; None: where it was.
        force: go on although data, versions or machine are others, or all checkpoints are damaged.
        progress: whether to tell on stderr how it goes, or whom to tell instead.

    Returns:
        The run.

    Raises:
        RunError: the training has ended already, or another process is at it; something differs; its checkpoints are
            all damaged.
        DataError: the data can't be used.
        TrainingError: the training diverged.
    """
    began = time.monotonic()
    require_keras_settings()
    run = Run.open(run)
    state = run.status().state
    if state in ("finished", "stopped early"):
        raise RunError(
            f"the training of '{run.path}' is {'finished' if state == 'finished' else 'stopped already'}",
            remedy=f"to train it further: {command_line('train', '--extend', run.path, '--epochs', '+5')}",
        )
    callback = progress_of(progress)
    with locked_for_training(run.path):
        run.clean()
        checkpoint = _latest(run, callback, force=force)
        dataset = data if isinstance(data, Dataset) else load_run_data(run, data)
        environment = read_environment(run.environment().compute_dtype)
        _check_same(run, dataset, environment, callback, force=force)
        splits = run_splits(run, dataset)
        networks = build_networks(run.recipe, dataset, splits["train"], environment.compute_dtype)
        run.write_status(Status(state="running", epochs=0, kept_epoch=0))
        callback.on_train_begin(run, networks.validated)
        callback.on_resume(None if checkpoint is None else checkpoint.state)
        timekeeping = _timekeeping(run, checkpoint, splits, began, callback)
        run_training(run, networks, splits, checkpoint=checkpoint, progress=callback, timekeeping=timekeeping)
    return run


def _timekeeping(
    run: Run, checkpoint: Checkpoint | None, splits: Mapping[SplitName, Split], began: float, callback: Progress
) -> Timekeeping | None:
    """Of a training within a time budget: in what the checkpoint had left of it, from `began` on."""
    plan = run.plan() if checkpoint is None else checkpoint.state.plan
    if plan is None:
        return None
    if checkpoint is None:
        plan = plan.model_copy(update={"replans": ()})
    before = 0.0 if checkpoint is None else checkpoint.state.spent
    work = Work(
        run.recipe, run.preprocessing.height, run.preprocessing.width, len(splits["train"]), len(splits["validation"])
    )
    return Timekeeping(work, plan, lambda: before + time.monotonic() - began, callback)


def _latest(run: Run, callback: Progress, *, force: bool) -> Checkpoint | None:
    """The checkpoint to go on from; None: from the beginning, where all are damaged only by force."""
    latest = run.checkpoints.latest()
    if latest.damaged and latest.checkpoint is None and not force:
        raise RunError(
            f"all checkpoints of '{run.path}' are damaged",
            found="; ".join(f"{damaged.path.name}: {damaged.reason}" for damaged in latest.damaged),
            remedy="to train it again from the beginning: add --force",
        )
    if latest.checkpoint is None and run.recipe.transfer:
        raise RunError(
            f"what the network of '{run.path}' brought along is lost: there is no checkpoint that holds it",
            remedy="transfer anew: saccade train DATA --from SOURCE",
        )
    for damaged in latest.damaged:
        callback.on_warning(f"the checkpoint {damaged.path.name} is damaged and left out: {damaged.reason}")
    return latest.checkpoint


def _check_same(run: Run, dataset: Dataset, environment: Environment, callback: Progress, *, force: bool) -> None:
    """Refuses, or by force only tells, what differs from when the run was begun.

    Raises:
        RunError: something differs; or the data has other classes, which no force can mend.
    """
    if dataset.class_names != run.class_names:
        raise RunError(
            f"the data has other classes than the run '{run.path}'",
            expected=", ".join(run.class_names),
            found=", ".join(dataset.class_names),
        )
    differences = _differences(run.environment(), environment)
    if dataset.fingerprint != run.data_fingerprint:
        differences.append(f"data: {dataset.source} holds other images than it did")
    if not differences:
        return
    if not force:
        raise RunError(
            f"the run '{run.path}' was begun elsewhere: going on would not come to the same bits",
            found="; ".join(differences),
            remedy="go on all the same: add --force",
        )
    for difference in differences:
        callback.on_warning(difference)


def _differences(before: Environment, now: Environment) -> list[str]:
    differences = []
    for name in _DECISIVE:
        old, new = getattr(before, name), getattr(now, name)
        if isinstance(old, dict):
            packages = sorted(old.keys() | new.keys())
            differences += [
                f"{package}: {old.get(package, 'none')} then, {new.get(package, 'none')} now"
                for package in packages
                if old.get(package) != new.get(package)
            ]
        elif old != new:
            differences.append(f"{name}: {old or 'none'} then, {new or 'none'} now")
    return differences
