"""tune: better settings for a recipe, found on validation images and tried against the recipe as it is."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from saccade.data.dataset import Dataset
from saccade.data.splits import splits_of
from saccade.errors import TuningError
from saccade.keras_loading import require_keras_settings
from saccade.progress import log_message
from saccade.recipes import Recipe, default_recipe_name
from saccade.recipes.search_space import Choices, Range, search_space, text_of
from saccade.sanitize import counted
from saccade.training.progress import progress_of
from saccade.training.train import load_data, resolve_recipe
from saccade.tuning.final_comparison import SEEDS, compare_with_default
from saccade.tuning.result import State, Trial, Tuning, best_of
from saccade.tuning.study_manifest import TuningRecord, check_folder, enter_folder

if TYPE_CHECKING:
    from saccade.tuning.study import Claim, Study

# Seconds between two looks at whether another process has ended its trial.
_BETWEEN_LOOKS = 1.0
# What the last trainings and evaluations take, in times of the trials' trainings; and drawing and starting besides.
_FINAL_ALLOWANCE = 1.25
_FINAL_SECONDS = 20.0


def tune(
    data: str | os.PathLike[str] | Dataset,
    *,
    trials: int | None = None,
    minutes: float | None = None,
    recipe: str | Recipe | None = None,
    search: Mapping[str, str | Range | Choices | None] | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> Tuning:
    """Searches better settings for a recipe, retrains the best and compares it with the recipe as it is.

    Each trial trains once, with the recipe's seed; it is pruned when its best validation accuracy so far is below the
    median of the others after as many epochs. The first trial is the recipe as it is; then Optuna's TPE proposes. The
    test split is not looked at before the end, when the winner and the recipe as it is, each trained over three other
    seeds, are compared on it.

    A study that was killed is gone on with by the same call; a second process with the same `out` takes part in it.

    Args:
        data: a dataset, or what `saccade.load` takes.
        trials: that the study shall have in all. Either this or `minutes`.
        minutes: that this call shall take at most, as well as can be foreseen from the trials done.
        recipe: a named recipe or a value of your own. None: the default for images of this size.
        search: key -> what to search instead of the recipe's own range: "LOW..HIGH" or "A,B,C"; None: do not tune it.
        out: the study's directory. None: the first free `tunings/<data>-<recipe>-<n>`.
        progress: whether to tell on stderr how it goes.

    Raises:
        TuningError: Optuna is not installed; `out` holds another study; there are no validation images.
        RecipeError: a key can't be searched, or a value not be taken.
        DataError: the data can't be used.
        TrainingError: the recipe as it is can't be trained on this data.
        EvaluationError: the data has no test images.
    """
    began = time.monotonic()
    _check_budget(trials, minutes)
    _require_optuna()
    require_keras_settings()
    check_folder(out)
    size = resolve_recipe("quick" if recipe is None else recipe, None, None).image_size
    dataset = data if isinstance(data, Dataset) else load_data(data, size, progress)
    base = resolve_recipe(
        recipe or default_recipe_name(dataset.preprocessing.height, dataset.preprocessing.width), None, None
    )
    space = search_space(base, search or {})
    validation = splits_of(dataset, validation_split=base.validation_split, seed=base.seed)["validation"]
    _require_images(dataset, len(validation))
    record = TuningRecord.of(base, space, dataset, validation)

    from saccade.tuning.page import write_tuning
    from saccade.tuning.study import ended_trials, importances, open_study, optuna_at_work

    folder = enter_folder(out, record)
    with optuna_at_work(folder):
        study = open_study(folder, base, space)
        log_message(f"study: {folder} ({base.name}; searched: {', '.join(space)})", shown=progress)
        budget = Budget(trials, None if minutes is None else began + 60 * minutes)
        state = _search(study, dataset, budget, progress)
        ended = ended_trials(study)
        found = Tuning(
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
    return write_tuning(_with_comparison(found, dataset, progress))


@dataclass(frozen=True)
class Budget:
    """How many trials, or until when (by `time.monotonic`)."""

    trials: int | None
    deadline: float | None

    def allows(self, ended: tuple[Trial, ...]) -> bool:
        """Whether there is time for another trial and for the trainings at the end after it."""
        complete = [trial.seconds for trial in ended if trial.state == "complete"]
        best = best_of(ended)
        if self.deadline is None or best is None:
            return True
        longest = max(complete)
        winner = longest if best.number == 0 else best.seconds
        final = _FINAL_SECONDS + _FINAL_ALLOWANCE * SEEDS * (ended[0].seconds + winner)
        return time.monotonic() + longest + final <= self.deadline


def _search(study: Study, dataset: Dataset, budget: Budget, progress: bool) -> State:
    """Carries out trials until the budget is used up and no process is at one any more."""
    from saccade.tuning.study import claim, ended_trials, running
    from saccade.tuning.trial import run_trial

    while True:
        within = budget.allows(ended_trials(study))
        claimed = claim(study, budget.trials if within else 0)
        if claimed is None:
            if not running(study):
                return "finished"
            if budget.deadline is not None:
                return "going on"
            time.sleep(_BETWEEN_LOOKS)
            continue
        with claimed.lock:
            log_message(_beginning(claimed, study.recipe, budget), shown=progress)
            if not run_trial(study, claimed, dataset, progress_of(progress)):
                return "interrupted"
        log_message(_ending(claimed.number, ended_trials(study)), shown=progress)
        # Networks stand in circles that Python finds late: a training leaves 16 MB and more behind until then.
        gc.collect()


def _with_comparison(found: Tuning, dataset: Dataset, progress: bool) -> Tuning:
    """With the comparison that decides, where there is something to compare."""
    best = found.best
    if found.state != "finished" or best is None or best.number == 0:
        return found
    recipes = {f"trial-{best.number}": found.best_recipe, "default": found.recipe}
    comparison = compare_with_default(dataset, recipes, found.folder, progress=progress)
    return replace(found, comparison=comparison, state="finished" if comparison else "interrupted")


def _check_budget(trials: int | None, minutes: float | None) -> None:
    if (trials is None) == (minutes is None) or (trials or minutes or 0) <= 0:
        raise TuningError(
            "a tuning needs to know when to end",
            expected="a number of trials or a number of minutes, one of them, above 0",
            found=f"trials={trials}, minutes={minutes}",
        )


def _require_optuna() -> None:
    if find_spec("optuna") is None:
        raise TuningError("tuning needs Optuna, which is not installed", remedy="pip install 'saccade[tune]'")


def _require_images(dataset: Dataset, validation: int) -> None:
    if not validation:
        raise TuningError(
            "settings can't be compared without validation images", remedy="hold some out: --set validation_split=0.1"
        )
    if not len(dataset.splits["test"]):
        raise TuningError(
            f"'{dataset.name}' has no test images, on which the winner would be compared with the recipe as it is"
        )


def _notes(trials: tuple[Trial, ...], validation: int, state: State, budget: Budget) -> list[str]:
    notes = []
    if state == "going on":
        notes.append("another process is still at a trial of this study: the last one compares")
    if budget.deadline is not None and len(trials) == 1:
        notes.append(
            "there was no time for a second trial with the trainings that follow: give it more, or fewer epochs"
        )
    failed = [trial for trial in trials if trial.state == "failed"]
    if failed:
        notes.append(f"trials that could not be trained: {len(failed)}, the first because {failed[0].reason}")
    if len(trials) > 1:
        notes.append(
            f"validation accuracies are of the same {validation:,} images for all trials: the best of many is "
            "flattered by having been chosen"
        )
    return notes


def _beginning(claimed: Claim, recipe: Recipe, budget: Budget) -> str:
    of = "" if budget.trials is None else f" (the last is {budget.trials - 1})"
    settings = ", ".join(f"{key}={text_of(value)}" for key, value in claimed.trial.params.items())
    again = ", taken up" if claimed.reported or claimed.folder.exists() else ""
    return f"trial {claimed.number}{of}{again}: {settings if claimed.number else f'{recipe.name} as it is'}"


def _ending(number: int, trials: tuple[Trial, ...]) -> str:
    (trial,) = (each for each in trials if each.number == number)
    best = best_of(trials)
    accuracy = "" if trial.accuracy is None else f" at {trial.accuracy:.2%}"
    ended = {"complete": "complete", "pruned": f"pruned after {counted(len(trial.curve), 'epoch')}", "failed": "failed"}
    so_far = "" if best is None else f"; best so far: trial {best.number}, {best.accuracy:.2%}"
    return f"trial {number}: {ended[trial.state]}{accuracy}{so_far}"
