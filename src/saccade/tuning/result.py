"""Result of a tuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from saccade.evaluation.compare.comparison import Comparison
from saccade.recipes import REGISTRY, Recipe
from saccade.recipes.search_space import SearchSpace, Value
from saccade.runs.training_command import settings_words
from saccade.sanitize import command_line, counted

State = Literal["finished", "interrupted", "running elsewhere"]


@dataclass(frozen=True)
class Trial:
    """One trial of a study.

    Attributes:
        number: number of the trial; 0 is the unchanged recipe.
        settings: values of the searched keys. In trial 0, values outside the search space are missing.
        state: "complete"; "pruned", after a low validation curve; or "failed", for example after divergence.
        accuracy: validation accuracy of the kept weights, 0 to 1; that after the last epoch for a pruned trial; None
            without an accuracy.
        curve: validation accuracy after each epoch.
        seconds: duration of the trial.
        reason: reason of a failure.
    """

    number: int
    settings: Mapping[str, Value]
    state: Literal["complete", "pruned", "failed"]
    accuracy: float | None
    curve: tuple[float, ...]
    seconds: float
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return all attributes as values for JSON."""
        return {**asdict(self), "settings": dict(self.settings), "curve": list(self.curve)}


@dataclass(frozen=True, eq=False)
class Tuning:
    """Result of a study.

    Attributes:
        folder: directory of the study.
        data_name: short name of the data.
        data_source: name or absolute path of the data.
        recipe: unchanged recipe.
        space: search space.
        num_validation_images: number of validation images that all trials share.
        trials: ended trials in the order of their numbers.
        importances: key -> fraction of the variance of the accuracy between complete trials; the sum is 1. Empty if
            too few trials are complete.
        comparison: comparison of the best settings with the unchanged recipe, both trained again. None if the
            unchanged recipe is best, or before the end of the study.
        state: "finished"; "interrupted" by the user; or "running elsewhere", in another process after the time budget
            of this process.
        notes: remarks on the results, one sentence each.
        files: absolute paths of the written files.
    """

    folder: Path
    data_name: str
    data_source: str
    recipe: Recipe
    space: SearchSpace
    num_validation_images: int
    trials: tuple[Trial, ...]
    importances: Mapping[str, float]
    comparison: Comparison | None
    state: State
    notes: tuple[str, ...]
    files: tuple[Path, ...]

    def __repr__(self) -> str:
        return f"<Tuning {self.folder}: {counted(len(self.trials), 'trial')} of {self.recipe.name}; {self.summary}>"

    @property
    def best(self) -> Trial | None:
        """Complete trial of the highest validation accuracy; the first one of equal trials."""
        return best_of(self.trials)

    @property
    def best_recipe(self) -> Recipe:
        """Recipe with the settings of the best trial."""
        return self.recipe if self.best is None else self.recipe.with_settings(self.best.settings)

    @property
    def summary(self) -> str:
        """Result as one sentence."""
        if self.state != "finished":
            return f"the study is {self.state}"
        if self.comparison is None:
            return "no trial has a higher validation accuracy than the unchanged recipe"
        return replace(self.comparison.pairs[0], first="the best trial", second="the unchanged recipe").summary

    @property
    def command(self) -> str:
        """Command that trains with the best settings."""
        named = REGISTRY[self.recipe.name].recipe if self.recipe.name in REGISTRY else self.recipe
        settings = settings_words(self.best_recipe, named)
        return command_line("train", self.data_source, "--recipe", self.recipe.name, *settings)

    def to_dict(self) -> dict[str, Any]:
        """Return all attributes as values for JSON."""
        best = self.best
        return {
            "folder": str(self.folder),
            "data": self.data_name,
            "recipe": self.recipe.name,
            "space": {key: dimension.model_dump(mode="json") for key, dimension in self.space.items()},
            "num_validation_images": self.num_validation_images,
            "trials": [trial.to_dict() for trial in self.trials],
            "best": None if best is None else best.number,
            "settings": {} if best is None else dict(best.settings),
            "importances": dict(self.importances),
            "verdict": self.summary,
            "comparison": None if self.comparison is None else self.comparison.to_dict(),
            "state": self.state,
            "command": self.command,
            "notes": list(self.notes),
            "files": [str(path) for path in self.files],
        }


def best_of(trials: tuple[Trial, ...]) -> Trial | None:
    """Return the complete trial of the highest validation accuracy; the first one of equal trials."""
    complete = [trial for trial in trials if trial.state == "complete"]
    return max(complete, key=lambda trial: (trial.accuracy or 0.0, -trial.number), default=None)
