"""Optuna study in SQLite, whose trials are claimed by one process each and survive a killed process.

A trial is written with all its settings in one transaction. The process that runs a trial holds its lock. A running
trial whose lock is free belongs to a killed process: the next process claims the same trial with the same settings and
resumes its training from the last checkpoint. Optuna's heartbeat would detect the killed process only after minutes,
and would start a new trial.

The settings of trial n are a function of the seed, n and the trials before n. One process therefore runs the same
trials even if it is killed several times. With several processes, the settings depend on which trials have ended
before the next one begins.
"""

from __future__ import annotations

import copy
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from saccade.augmentation.rng import make_rng
from saccade.errors import TuningError
from saccade.file_lock import try_lock
from saccade.recipes import Recipe
from saccade.recipes.search_space import Choices, Range, SearchSpace
from saccade.tuning.result import Trial, best_of
from saccade.tuning.study_manifest import study_lock

_DATABASE = "study.db"
_MIN_TRIALS_FOR_IMPORTANCES = 5
# Seconds that a process waits for the database lock of another process.
_DATABASE_TIMEOUT = 60.0

# Optuna draws random numbers in the alphabetical order of the parameter names. Each recipe key therefore has a number
# that replaces its name, so that renaming a key does not change the trials. New keys are appended at the end.
_NUMBERED_KEYS = (
    "augmented_epochs",
    "batch_size",
    "class_weights",
    "lr_decay",
    "lr_decay_epochs",
    "final_scale",
    "trainable_fraction",
    "horizontal_flip",
    "keep",
    "label_smoothing",
    "learning_rate",
    "min_steps_per_epoch",
    "network",
    "optimizer",
    "patience",
    "plain_epochs",
    "rotation",
    "schedule",
    "translate",
    "initial_scale",
    "batchnorm_recalibration_batches",
    "transfer",
    "warmup_epochs",
    "integer_translate",
    "crop_scale",
    "vertical_flip",
    "color_jitter",
    "trivial_augment",
    "random_erasing",
    "mixup",
    "cutmix",
    "sampling",
    "augmented_versions",
    "weight_decay",
)
_NUMBERS = {key: f"{number:02}" for number, key in enumerate(_NUMBERED_KEYS)}


@dataclass(frozen=True)
class Study:
    """Open study.

    Attributes:
        folder: directory of the study.
        recipe: unchanged recipe.
        space: search space.
        trials: Optuna study.
    """

    folder: Path
    recipe: Recipe
    space: SearchSpace
    trials: optuna.Study


@dataclass(frozen=True)
class Claim:
    """Claim of this process on a trial, until the lock is closed or the process ends.

    Attributes:
        trial: Optuna trial that receives the reports.
        reported: epochs, from 0, that an earlier process has reported.
        deaths: number of processes that were killed in the trial since the last reported epoch.
        folder: run directory of the training.
        lock: lock of the trial.
    """

    trial: optuna.trial.Trial
    reported: frozenset[int]
    deaths: int
    folder: Path
    lock: ExitStack

    @property
    def number(self) -> int:
        """Number of the trial, from 0."""
        return self.trial.number


@contextmanager
def optuna_at_work(folder: Path) -> Iterator[None]:
    """Silence Optuna's messages on each trial, and convert errors of the database.

    Raises:
        TuningError: study.db of this directory cannot be read or written.
    """
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, optuna.exceptions.OptunaError) as error:
        reason = str(getattr(error.__cause__ or error, "orig", None) or error.__cause__ or error).partition("\n")[0]
        raise TuningError(
            f"'{folder / _DATABASE}' can't be used: {reason}",
            remedy="repair the file, or name another directory with --out for a new study",
        ) from None
    finally:
        optuna.logging.set_verbosity(before)


def open_study(folder: Path, recipe: Recipe, space: SearchSpace) -> Study:
    """Open the study in a directory, or create it."""
    # A connection function, because a path in a database URL could have a special meaning.
    connect = partial(sqlite3.connect, folder / _DATABASE, timeout=_DATABASE_TIMEOUT)
    with study_lock(folder):
        trials = optuna.create_study(
            storage=optuna.storages.RDBStorage("sqlite://", engine_kwargs={"creator": connect, "poolclass": NullPool}),
            study_name="saccade",
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(n_warmup_steps=_warmup_epochs(recipe)),
            load_if_exists=True,
        )
    return Study(folder, recipe, space, trials)


def claim(study: Study, max_trials: int | None) -> Claim | None:
    """Claim a running trial of a killed process, or else begin the next trial.

    Args:
        study: open study.
        max_trials: total number of trials of the study; None: unlimited.

    Returns:
        Claim; None if the study has all its trials.
    """
    with study_lock(study.folder):
        trials = study.trials.get_trials(deepcopy=False)
        for trial in trials:
            if trial.state == TrialState.RUNNING and (lock := try_lock(_lock_of(study, trial.number))) is not None:
                return _claim_of(study, trial, lock, deaths=_deaths(trial))
        if max_trials is not None and len(trials) >= max_trials:
            return None
        settings = _proposal(study, trials)
        all_distributions = _distributions(study.space)
        distributions = {key: all_distributions[key] for key in settings}
        lock = try_lock(_lock_of(study, len(trials)))
        if lock is None:
            raise TuningError(f"trial {len(trials)} of '{study.folder}' is locked by another process")
        new = optuna.create_trial(state=TrialState.RUNNING, params=settings, distributions=distributions)
        study.trials.add_trial(new)
        return _claim_of(study, study.trials.get_trials(deepcopy=False)[-1], lock)


def conclude(study: Study, claimed: Claim, accuracy: float | None, **attributes: Any) -> None:
    """Write the end of a trial to the study, and remove the runs of all trials except the best.

    Args:
        study: open study.
        claimed: claim on the trial.
        accuracy: validation accuracy; None for a pruned or failed trial.
        attributes: other attributes of the trial, such as its duration in seconds.
    """
    with study_lock(study.folder):
        for name, value in attributes.items():
            claimed.trial.set_user_attr(name, value)
        state = TrialState.PRUNED if accuracy is None else TrialState.COMPLETE
        study.trials.tell(claimed.number, accuracy, state=state)
        ended = ended_trials(study)
        best = best_of(ended)
        for trial in ended:
            if trial is not best:
                shutil.rmtree(_folder_of(study, trial.number), ignore_errors=True)
        # The lock of an ended trial is not used again.
        with suppress(OSError):  # Windows removes no file that is open; the lock removes it when it is released
            _lock_of(study, claimed.number).unlink()


def ended_trials(study: Study) -> tuple[Trial, ...]:
    """Return the ended trials in the order of their numbers."""
    trials = study.trials.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    return tuple(_ended(trial) for trial in trials)


def importances(study: Study) -> dict[str, float]:
    """Return the fANOVA importance of each key for the accuracy of the complete trials, the largest first.

    F. Hutter, H. Hoos, K. Leyton-Brown, "An efficient approach for assessing hyperparameter importance", ICML 2014.

    Returns:
        Key -> fraction of the variance, 0 to 1, with sum 1. Empty if too few trials are complete, or if all complete
        trials have the same accuracy.
    """
    complete = study.trials.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    accuracies = [trial.value for trial in complete if trial.params.keys() == study.space.keys()]
    if len(accuracies) < _MIN_TRIALS_FOR_IMPORTANCES or len(set(accuracies)) == 1:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=study.recipe.seed)
    keys = {_NUMBERS[key]: key for key in study.space}
    try:
        fractions = optuna.importance.get_param_importances(
            _with_numbers(complete), evaluator=evaluator, params=list(keys)
        )
    except RuntimeError:  # raised if no tree of the random forest has a split
        return {}
    return {keys[number]: fraction for number, fraction in fractions.items()}


def running(study: Study) -> int:
    """Return the number of running trials."""
    return len(study.trials.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))


def _ended(trial: FrozenTrial) -> Trial:
    failed = trial.user_attrs.get("failed")
    return Trial(
        number=trial.number,
        settings=trial.params,
        state="failed" if failed is not None else "complete" if trial.state == TrialState.COMPLETE else "pruned",
        accuracy=trial.value,
        curve=tuple(trial.intermediate_values[step] for step in sorted(trial.intermediate_values)),
        seconds=trial.user_attrs.get("seconds", 0.0),
        reason=failed,
    )


def _warmup_epochs(recipe: Recipe) -> int:
    """Return the first epoch, from 0, after which a trial may be pruned.

    While the image size grows, the validation accuracy at the final size does not predict the final accuracy.
    """
    return max(1, recipe.grown_from, recipe.epochs // 4)


def _lock_of(study: Study, number: int) -> Path:
    return study.folder / "trials" / f"{number}.lock"


def _folder_of(study: Study, number: int) -> Path:
    return study.folder / "trials" / str(number)


def _claim_of(study: Study, trial: FrozenTrial, lock: ExitStack, *, deaths: int = 0) -> Claim:
    reported = frozenset(trial.intermediate_values)
    claimed = reopen_trial(study.trials, trial)
    # The count of deaths starts at 0 after each reported epoch.
    claimed.set_user_attr("deaths", {"after": len(reported), "count": deaths})
    return Claim(claimed, reported, deaths, _folder_of(study, trial.number), lock)


def reopen_trial(study: optuna.Study, trial: FrozenTrial) -> optuna.trial.Trial:
    """Return the writable trial of a stored running trial.

    Optuna has no public function for a trial that another process began. `_trial_id` is the only private name of
    Optuna that Saccade uses.
    """
    return optuna.trial.Trial(study, trial._trial_id)


def _deaths(trial: FrozenTrial) -> int:
    """Return the number of killed processes of a running trial whose lock is free, the last one included."""
    before = trial.user_attrs.get("deaths", {"after": 0, "count": 0})
    return 1 + (before["count"] if before["after"] == len(trial.intermediate_values) else 0)


def _proposal(study: Study, trials: Sequence[FrozenTrial]) -> dict[str, Any]:
    """Return the settings of the next trial: the values of the recipe for trial 0, then the proposal of Optuna's TPE.

    The proposal comes from a separate study in memory with a separate random generator. The study on disk therefore
    receives a trial with all its settings or not at all, and the same earlier trials give the same proposal.
    """
    if not trials:
        values = {key: getattr(study.recipe, key) for key in study.space}
        return {key: value for key, value in values.items() if value in study.space[key]}
    seed = int(make_rng(study.recipe.seed, len(trials), "tuning").integers(2**32))
    in_memory = _with_numbers(trials, optuna.samplers.TPESampler(seed=seed))
    proposed = in_memory.ask(_numbered(_distributions(study.space))).params
    return {key: _rounded(proposed[_NUMBERS[key]], dimension) for key, dimension in study.space.items()}


def _with_numbers(trials: Sequence[FrozenTrial], sampler: BaseSampler | None = None) -> optuna.Study:
    """Return a study in memory with copies of the trials, in which numbers replace the recipe keys."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for trial in trials:
        numbered = copy.copy(trial)
        numbered.distributions = _numbered(trial.distributions)
        numbered.params = _numbered(trial.params)
        study.add_trial(numbered)
    return study


def _numbered(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with the number of each recipe key in place of the key."""
    return {_NUMBERS[key]: value for key, value in values.items()}


def _distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    return {key: _distribution(dimension) for key, dimension in space.items()}


def _distribution(dimension: Range | Choices) -> BaseDistribution:
    if isinstance(dimension, Choices):
        return CategoricalDistribution(dimension.values)
    if dimension.whole:
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def _rounded(value: Any, dimension: Range | Choices) -> Any:
    """Round a value to three significant digits, which keeps the command line short."""
    if isinstance(dimension, Choices) or not isinstance(value, float):
        return value
    return min(dimension.high, max(dimension.low, float(f"{value:.3g}")))
