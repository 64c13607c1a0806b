"""Trials of a study whose trainings run elsewhere, several at the same time, as on a cluster.

This process claims the trials, reports the epochs from the histories of their runs, and stops those that are pruned.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import optuna

from saccade.data.dataset import Dataset
from saccade.errors import SaccadeError, TrainingError
from saccade.recipes import Recipe, get_recipe
from saccade.runs.run import Run, has_ended, is_run
from saccade.runs.training_command import PlannedTraining, settings_words
from saccade.tuning.final_comparison import final_runs
from saccade.tuning.study import Claim, Study, claim, conclude
from saccade.tuning.trial import MAX_DEATHS, Pruning


class Trainings(Protocol):
    """Trainings that run elsewhere."""

    @property
    def at_once(self) -> int:
        """Largest number of trainings at the same time."""
        ...

    def start(self, training: PlannedTraining) -> None:
        """Start a training."""
        ...

    def ended(self) -> Mapping[str, SaccadeError | None]:
        """Wait at most a second, and return the trainings that have ended since, with the error of a failed one."""
        ...

    def stop(self, names: Sequence[str]) -> None:
        """Stop trainings as Ctrl-C does, and wait until they have ended."""
        ...


@dataclass(eq=False)
class _Running:
    claimed: Claim
    pruning: Pruning
    began: float = field(default_factory=time.monotonic)


class ParallelTrials:
    """The running trials of this process.

    Args:
        study: open study.
        dataset: its data, from a source that the command line can name.
        trainings: where the trainings run.
    """

    def __init__(self, study: Study, dataset: Dataset, trainings: Trainings) -> None:
        self._study, self._dataset, self._trainings = study, dataset, trainings
        self._running: dict[str, _Running] = {}

    def __len__(self) -> int:
        return len(self._running)

    @property
    def is_full(self) -> bool:
        """Return whether there is no room for another trial."""
        return len(self._running) >= self._trainings.at_once

    def begin(self, max_trials: int | None) -> Claim | None:
        """Claim a trial and start or resume its training; None if the study has all its trials."""
        claimed = claim(self._study, max_trials)
        if claimed is None:
            return None
        if claimed.deaths >= MAX_DEATHS:
            conclude(self._study, claimed, None, failed=f"{claimed.deaths} processes were killed in this trial")
            claimed.lock.close()
            return claimed
        recipe = self._study.recipe.with_settings(claimed.trial.params)
        name = f"trial {claimed.number}"
        self._trainings.start(planned(name, self._dataset, recipe, claimed.folder))
        self._running[name] = _Running(claimed, Pruning(claimed, recipe.epochs))
        return claimed

    def follow(self) -> list[int]:
        """Wait at most a second, report new epochs, and conclude the trials that have ended; return their numbers.

        Raises:
            SaccadeError: the unchanged recipe can't be trained.
        """
        ended = self._trainings.ended()
        numbers = [self._conclude(name, error) for name, error in ended.items()]
        for name, running in list(self._running.items()):
            try:
                self._report(running)
            except optuna.TrialPruned:
                self._trainings.stop([name])
                numbers.append(self._end(name, None))
        return numbers

    def stop(self) -> None:
        """Stop all trainings; their trials are resumed by the next command."""
        self._trainings.stop(list(self._running))
        for running in self._running.values():
            running.claimed.lock.close()
        self._running.clear()

    def _report(self, running: _Running) -> None:
        with suppress(SaccadeError, OSError):  # there is no run yet
            for record in Run.open(running.claimed.folder).history():
                running.pruning.report(record)

    def _conclude(self, name: str, error: SaccadeError | None) -> int:
        running = self._running[name]
        if error is not None:
            if running.claimed.number == 0:
                raise error
            return self._end(name, None, failed=error.problem)
        with suppress(optuna.TrialPruned):
            self._report(running)
        run = Run.open(running.claimed.folder)
        return self._end(name, run.history()[run.status().kept_epoch - 1].validation_accuracy)

    def _end(self, name: str, accuracy: float | None, **attributes: str) -> int:
        running = self._running.pop(name)
        with running.claimed.lock:
            seconds = time.monotonic() - running.began
            conclude(self._study, running.claimed, accuracy, seconds=seconds, **attributes)
        return running.claimed.number


def train_final_runs(
    dataset: Dataset, recipes: Mapping[str, Recipe], folder: Path, trainings: Trainings, log: Callable[[str], None]
) -> None:
    """Train the missing runs of the final comparison.

    Raises:
        TrainingError: a training failed.
    """
    waiting = [
        planned(f"{name}, seed {recipe.seed}", dataset, recipe, place)
        for name, recipe, place in final_runs(recipes, folder)
        if not (is_run(place) and has_ended(Run.open(place)))
    ]
    running = 0
    while waiting or running:
        while waiting and running < trainings.at_once:
            trainings.start(waiting.pop(0))
            running += 1
        for name, error in trainings.ended().items():
            running -= 1
            if error is not None:
                raise TrainingError(f"{name}: {error.problem}", found=error.found, remedy=error.remedy)
            log(f"trained: {name}")


def planned(name: str, dataset: Dataset, recipe: Recipe, place: Path) -> PlannedTraining:
    """Return the training of a recipe, or the command that resumes it."""
    place = place.absolute()
    data = [dataset.source, *dataset.reading.words()]
    if is_run(place):
        words = ["--resume", str(place), dataset.source]
    else:
        words = [*data, "--recipe", recipe.name, *settings_words(recipe, get_recipe(recipe.name)), "--out", str(place)]
    return PlannedTraining(name, ("train", *words, "--json"), place, recipe.epochs)
