"""One trial: a training with the trial's settings, which is pruned when its validation curve lags behind."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import optuna

from saccade.data.dataset import Dataset
from saccade.errors import RecipeError, RunError, TrainingError
from saccade.recipes import Recipe
from saccade.runs.records import EpochRecord
from saccade.runs.run import Run
from saccade.runs.training_state import TrainingState
from saccade.training.progress import Progress, ProgressList
from saccade.training.resume import resume
from saccade.training.train import train
from saccade.tuning.study import Claim, Study, conclude

if TYPE_CHECKING:
    import keras

_MOST_DEATHS = 10


def run_trial(study: Study, claimed: Claim, dataset: Dataset, progress: Progress) -> bool:
    """Trains with the settings of a claimed trial, or goes on with its training, and concludes the trial.

    A training that can't be done with these settings, or that diverges, is remembered as one, and the study goes on.

    Returns:
        Whether it came to its end; if not, the user interrupted it.

    Raises:
        TrainingError: the recipe as it is can't be trained on this data.
        RunError: the training can't be written.
    """
    began = time.monotonic()
    if claimed.deaths >= _MOST_DEATHS:
        # With these settings it takes more memory than there is, perhaps.
        conclude(study, claimed, None, failed=f"{claimed.deaths} processes have died at it")
        return True
    try:
        recipe = study.recipe.with_settings(claimed.trial.params)
        run = _trained(dataset, recipe, claimed.folder, ProgressList(progress, _Watched(claimed)))
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
    # A trial that was taken up has taken longer than it took here.
    seconds = max(time.monotonic() - began, sum(timing.seconds for timing in run.timings()))
    conclude(study, claimed, accuracy, seconds=seconds)
    return True


def _trained(dataset: Dataset, recipe: Recipe, folder: Path, progress: Progress) -> Run:
    if (folder / "recipe.json").is_file():
        run = Run.open(folder)
        try:
            if run.status().state in ("finished", "stopped early"):
                return run
            return resume(run, dataset, progress=progress)
        except RunError:
            pass  # its checkpoints are damaged, or of another machine: it is begun again
    # What is left there by a process that was killed before it had made a run of it.
    shutil.rmtree(folder, ignore_errors=True)
    return train(dataset, recipe=recipe, out=folder, progress=progress)


class _Watched(Progress):
    """Reports the validation accuracy of each whole epoch to a trial, and ends it by `optuna.TrialPruned`."""

    def __init__(self, claimed: Claim) -> None:
        self._trial = claimed.trial
        self._reported = set(claimed.reported)
        self._left = 0
        self._epochs = 0

    def on_train_begin(self, run: Run, network: keras.Model) -> None:
        """Takes note of the number of epochs."""
        self._epochs = run.recipe.epochs

    def on_resume(self, state: TrainingState | None) -> None:
        """Reports what was done before a kill and not reported then."""
        for record in [] if state is None else state.history:
            self._report(record)

    def on_epoch_begin(self, epoch: int, images: int, seen: int) -> None:
        """Counts the images that are left of the epoch."""
        self._left = images - seen

    def on_batch_end(self, images: int, loss: float, accuracy: float) -> None:
        """Counts them."""
        self._left -= images

    def on_epoch_end(self, record: EpochRecord, seconds: float) -> None:
        """Reports the epoch, unless Ctrl-C left it unfinished."""
        if not self._left:
            self._report(record)

    def _report(self, record: EpochRecord) -> None:
        step = record.epoch - 1
        if step not in self._reported and record.validation_accuracy is not None:
            self._trial.report(record.validation_accuracy, step)
            self._reported.add(step)
        # After the last epoch nothing is left to be saved by it.
        if record.epoch < self._epochs and self._trial.should_prune():
            raise optuna.TrialPruned
