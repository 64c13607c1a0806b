"""Tuning: what a study found, as a value."""

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

State = Literal["finished", "interrupted", "going on"]


@dataclass(frozen=True)
class Trial:
    """One training with settings of its own.

    Attributes:
        number: counted from 0, which is the recipe as it is.
        settings: of the searched keys; those of the first trial that are outside the space are missing.
        state: "complete"; "pruned", because its validation curve lagged behind; or "failed", as when it diverged.
        accuracy: on the validation images, 0 to 1, of the weights that would be kept; of a pruned trial after its
            last epoch; None where there is none.
        curve: after each epoch.
        seconds: that it took.
        reason: why it failed.
    """

    number: int
    settings: Mapping[str, Value]
    state: Literal["complete", "pruned", "failed"]
    accuracy: float | None
    curve: tuple[float, ...]
    seconds: float
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values that JSON can hold."""
        return {**asdict(self), "settings": dict(self.settings), "curve": list(self.curve)}


@dataclass(frozen=True, eq=False)
class Tuning:
    """What a study found.

    Attributes:
        folder: its directory.
        data_name: short name of the data.
        data_source: a name or an absolute path that finds it again.
        recipe: as it is, before tuning.
        space: what was searched.
        num_validation_images: that all trials were compared on.
        trials: those that have ended, in their order.
        importances: key -> its part in how far the accuracy varied between complete trials; all sum to 1. Empty where
            too few are complete.
        comparison: of the winner, retrained, with the recipe as it is; None where that one won, or before the end.
        state: "finished"; "interrupted" by the user; or "going on" in another process, with no time left for this one.
        notes: sentences that whoever reads the numbers should know.
        files: what was written, absolute paths.
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
        """The complete trial of the highest validation accuracy; of several, the first."""
        return best_of(self.trials)

    @property
    def best_recipe(self) -> Recipe:
        """The recipe with the best trial's settings."""
        return self.recipe if self.best is None else self.recipe.with_settings(self.best.settings)

    @property
    def summary(self) -> str:
        """What came out, in words."""
        if self.state != "finished":
            return f"the study is {self.state}"
        if self.comparison is None:
            return "no settings that were tried do better on the validation images than the recipe as it is"
        return replace(self.comparison.pairs[0], first="the winner", second="the recipe as it is").summary

    @property
    def command(self) -> str:
        """The command that trains with the best settings."""
        named = REGISTRY[self.recipe.name].recipe if self.recipe.name in REGISTRY else self.recipe
        settings = settings_words(self.best_recipe, named)
        return command_line("train", self.data_source, "--recipe", self.recipe.name, *settings)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values that JSON can hold."""
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
    """The complete trial of the highest validation accuracy; of several, the first."""
    complete = [trial for trial in trials if trial.state == "complete"]
    return max(complete, key=lambda trial: (trial.accuracy or 0.0, -trial.number), default=None)
