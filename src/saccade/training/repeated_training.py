"""Repeated trainings by one method: each is started, resumed, or left unchanged once it has ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from saccade.data.dataset import Dataset
from saccade.data.default_recipe import default_recipe_of
from saccade.data.load import Data, load_for_recipe
from saccade.errors import RunError, TrainingError
from saccade.recipes import Recipe
from saccade.runs.run import Run, has_ended, is_run
from saccade.training.progress import Progress
from saccade.training.resume import resume
from saccade.training.train import reject_transfer, resolve_recipe, start_training, train
from saccade.training.transfer import load_for, transfer_recipe
from saccade.training.transfer_learning.pretrained import PretrainedModel, PretrainedWeights


@dataclass(frozen=True)
class Method:
    """Training method: recipe and, for transfer learning, pretrained weights.

    Attributes:
        recipe: recipe of each training.
        pretrained: pretrained weights of each network; None without transfer learning.
    """

    recipe: Recipe
    pretrained: PretrainedWeights | None = None

    @property
    def origin(self) -> str:
        """Suffix for titles that names the pretrained network: ", from ...", or "" without transfer learning."""
        return "" if self.pretrained is None else f", from {self.pretrained.record.name}"

    def with_seed(self, seed: int) -> Method:
        """Return the method with another seed."""
        return replace(self, recipe=self.recipe.with_settings({"seed": seed}))

    def train(self, dataset: Dataset, place: Path | None, *, progress: bool | Progress = False) -> Run:
        """Train on a dataset, or resume the run at `place`; a run that has ended is returned unchanged.

        Args:
            dataset: the data.
            place: the run directory to create or to resume. None: the first free `runs/<data>-<recipe>-<n>`.
            progress: True for progress on standard error, False for none, or progress callbacks.

        Raises:
            RunError, TrainingError: as for `train` and `resume`.
        """
        if place is None or not is_run(place):
            if self.pretrained is None:
                return train(dataset, recipe=self.recipe, out=place, progress=progress)
            return start_training(dataset, self.recipe, out=place, pretrained=self.pretrained, progress=progress)
        run = Run.open(place)
        return run if has_ended(run) else resume(run, dataset, progress=progress)


def prepared(
    data: Data | None,
    recipe: str | Recipe | None,
    source: PretrainedModel | Run | str | Path | None,
    *,
    progress: bool,
) -> tuple[Dataset, Method]:
    """Load the data, unless it is loaded, and return it with the training method.

    Args:
        data: as for `train`.
        recipe: the name of a recipe, or a recipe. None: the default recipe for the image size, or `transfer`.
        source: as for `transfer`. None: no pretrained network.
        progress: whether to show the progress of loading on standard error.

    Raises:
        DataError: the data can't be used.
        RecipeError: the recipe is unknown.
        TrainingError: the source is unknown, or the recipe does not fit it.
    """
    if source is None:
        loading = resolve_recipe("quick" if recipe is None else recipe, None, None)
        dataset = data if isinstance(data, Dataset) else load_for_recipe(data, loading, progress=progress)
        default = default_recipe_of(dataset)
        resolved = resolve_recipe(default if recipe is None else recipe, None, None)
        reject_transfer(resolved)
        return dataset, Method(resolved)
    model = source if isinstance(source, PretrainedModel) else PretrainedModel.of(source)
    if data is None:
        raise TrainingError("transfer learning needs data", remedy="name a folder, an archive or a dataset")
    resolved = recipe if isinstance(recipe, Recipe) else transfer_recipe(model, None, None)
    if not resolved.transfer or resolved.network != model.network or recipe not in (None, "transfer", resolved):
        raise TrainingError(
            "this recipe can't be used for a transfer from that source", remedy="omit the recipe: it is `transfer`"
        )
    dataset = data if isinstance(data, Dataset) else load_for(model, resolved, data, progress=progress)
    return dataset, Method(resolved, PretrainedWeights.from_model(model))


def on_all_images(recipe: Recipe) -> Recipe:
    """Return a recipe without a validation split.

    Raises:
        TrainingError: the recipe chooses its weights or its last epoch by validation images.
    """
    if recipe.keep == "best" or recipe.patience:
        raise TrainingError(
            "the best epoch can't be chosen by the images that the result is measured on",
            expected="a recipe that keeps its last weights",
            found=f"keep={recipe.keep}, patience={recipe.patience}",
            remedy="keep the last weights: --set keep=last --set patience=0",
        )
    # Without validation images, keep=if_improved can't compare the fine-tuned weights with the fitted head.
    return recipe.with_settings({"validation_split": 0, "keep": "last"})


def require_same(run: Run, recipe: Recipe, dataset: Dataset) -> None:
    """Raise an error if a run has another recipe or other data.

    Raises:
        RunError: recipe or data differ; the error names the differences.
    """
    found = differences(run.recipe, recipe)
    if run.data_fingerprint != dataset.fingerprint:
        found.append(f"'{run.data_name}' with other images than '{dataset.name}' has now")
    reject_others(f"the run '{run.path}' is of another training", found)


def reject_others(problem: str, found: Sequence[str]) -> None:
    """Raise an error if there are differences between earlier work in a directory and the present command.

    Args:
        problem: first sentence of the error.
        found: differences; may be empty.

    Raises:
        RunError: there are differences.
    """
    if found:
        raise RunError(
            problem,
            expected="the same recipe on the same data, which this command would resume",
            found="; ".join(found),
            remedy="name another directory with --out",
        )


def differences(before: Recipe, now: Recipe) -> list[str]:
    """Return the differences between two recipes, such as "batch_size = 60, not 30"."""
    old, new = before.model_dump(), now.model_dump()
    return [f"{key} = {old[key]}, not {new[key]}" for key in new if old[key] != new[key]]
