"""The study: Optuna's, in SQLite, with trials that are claimed by one process each and outlast its death.

A trial is written with all its settings in one transaction, and is being worked at as long as somebody holds its lock.
A running trial without a holder is one whose process died: the next process takes it up, the same trial with the same
settings, and its training goes on from its last checkpoint. Optuna's own heartbeat would need minutes to find that out,
and would make another trial of it.

What is tried in trial n is a function of the seed, n and the trials before it. So one process comes to the same trials
however often it is killed. With several processes it depends on which trials had ended when the next began.
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
_FEWEST_FOR_IMPORTANCES = 5
# Seconds that a process waits for another one to have written.
_PATIENCE = 60.0

# Optuna draws random numbers in the alphabetical order of the parameters' names. Here each recipe key has a number in
# place of its name, so that a key can be renamed and the trials stay as they are. New keys come at the end.
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
)
_NUMBERS = {key: f"{number:02}" for number, key in enumerate(_NUMBERED_KEYS)}


@dataclass(frozen=True)
class Study:
    """A study that is open.

    Attributes:
        folder: its directory.
        recipe: that is tuned.
        space: what is searched.
        trials: Optuna's study.
    """

    folder: Path
    recipe: Recipe
    space: SearchSpace
    trials: optuna.Study


@dataclass(frozen=True)
class Claim:
    """A trial that this process works at, until the lock is closed or the process ends.

    Attributes:
        trial: Optuna's, to report to.
        reported: the epochs, counted from 0, that a process which died has reported.
        deaths: how many processes have died at it without having reported another epoch.
        folder: where its training goes.
        lock: open as long as it is claimed.
    """

    trial: optuna.trial.Trial
    reported: frozenset[int]
    deaths: int
    folder: Path
    lock: ExitStack

    @property
    def number(self) -> int:
        """Counted from 0: the recipe as it is."""
        return self.trial.number


@contextmanager
def optuna_at_work(folder: Path) -> Iterator[None]:
    """Keeps Optuna from telling of every trial itself, and explains what it can't do.

    Raises:
        TuningError: the study.db of this directory can't be read or written.
    """
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, optuna.exceptions.OptunaError) as error:
        reason = str(getattr(error.__cause__ or error, "orig", None) or error.__cause__ or error).partition("\n")[0]
        raise TuningError(
            f"'{folder / _DATABASE}' can't be used: {reason}",
            remedy="mend that and go on, or begin another study: name another --out",
        ) from None
    finally:
        optuna.logging.set_verbosity(before)


def open_study(folder: Path, recipe: Recipe, space: SearchSpace) -> Study:
    """Opens the study in a directory, or begins one there."""
    # Connected by hand, because a path within a database's address could mean something else.
    connect = partial(sqlite3.connect, folder / _DATABASE, timeout=_PATIENCE)
    with study_lock(folder):
        trials = optuna.create_study(
            storage=optuna.storages.RDBStorage("sqlite://", engine_kwargs={"creator": connect, "poolclass": NullPool}),
            study_name="saccade",
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(n_warmup_steps=_warmup_epochs(recipe)),
            load_if_exists=True,
        )
    return Study(folder, recipe, space, trials)


def claim(study: Study, most: int | None) -> Claim | None:
    """Takes up a trial whose process died, or else begins the next one.

    Args:
        study: open.
        most: trials that the study shall have; None: there is always another one.
    """
    with study_lock(study.folder):
        trials = study.trials.get_trials(deepcopy=False)
        for trial in trials:
            if trial.state == TrialState.RUNNING and (lock := try_lock(_lock_of(study, trial.number))) is not None:
                return _claim_of(study, trial, lock, deaths=_deaths(trial))
        if most is not None and len(trials) >= most:
            return None
        settings = _proposal(study, trials)
        spread = _distributions(study.space)
        distributions = {key: spread[key] for key in settings}
        lock = try_lock(_lock_of(study, len(trials)))
        if lock is None:
            raise TuningError(f"trial {len(trials)} of '{study.folder}' is locked by another process")
        new = optuna.create_trial(state=TrialState.RUNNING, params=settings, distributions=distributions)
        study.trials.add_trial(new)
        return _claim_of(study, study.trials.get_trials(deepcopy=False)[-1], lock)


def conclude(study: Study, claimed: Claim, accuracy: float | None, **attributes: Any) -> None:
    """Writes down how a trial ended, and removes the trainings that are not the best.

    Args:
        study: open.
        claimed: the trial.
        accuracy: its validation accuracy; None where it was pruned or failed.
        attributes: what else is to be remembered of it.
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
        # Nobody asks for the lock of a trial that has ended.
        with suppress(OSError):  # Windows removes no file that is open; the lock removes it when it is released
            _lock_of(study, claimed.number).unlink()


def ended_trials(study: Study) -> tuple[Trial, ...]:
    """The trials that have ended, in their order."""
    trials = study.trials.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    return tuple(_ended(trial) for trial in trials)


def importances(study: Study) -> dict[str, float]:
    """The part that each key has in how the accuracy varied between complete trials, by fANOVA, the largest first.

    Hutter, Hoos and Leyton-Brown, "An Efficient Approach for Assessing Hyperparameter Importance", 2014.

    Returns:
        key -> part, 0 to 1, all together 1; empty where too few trials are complete, or all came to the same.
    """
    complete = study.trials.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    known = [trial.value for trial in complete if trial.params.keys() == study.space.keys()]
    if len(known) < _FEWEST_FOR_IMPORTANCES or len(set(known)) == 1:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=study.recipe.seed)
    keys = {_NUMBERS[key]: key for key in study.space}
    try:
        parts = optuna.importance.get_param_importances(_with_numbers(complete), evaluator=evaluator, params=list(keys))
    except RuntimeError:  # no tree of its forest found anything to part
        return {}
    return {keys[number]: part for number, part in parts.items()}


def running(study: Study) -> int:
    """How many trials have not ended."""
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
    """The first epoch, counted from 0, after which a trial may be pruned.

    As long as images grow, validation at their final size says little, and nothing about those that begin at another.
    """
    return max(1, recipe.grown_from, recipe.epochs // 4)


def _lock_of(study: Study, number: int) -> Path:
    return study.folder / "trials" / f"{number}.lock"


def _folder_of(study: Study, number: int) -> Path:
    return study.folder / "trials" / str(number)


def _claim_of(study: Study, trial: FrozenTrial, lock: ExitStack, *, deaths: int = 0) -> Claim:
    reported = frozenset(trial.intermediate_values)
    claimed = reopen_trial(study.trials, trial)
    # Deaths count anew with each epoch that is reported.
    claimed.set_user_attr("deaths", {"after": len(reported), "count": deaths})
    return Claim(claimed, reported, deaths, _folder_of(study, trial.number), lock)


def reopen_trial(study: optuna.Study, trial: FrozenTrial) -> optuna.trial.Trial:
    """Return the writable trial of a stored running trial.

    Optuna has no public function for a trial that another process began. `_trial_id` is the only private name of
    Optuna that Saccade uses.
    """
    return optuna.trial.Trial(study, trial._trial_id)


def _deaths(trial: FrozenTrial) -> int:
    """How many processes have died at a running trial that nobody holds, this one's included."""
    before = trial.user_attrs.get("deaths", {"after": 0, "count": 0})
    return 1 + (before["count"] if before["after"] == len(trial.intermediate_values) else 0)


def _proposal(study: Study, trials: Sequence[FrozenTrial]) -> dict[str, Any]:
    """The settings of the next trial: at first the recipe's own, where they are within the space; then Optuna's TPE.

    It is asked in a study of its own in memory, with a generator of its own: so the study on the disk gets the trial
    with all its settings or not at all, and the same trials before it give the same one.
    """
    if not trials:
        own = {key: getattr(study.recipe, key) for key in study.space}
        return {key: value for key, value in own.items() if value in study.space[key]}
    seed = int(make_rng(study.recipe.seed, len(trials), "tuning").integers(2**32))
    separate = _with_numbers(trials, optuna.samplers.TPESampler(seed=seed))
    drawn = separate.ask(_by_number(_distributions(study.space))).params
    return {key: _rounded(drawn[_NUMBERS[key]], dimension) for key, dimension in study.space.items()}


def _with_numbers(trials: Sequence[FrozenTrial], sampler: BaseSampler | None = None) -> optuna.Study:
    """A study in memory with copies of the trials, in which each recipe key is called by its number."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for trial in trials:
        numbered = copy.copy(trial)
        numbered.distributions = _by_number(trial.distributions)
        numbered.params = _by_number(trial.params)
        study.add_trial(numbered)
    return study


def _by_number(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by the number of their recipe key in place of the key."""
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
    """To three digits, which is as much as a range of settings deserves and a command line can stand."""
    if isinstance(dimension, Choices) or not isinstance(value, float):
        return value
    return min(dimension.high, max(dimension.low, float(f"{value:.3g}")))
