"""extend: trains a finished run further, into a run of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from saccade.data.dataset import Dataset
from saccade.errors import RunError
from saccade.keras_loading import require_keras_settings
from saccade.runs.checkpoints import Checkpoint
from saccade.runs.create import check_free, create_run
from saccade.runs.lock import locked_for_training
from saccade.runs.records import Parent
from saccade.runs.run import Run
from saccade.runs.run_split import load_run_data, run_splits
from saccade.sanitize import command_line
from saccade.training.progress import Progress, progress_of
from saccade.training.train import build_networks, run_training


def extend(
    run: Run | str | Path,
    epochs: int,
    *,
    schedule: Literal["hold", "restart", "anneal"] = "hold",
    data: str | os.PathLike[str] | Dataset | None = None,
    out: str | Path | None = None,
    progress: bool | Progress = True,
) -> Run:
    """Trains a run that has ended for some more epochs, from its last checkpoint, into a new run.

    Weights, optimizer and history are taken over, the epochs are counted on. Where the learning rate was constant,
    `hold` makes a training of 10 epochs extended by 5 the same, bit for bit, as one of 15.

    Args:
        run: the run, or its directory; it stays as it is.
        epochs: how many more, in the phase that it ended in, at its final size of images.
        schedule: what the learning rate does: "hold" the one at the beginning of its last epoch, "restart" the
            recipe's schedule, "anneal" linearly from there to 0.
        data: where the data is now; None: where it was.
        out: the directory to make. None: the first free `runs/<data>-<recipe>-<n>`.
        progress: whether to tell on stderr how it goes, or whom to tell instead.

    Returns:
        The new run; its `parent()` names the one it extends.

    Raises:
        RunError: the run has not ended, has no intact checkpoint, or `out` is in the way.
        RecipeError: fewer than one epoch.
        DataError: the data can't be used.
        TrainingError: the training diverged.
    """
    require_keras_settings()
    check_free(out)
    callback = progress_of(progress)
    parent = Run.open(run)
    checkpoint = _end_of(parent)
    done = checkpoint.state.epoch
    # Within a time budget the recipe was gone through in another number of epochs than its own.
    before = parent.recipe if parent.plan() is None else parent.recipe.with_epochs(done)
    recipe = before.extended(done, epochs, schedule)
    dataset = data if isinstance(data, Dataset) else load_run_data(parent, data)
    if dataset.fingerprint != parent.data_fingerprint:
        raise RunError(
            f"the data is not what the run '{parent.path}' was trained on: {dataset.source} holds other images",
            remedy="name the data it was trained on, or train anew",
        )
    splits = run_splits(parent, dataset)
    compute_dtype = parent.environment().compute_dtype
    networks = build_networks(recipe, dataset, splits["train"], compute_dtype)
    record = Parent(
        path=str(parent.path.resolve()),
        fingerprint=parent.checkpoints.run,
        step=checkpoint.state.step,
        epochs=checkpoint.state.epoch,
    )
    made = create_run(out, dataset, recipe, splits, compute_dtype, record)
    callback.on_train_begin(made, networks.validated)
    with locked_for_training(made.path):
        # Of its own, so that the new run can be gone on with wherever its parent is.
        made.checkpoints.write(checkpoint)
        callback.on_resume(checkpoint.state)
        run_training(made, networks, splits, checkpoint=checkpoint, progress=callback)
    return made


def _end_of(parent: Run) -> Checkpoint:
    """The last checkpoint of a run that has ended, as a training that has not."""
    state = parent.status().state
    if state not in ("finished", "stopped early"):
        raise RunError(
            f"the training of '{parent.path}' has not ended: it is {state}",
            remedy=f"end it first: {command_line('train', '--resume', parent.path)}",
        )
    latest = parent.checkpoints.latest()
    if latest.checkpoint is None or latest.damaged:
        found = [f"{damaged.path.name}: {damaged.reason}" for damaged in latest.damaged]
        raise RunError(
            f"the run '{parent.path}' can't be extended: its last checkpoint is {'damaged' if found else 'missing'}",
            found="; ".join(found) or None,
            remedy="train anew",
        )
    ended = latest.checkpoint.state.model_copy(update={"ended": None, "plan": None})
    return Checkpoint(ended, latest.checkpoint.arrays)
