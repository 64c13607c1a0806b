"""Several trainings of one method: how each is begun, gone on with, or left as it is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from saccade.data.dataset import Dataset
from saccade.errors import RunError, TrainingError
from saccade.recipes import Recipe, default_recipe_name
from saccade.runs.run import Run
from saccade.training.progress import Progress
from saccade.training.resume import resume
from saccade.training.train import load_data, reject_transfer, resolve_recipe, start_training, train
from saccade.training.transfer import load_for, transfer_recipe
from saccade.training.transfer_learning.pretrained import PretrainedModel, PretrainedWeights

_ENDED = ("finished", "stopped early")


@dataclass(frozen=True)
class Method:
    """How each of several trainings is done.

    Attributes:
        recipe: of the training.
        pretrained: what each network brings along, where they are transferred.
    """

    recipe: Recipe
    pretrained: PretrainedWeights | None = None

    @property
    def origin(self) -> str:
        """Where the networks come from, for the name of what they are trained for: "" or ", from ..."."""
        return "" if self.pretrained is None else f", from {self.pretrained.record.name}"

    def with_seed(self, seed: int) -> Method:
        """The same with another seed."""
        return replace(self, recipe=self.recipe.with_settings({"seed": seed}))

    def train(self, dataset: Dataset, place: Path | None, *, progress: bool | Progress = False) -> Run:
        """Trains on a dataset, or goes on with what is there; a run that has ended is left as it is.

        Args:
            dataset: what to train on.
            place: the run directory to make, or one of this training. None: the first free `runs/<data>-<recipe>-<n>`.
            progress: whether to tell on stderr how it goes, or whom to tell instead.

        Raises:
            RunError, TrainingError: as `train` and `resume` raise them.
        """
        if place is None or not is_run(place):
            if self.pretrained is None:
                return train(dataset, recipe=self.recipe, out=place, progress=progress)
            return start_training(dataset, self.recipe, out=place, pretrained=self.pretrained, progress=progress)
        run = Run.open(place)
        return run if has_ended(run) else resume(run, dataset, progress=progress)


def prepared(
    data: str | os.PathLike[str] | Dataset | None,
    recipe: str | Recipe | None,
    source: PretrainedModel | Run | str | Path | None,
    *,
    progress: bool,
) -> tuple[Dataset, Method]:
    """Data, loaded where it is not yet, and the method.

    Args:
        data: as for `train`.
        recipe: a named recipe or a value of your own. None: the default for images of this size, or for a transfer.
        source: as for `transfer`; None: the networks begin anew.
        progress: whether to show on stderr how loading goes.

    Raises:
        DataError: the data can't be used.
        RecipeError: there is no recipe of that name.
        TrainingError: there is no such source, or the recipe is none of a transfer from it.
    """
    if source is None:
        size = resolve_recipe("quick" if recipe is None else recipe, None, None).image_size
        dataset = data if isinstance(data, Dataset) else load_data(data, size, progress)
        name = default_recipe_name(dataset.preprocessing.height, dataset.preprocessing.width)
        resolved = resolve_recipe(name if recipe is None else recipe, None, None)
        reject_transfer(resolved)
        return dataset, Method(resolved)
    found = source if isinstance(source, PretrainedModel) else PretrainedModel.of(source)
    if data is None:
        raise TrainingError("a transfer needs data", remedy="name it")
    chosen = recipe if isinstance(recipe, Recipe) else transfer_recipe(found, None, None)
    if not chosen.transfer or chosen.network != found.network or recipe not in (None, "transfer", chosen):
        raise TrainingError(
            "this recipe is none of a transfer from that source", remedy="leave the recipe away: it is `transfer`"
        )
    dataset = data if isinstance(data, Dataset) else load_for(found, chosen, data, progress=progress)
    return dataset, Method(chosen, PretrainedWeights.from_model(found))


def on_all_images(recipe: Recipe) -> Recipe:
    """A recipe that holds no images out.

    Raises:
        TrainingError: it chooses its weights, or its end, by images that are held out.
    """
    if recipe.keep == "best" or recipe.patience:
        raise TrainingError(
            "the best epoch can't be chosen by the images that the result is measured on",
            expected="a recipe that keeps its last weights",
            found=f"keep={recipe.keep}, patience={recipe.patience}",
            remedy="keep the last weights: --set keep=last --set patience=0",
        )
    # Whether fine-tuning helped can't be asked either; it is done.
    return recipe.with_settings({"validation_split": 0, "keep": "last"})


def is_run(place: Path) -> bool:
    """Whether a run directory is there, whole or not."""
    return (place / "recipe.json").is_file()


def has_ended(run: Run) -> bool:
    """Whether its training came to its end."""
    return run.status().state in _ENDED


def require_same(run: Run, recipe: Recipe, dataset: Dataset) -> None:
    """Refuses to go on with a run of another recipe or other data.

    Raises:
        RunError: it is; what differs is named.
    """
    found = differences(run.recipe, recipe)
    if run.data_fingerprint != dataset.fingerprint:
        found.append(f"'{run.data_name}' with other images than '{dataset.name}' has now")
    reject_others(f"the run '{run.path}' is of another training", found)


def reject_others(problem: str, found: Sequence[str]) -> None:
    """Refuses to go on with what was begun for something else, if anything is found to differ.

    Raises:
        RunError: something is.
    """
    if found:
        raise RunError(
            problem,
            expected="the same recipe on the same data, with which this command would go on",
            found="; ".join(found),
            remedy="name another directory with --out",
        )


def differences(before: Recipe, now: Recipe) -> list[str]:
    """In which keys two recipes differ, such as "batch_size = 60, not 30"."""
    old, new = before.model_dump(), now.model_dump()
    return [f"{key} = {old[key]}, not {new[key]}" for key in new if old[key] != new[key]]
