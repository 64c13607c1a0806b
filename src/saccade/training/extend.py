"""Extension of a finished training by more epochs, in a new run directory."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from saccade.data.dataset import Dataset
from saccade.data.load import Data
from saccade.errors import RunError
from saccade.keras_loading import require_keras_settings
from saccade.runs.checkpoints import Checkpoint
from saccade.runs.create import check_free, create_run
from saccade.runs.lock import locked_for_training
from saccade.runs.records import Parent
from saccade.runs.run import Run
from saccade.runs.run_split import load_run_data, run_splits
from saccade.runs.training_command import fine_tuning_command
from saccade.sanitize import command_line
from saccade.training.progress import Progress, progress_of
from saccade.training.train import build_networks, run_training


def extend(
    run: Run | str | Path,
    epochs: int,
    *,
    schedule: Literal["hold", "restart", "anneal"] = "hold",
    data: Data | None = None,
    out: str | Path | None = None,
    progress: bool | Progress = True,
) -> Run:
    """Continue an ended training for more epochs, from its last checkpoint, in a new run directory.

    The new run begins with the weights, the optimizer state and the history of the old run. If the learning rate is
    constant, 10 epochs extended by 5 with `hold` give the same bits as a training of 15 epochs.

    Args:
        run: the run, or its directory; the run does not change.
        epochs: number of additional epochs, in the last phase of the run, at its final image size.
        schedule: learning rate of the additional epochs: "hold" keeps the rate of the beginning of the last epoch,
            "restart" restarts the recipe's schedule, "anneal" falls linearly from the last rate to 0.
        data: name or path of the data, if it has moved. None: the source that the run records.
        out: the run directory to create. None: the first free `runs/<data>-<recipe>-<n>`.
        progress: True for progress on standard error, False for none, or progress callbacks.

    Returns:
        The new run; its `parent()` names the extended run.

    Raises:
        RunError: the run has not ended or has no intact checkpoint, or `out` exists already.
        RecipeError: `epochs` is less than 1.
        DataError: the data can't be used.
        TrainingError: the training diverged.
    """
    require_keras_settings()
    check_free(out)
    callback = progress_of(progress)
    parent = Run.open(run)
    _require_more_epochs(parent)
    checkpoint = _last_checkpoint(parent)
    done = checkpoint.state.epoch
    # A training within a time budget has another number of epochs than its recipe.
    before = parent.recipe if parent.plan() is None else parent.recipe.with_epochs(done)
    recipe = before.extended(done, epochs, schedule)
    dataset = data if isinstance(data, Dataset) else load_run_data(parent, data)
    if dataset.fingerprint != parent.data_fingerprint:
        raise RunError(
            f"the data is not what the run '{parent.path}' was trained on: {dataset.source} holds other images",
            remedy="name the data it was trained on, or start a new training",
        )
    splits = run_splits(parent, dataset, parent.split_of())
    compute_dtype = parent.environment().compute_dtype
    networks = build_networks(recipe, dataset, splits["train"], compute_dtype)
    record = Parent(
        path=str(parent.path.resolve()),
        fingerprint=parent.checkpoints.run,
        step=checkpoint.state.step,
        epochs=checkpoint.state.epoch,
    )
    extended = create_run(out, dataset, recipe, splits, compute_dtype, record)
    callback.on_train_begin(extended, networks.validated)
    with locked_for_training(extended.path):
        # The new run gets a copy of the checkpoint, so that it can be resumed without its parent.
        extended.checkpoints.write(checkpoint)
        callback.on_resume(checkpoint.state)
        run_training(extended, networks, splits, checkpoint=checkpoint, progress=callback)
    return extended


def _require_more_epochs(parent: Run) -> None:
    """Raise an error for a run whose recipe has no second epoch."""
    if parent.recipe.has_frozen_network:
        raise RunError(
            f"the run '{parent.path}' can't be extended: it is a linear head on a frozen network, fitted in one epoch",
            remedy=f"to train the layers of its network too: {fine_tuning_command(parent)}",
        )


def _last_checkpoint(parent: Run) -> Checkpoint:
    """Return the last checkpoint of an ended run, with the state of a training that has not ended."""
    state = parent.status().state
    if state not in ("finished", "stopped early"):
        raise RunError(
            f"the training of '{parent.path}' has not ended: it is {state}",
            remedy=f"end it first: {command_line('train', '--resume', parent.path)}",
        )
    latest = parent.checkpoints.latest()
    if latest.checkpoint is None or latest.damaged:
        reasons = [f"{damaged.path.name}: {damaged.reason}" for damaged in latest.damaged]
        raise RunError(
            f"the run '{parent.path}' can't be extended: its last checkpoint is {'damaged' if reasons else 'missing'}",
            found="; ".join(reasons) or None,
            remedy="start a new training",
        )
    ended = latest.checkpoint.state.model_copy(update={"ended": None, "plan": None})
    return Checkpoint(ended, latest.checkpoint.arrays)
