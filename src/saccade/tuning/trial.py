"""Trial of a study: a training with the settings of the trial, pruned if its validation curve is low."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import optuna

from saccade.data.dataset import Dataset
from saccade.errors import RecipeError, RunError, TrainingError
from saccade.recipes import Recipe
from saccade.runs.records import EpochRecord
from saccade.runs.run import Run
from saccade.runs.training_state import TrainingState
from saccade.training.interrupt import TrainingInterrupt
from saccade.training.progress import Progress, ProgressList
from saccade.training.resume import resume
from saccade.training.train import train
from saccade.tuning.study import Claim, Study, conclude

MAX_DEATHS = 10
"""Number of processes killed in a trial after which the trial fails."""


def run_trial(study: Study, claimed: Claim, dataset: Dataset, progress: Progress) -> bool:
    """Train with the settings of a claimed trial, or resume its training, and conclude the trial.

    A training that diverges or does not fit the settings is recorded as a failed trial, and the study continues.

    Returns:
        `True` if the trial has ended; `False` if the user interrupted it.

    Raises:
        TrainingError: the unchanged recipe cannot be trained on this data.
        RunError: the run cannot be written.
    """
    began = time.monotonic()
    if claimed.deaths >= MAX_DEATHS:
        # A probable reason: the settings need more memory than the machine has.
        conclude(study, claimed, None, failed=f"{claimed.deaths} processes were killed in this trial")
        return True
    try:
        recipe = study.recipe.with_settings(claimed.trial.params)
        pruning = _PruningCallback(Pruning(claimed, recipe.epochs))
        run = _train_or_resume(dataset, recipe, claimed.folder, ProgressList(progress, pruning))
    except TrainingInterrupt:
        return False
    except optuna.TrialPruned:
        conclude(study, claimed, None, seconds=time.monotonic() - began)
        return True
    except (TrainingError, RecipeError) as error:
        if claimed.number == 0:
            raise
        conclude(study, claimed, None, seconds=time.monotonic() - began, failed=error.problem)
        return True
    status = run.status()
    if status.state == "interrupted":
        return False
    accuracy = run.history()[status.kept_epoch - 1].validation_accuracy
    # The timings of the run include the time in earlier processes.
    seconds = max(time.monotonic() - began, sum(timing.seconds for timing in run.timings()))
    conclude(study, claimed, accuracy, seconds=seconds)
    return True


def _train_or_resume(dataset: Dataset, recipe: Recipe, folder: Path, progress: Progress) -> Run:
    if (folder / "recipe.json").is_file():
        run = Run.open(folder)
        try:
            if run.status().state in ("finished", "stopped early"):
                return run
            return resume(run, dataset, progress=progress)
        except RunError:
            pass  # damaged checkpoints, or those of another machine: train again
    # The directory may contain files of a process that was killed before it wrote a run.
    shutil.rmtree(folder, ignore_errors=True)
    return train(dataset, recipe=recipe, out=folder, progress=progress)


class Pruning:
    """Reports of a trial to the study, which may prune it.

    Args:
        claimed: claim on the trial.
        epochs: number of epochs of the training.
    """

    def __init__(self, claimed: Claim, epochs: int) -> None:
        self._trial = claimed.trial
        self._reported = set(claimed.reported)
        self._epochs = epochs

    def report(self, record: EpochRecord) -> None:
        """Report the validation accuracy of a complete epoch, unless it is reported already.

        Raises:
            optuna.TrialPruned: the trial is pruned.
        """
        step = record.epoch - 1
        if step not in self._reported and record.validation_accuracy is not None:
            self._trial.report(record.validation_accuracy, step)
            self._reported.add(step)
        # Pruning after the last epoch would save no time.
        if record.epoch < self._epochs and self._trial.should_prune():
            raise optuna.TrialPruned


class _PruningCallback(Progress):
    """Callback that reports the validation accuracy of each complete epoch and raises `optuna.TrialPruned`."""

    def __init__(self, pruning: Pruning) -> None:
        self._pruning = pruning
        self._left = 0

    def on_resume(self, state: TrainingState | None) -> None:
        """Report the epochs that a killed process finished but did not report."""
        for record in [] if state is None else state.history:
            self._pruning.report(record)

    def on_epoch_begin(self, epoch: int, images: int, seen: int) -> None:
        """Set the number of remaining images of the epoch."""
        self._left = images - seen

    def on_batch_end(self, images: int, loss: float, accuracy: float) -> None:
        """Subtract the images of the step from the remaining images."""
        self._left -= images

    def on_epoch_end(self, record: EpochRecord, seconds: float) -> None:
        """Report the epoch, unless Ctrl-C ended it early."""
        if not self._left:
            self._pruning.report(record)
