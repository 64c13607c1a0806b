"""Resumption of a killed or interrupted training, with the same bits as without the interruption."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from saccade.data.dataset import Dataset, Split, SplitName
from saccade.data.load import Data
from saccade.errors import RunError
from saccade.keras_loading import require_keras_settings
from saccade.models.pretrained.imagenet import NETWORK
from saccade.runs.checkpoints import Checkpoint
from saccade.runs.environment import read_environment
from saccade.runs.lock import locked_for_training
from saccade.runs.records import Environment, Status
from saccade.runs.run import Run
from saccade.runs.run_split import load_run_data, run_splits
from saccade.runs.time_budget_state import FeaturePlan
from saccade.runs.training_command import require_unfinished
from saccade.sanitize import counted
from saccade.tensorflow_kernels import VALUES, VARIABLE
from saccade.training.parallel.parallel_step import Workers
from saccade.training.progress import Progress, progress_of
from saccade.training.time_budget.budget import Work
from saccade.training.time_budget.timekeeping import Timekeeping
from saccade.training.train import build_networks, run_training
from saccade.training.transfer_learning.pretrained import PretrainedWeights, imagenet_model

# Fields of the environment that the bits of the weights depend on.
_RELEVANT_FIELDS = ("saccade", "python", "packages", "backend", "processor", "cores", "accelerators", "kernels")


def resume(
    run: Run | str | Path,
    data: Data | None = None,
    *,
    force: bool = False,
    progress: bool | Progress = True,
) -> Run:
    """Resume a training from its latest checkpoint.

    On the same machine, with the same versions and data, weights and history have the same bytes as without the
    interruption. A training within a time budget continues with the plan and the remaining minutes of the checkpoint;
    if the plan changes again, the weights differ.

    Args:
        run: the run, or its directory.
        data: name or path of the data, if it has moved, or a loaded dataset. None: the source that the run records.
        force: resume even if data, versions or machine differ, or if all checkpoints are damaged.
        progress: True for progress on standard error, False for none, or progress callbacks.

    Returns:
        The run.

    Raises:
        RunError: the training has ended; another process trains the run; data, versions or machine differ; or all
            checkpoints are damaged.
        DataError: the data can't be used.
        TrainingError: the training diverged.
    """
    return resume_with(None, run, data, force=force, progress=progress)


def resume_with(
    workers: Workers | None,
    run: Run | str | Path,
    data: Data | None = None,
    *,
    force: bool = False,
    progress: bool | Progress = True,
) -> Run:
    """Resume a training as `resume` does, by workers that share each step; None for this process alone.

    The number of workers may be another one than before: the training continues from the same state.

    Raises:
        RunError, DataError, TrainingError: as for `resume`.
        ClusterError: the workers failed.
    """
    began = time.monotonic()
    require_keras_settings()
    run = Run.open(run)
    require_unfinished(run)
    callback = progress_of(progress)
    with locked_for_training(run.path):
        run.clean()
        checkpoint = _latest(run, callback, force=force)
        dataset = data if isinstance(data, Dataset) else load_run_data(run, data)
        environment = read_environment(run.environment().compute_dtype).model_copy(
            update={"workers": 1 if workers is None else workers.count}
        )
        _check_same(run, dataset, environment, callback, force=force)
        if force:
            run.remove_features()
        splits = run_splits(run, dataset, run.split_of())
        pretrained = (
            PretrainedWeights.from_model(imagenet_model()) if checkpoint is None and _comes_from_package(run) else None
        )
        networks = build_networks(run.recipe, dataset, splits["train"], environment.compute_dtype, pretrained)
        run.write_status(Status(state="running", epochs=0, kept_epoch=0))
        callback.on_train_begin(run, networks.validated)
        callback.on_resume(None if checkpoint is None else checkpoint.state)
        timekeeping = _timekeeping(run, checkpoint, splits, began, callback)
        run_training(
            run,
            networks,
            splits,
            checkpoint=checkpoint,
            progress=callback,
            timekeeping=timekeeping,
            workers=workers,
        )
    return run


def _timekeeping(
    run: Run, checkpoint: Checkpoint | None, splits: Mapping[SplitName, Split], began: float, callback: Progress
) -> Timekeeping | None:
    """Return the time budget that is left at the checkpoint, counted from `began`; None without one to keep.

    The plan of a linear head is in the recipe, and does not change.
    """
    plan = run.plan() if checkpoint is None else checkpoint.state.plan
    if plan is None or isinstance(plan, FeaturePlan):
        return None
    if checkpoint is None:
        plan = plan.model_copy(update={"replans": ()})
    before = 0.0 if checkpoint is None else checkpoint.state.spent
    work = Work(
        run.recipe, run.preprocessing.height, run.preprocessing.width, len(splits["train"]), len(splits["validation"])
    )
    return Timekeeping(work, plan, lambda: before + time.monotonic() - began, callback)


def _latest(run: Run, callback: Progress, *, force: bool) -> Checkpoint | None:
    """Return the latest intact checkpoint, or None if there is none; then the training starts at the first epoch.

    Raises:
        RunError: all checkpoints are damaged, and `force` is not given; or the pretrained weights are lost.
    """
    latest = run.checkpoints.latest()
    if latest.damaged and latest.checkpoint is None and not force:
        raise RunError(
            f"all checkpoints of '{run.path}' are damaged",
            found="; ".join(f"{damaged.path.name}: {damaged.reason}" for damaged in latest.damaged),
            remedy="to train again from the first epoch: add --force",
        )
    if latest.checkpoint is None and run.recipe.transfer and not _comes_from_package(run):
        raise RunError(
            f"the pretrained weights of '{run.path}' are lost: no intact checkpoint holds them",
            remedy="start a new training: saccade train DATA --from SOURCE",
        )
    for damaged in latest.damaged:
        callback.on_warning(f"the checkpoint {damaged.path.name} is damaged and skipped: {damaged.reason}")
    return latest.checkpoint


def _comes_from_package(run: Run) -> bool:
    """Return whether the pretrained weights of a run are those of this package: no checkpoint need hold them."""
    source = run.source()
    return source is not None and source.name == NETWORK


def _check_same(run: Run, dataset: Dataset, environment: Environment, callback: Progress, *, force: bool) -> None:
    """Compare data, versions and machine with those of the beginning of the run; `force` makes differences warnings.

    Raises:
        RunError: something differs, and `force` is not given; or the class names differ.
    """
    if dataset.class_names != run.class_names:
        raise RunError(
            f"the data has other classes than the run '{run.path}'",
            expected=", ".join(run.class_names),
            found=", ".join(dataset.class_names),
        )
    before = run.environment()
    differences = _differences(before, environment)
    if before.workers != environment.workers:
        # Other parts of the batches have other bits anyway: then the number of threads matters no more.
        differences = [difference for difference in differences if not difference.startswith("cores: ")]
        callback.on_warning(
            f"{counted(environment.workers, 'worker')} instead of {before.workers:,}: the training continues from the "
            "same state, but not with the bits of an uninterrupted training"
        )
    if dataset.fingerprint != run.data_fingerprint:
        differences.append(f"data: {dataset.source} holds other images than it did")
    if not differences:
        return
    if not force:
        raise RunError(
            f"the run '{run.path}' was started in another environment: a resumed training would give other bits",
            found="; ".join(differences),
            remedy="to resume it nevertheless: add --force",
        )
    for difference in differences:
        callback.on_warning(difference)


def _differences(before: Environment, now: Environment) -> list[str]:
    differences = []
    for name in _RELEVANT_FIELDS:
        old, new = getattr(before, name), getattr(now, name)
        if isinstance(old, dict):
            packages = sorted(old.keys() | new.keys())
            differences += [
                f"{package}: {old.get(package, 'none')} then, {new.get(package, 'none')} now"
                for package in packages
                if old.get(package) != new.get(package)
            ]
        elif old != new:
            hint = f" ({VARIABLE}={VALUES[old]} chooses {old})" if name == "kernels" and old else ""
            differences.append(f"{name}: {old or 'none'} then, {new or 'none'} now{hint}")
    return differences
