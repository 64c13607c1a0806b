"""Tuning of a recipe: trials on validation images, then the comparison with the unchanged recipe."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from saccade.data.dataset import Dataset
from saccade.data.default_recipe import default_recipe_of
from saccade.data.load import Data, load_for_recipe
from saccade.data.splits import splits_of
from saccade.errors import TuningError
from saccade.keras_loading import require_keras_settings
from saccade.progress import log_message
from saccade.recipes import Recipe
from saccade.recipes.search_space import Choices, Range, search_space, text_of
from saccade.sanitize import counted
from saccade.training.progress import progress_of
from saccade.training.train import resolve_recipe
from saccade.tuning.final_comparison import SEEDS, compare_with_default
from saccade.tuning.result import State, Trial, Tuning, best_of
from saccade.tuning.study_manifest import TuningRecord, check_folder, enter_folder

if TYPE_CHECKING:
    from saccade.tuning.parallel_trials import Trainings
    from saccade.tuning.study import Claim, Study

# Seconds between two checks of the trials of other processes.
_POLL_SECONDS = 1.0
# Time of the final trainings and evaluations relative to the same trials, and seconds for plots and overhead.
_FINAL_ALLOWANCE = 1.25
_FINAL_SECONDS = 20.0


def tune(
    data: Data,
    *,
    trials: int | None = None,
    minutes: float | None = None,
    recipe: str | Recipe | None = None,
    search: Mapping[str, str | Range | Choices | None] | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> Tuning:
    """Search for better settings of a recipe, and compare the best settings with the unchanged recipe.

    Each trial trains once, with the seed of the recipe. A trial is pruned if its best validation accuracy is below the
    median of the other trials after the same number of epochs. The first trial is the unchanged recipe; Optuna's TPE
    proposes the others. At the end the best settings and the unchanged recipe are trained with three other seeds each
    and compared on the test split, which the trials do not use.

    The same call resumes a killed study. A second process with the same `out` shares the study.

    Args:
        data: dataset, or data as for `saccade.load`.
        trials: total number of trials of the study. Either `trials` or `minutes` is required.
        minutes: time budget of this call, as far as the duration of earlier trials predicts it.
        recipe: recipe or its name. None: the default recipe for the image size.
        search: key -> range "LOW..HIGH" or choices "A,B,C" in place of the default range; None: do not search the key.
        out: directory of the study. None: the first free `tunings/<data>-<recipe>-<n>`.
        progress: log the trials on stderr.

    Raises:
        TuningError: Optuna is not installed, `out` holds another study, or the data has no validation images.
        RecipeError: a key cannot be searched, or a value is not valid.
        DataError: the data cannot be used.
        TrainingError: the unchanged recipe cannot be trained on this data.
        EvaluationError: the data has no test images.
    """
    began = time.monotonic()
    _check_budget(trials, minutes)
    _require_optuna()
    require_keras_settings()
    check_folder(out)
    loading = resolve_recipe("quick" if recipe is None else recipe, None, None)
    dataset = data if isinstance(data, Dataset) else load_for_recipe(data, loading, progress=progress)
    base = resolve_recipe(recipe or default_recipe_of(dataset), None, None)
    budget = Budget(trials, None if minutes is None else began + 60 * minutes)
    return tune_with(None, dataset, base, search or {}, budget, out=out, progress=progress)


def tune_with(
    trainings: Trainings | None,
    dataset: Dataset,
    base: Recipe,
    search: Mapping[str, str | Range | Choices | None],
    budget: Budget,
    *,
    out: str | Path | None,
    progress: bool,
) -> Tuning:
    """Tune a recipe on a loaded dataset as `tune` does, with trainings that run elsewhere; None: in this process.

    Raises:
        TuningError, RecipeError, TrainingError, EvaluationError: as for `tune`.
        ClusterError: the trainings elsewhere failed.
    """
    _require_optuna()
    require_keras_settings()
    check_folder(out)
    space = search_space(base, search)
    validation = splits_of(dataset, validation_split=base.validation_split, seed=base.seed)["validation"]
    _require_images(dataset, len(validation))
    record = TuningRecord.of(base, space, dataset, validation)

    from saccade.tuning.page import write_tuning
    from saccade.tuning.study import ended_trials, importances, open_study, optuna_at_work

    folder = enter_folder(out, record)
    with optuna_at_work(folder):
        study = open_study(folder, base, space)
        log_message(f"study: {folder} ({base.name}; searched: {', '.join(space)})", shown=progress)
        if trainings is None:
            state = _search(study, dataset, budget, progress)
        else:
            state = _search_elsewhere(study, dataset, budget, trainings, progress)
        ended = ended_trials(study)
        tuning = Tuning(
            folder=folder,
            data_name=dataset.name,
            data_source=dataset.source,
            recipe=base,
            space=space,
            num_validation_images=len(validation),
            trials=ended,
            importances=importances(study),
            comparison=None,
            state=state,
            notes=(*dataset.notes, *_notes(ended, len(validation), state, budget)),
            files=(),
        )
    return write_tuning(_with_comparison(tuning, dataset, trainings, progress))


@dataclass(frozen=True)
class Budget:
    """Budget of a study: number of trials, or deadline by `time.monotonic`."""

    trials: int | None
    deadline: float | None

    def allows(self, ended: tuple[Trial, ...]) -> bool:
        """Return `True` if the time suffices for another trial and the final trainings."""
        complete = [trial.seconds for trial in ended if trial.state == "complete"]
        best = best_of(ended)
        if self.deadline is None or best is None:
            return True
        longest = max(complete)
        best_seconds = longest if best.number == 0 else best.seconds
        final = _FINAL_SECONDS + _FINAL_ALLOWANCE * SEEDS * (ended[0].seconds + best_seconds)
        return time.monotonic() + longest + final <= self.deadline


def _search(study: Study, dataset: Dataset, budget: Budget, progress: bool) -> State:
    """Run trials until the budget is used up and no process runs a trial."""
    from saccade.tuning.study import claim, ended_trials, running
    from saccade.tuning.trial import run_trial

    while True:
        within = budget.allows(ended_trials(study))
        claimed = claim(study, budget.trials if within else 0)
        if claimed is None:
            if not running(study):
                return "finished"
            if budget.deadline is not None:
                return "running elsewhere"
            time.sleep(_POLL_SECONDS)
            continue
        with claimed.lock:
            log_message(_begin_message(claimed, study.recipe, budget), shown=progress)
            if not run_trial(study, claimed, dataset, progress_of(progress)):
                return "interrupted"
        log_message(_end_message(claimed.number, ended_trials(study)), shown=progress)
        # Networks contain reference cycles: without a collection, each training leaves 16 MB or more in memory.
        gc.collect()


def _search_elsewhere(study: Study, dataset: Dataset, budget: Budget, trainings: Trainings, progress: bool) -> State:
    """Run trials elsewhere until the budget is used up and all of them have ended."""
    from saccade.tuning.parallel_trials import ParallelTrials
    from saccade.tuning.study import ended_trials, running

    trials = ParallelTrials(study, dataset, trainings)
    try:
        while True:
            claimed = None
            if not trials.is_full:
                claimed = trials.begin(budget.trials if budget.allows(ended_trials(study)) else 0)
            if claimed is not None:
                log_message(_begin_message(claimed, study.recipe, budget), shown=progress)
                continue
            if not trials and not running(study):
                return "finished"
            if not trials and budget.deadline is not None:
                return "running elsewhere"
            for number in trials.follow():
                log_message(_end_message(number, ended_trials(study)), shown=progress)
    except KeyboardInterrupt:
        log_message("\nstopping the trials and saving them", shown=progress)
        trials.stop()
        return "interrupted"


def _with_comparison(tuning: Tuning, dataset: Dataset, trainings: Trainings | None, progress: bool) -> Tuning:
    """Return the tuning with the final comparison, if the best trial is not the unchanged recipe."""
    best = tuning.best
    if tuning.state != "finished" or best is None or best.number == 0:
        return tuning
    recipes = {f"trial-{best.number}": tuning.best_recipe, "default": tuning.recipe}
    if trainings is not None:
        from saccade.tuning.parallel_trials import train_final_runs

        train_final_runs(dataset, recipes, tuning.folder, trainings, lambda text: log_message(text, shown=progress))
    comparison = compare_with_default(dataset, recipes, tuning.folder, progress=progress)
    return replace(tuning, comparison=comparison, state="finished" if comparison else "interrupted")


def _check_budget(trials: int | None, minutes: float | None) -> None:
    if (trials is None) == (minutes is None) or (trials or minutes or 0) <= 0:
        raise TuningError(
            "a tuning requires a limit",
            expected="either a number of trials or a number of minutes, above 0",
            found=f"trials={trials}, minutes={minutes}",
        )


def _require_optuna() -> None:
    if find_spec("optuna") is None:
        raise TuningError("tuning needs Optuna, which is not installed", remedy="pip install 'saccade[tune]'")


def _require_images(dataset: Dataset, validation: int) -> None:
    if not validation:
        raise TuningError(
            "settings can't be compared without validation images", remedy="hold out images: --set validation_split=0.1"
        )
    if not len(dataset.splits["test"]):
        raise TuningError(f"'{dataset.name}' has no test images for the comparison with the unchanged recipe")


def _notes(trials: tuple[Trial, ...], validation: int, state: State, budget: Budget) -> list[str]:
    notes = []
    if state == "running elsewhere":
        notes.append("another process still runs a trial of this study; the last process writes the comparison")
    if budget.deadline is not None and len(trials) == 1:
        notes.append(
            "the time was too short for a second trial and the final trainings: use more minutes or fewer epochs"
        )
    failed = [trial for trial in trials if trial.state == "failed"]
    if failed:
        notes.append(f"failed trials: {len(failed)}, the first because {failed[0].reason}")
    if len(trials) > 1:
        notes.append(
            f"all trials share the same {validation:,} validation images, so the accuracy of the best trial is "
            "optimistic"
        )
    return notes


def _begin_message(claimed: Claim, recipe: Recipe, budget: Budget) -> str:
    of = "" if budget.trials is None else f" (the last is {budget.trials - 1})"
    settings = ", ".join(f"{key}={text_of(value)}" for key, value in claimed.trial.params.items())
    resumed = ", resumed" if claimed.reported or claimed.folder.exists() else ""
    return f"trial {claimed.number}{of}{resumed}: {settings if claimed.number else f'{recipe.name} unchanged'}"


def _end_message(number: int, trials: tuple[Trial, ...]) -> str:
    (trial,) = (each for each in trials if each.number == number)
    best = best_of(trials)
    accuracy = "" if trial.accuracy is None else f" at {trial.accuracy:.2%}"
    ended = {"complete": "complete", "pruned": f"pruned after {counted(len(trial.curve), 'epoch')}", "failed": "failed"}
    so_far = "" if best is None else f"; best so far: trial {best.number}, {best.accuracy:.2%}"
    return f"trial {number}: {ended[trial.state]}{accuracy}{so_far}"
