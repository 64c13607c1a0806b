"""Out-of-fold probabilities of all images of a dataset."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saccade.auditing.all_images import AuditedImages
from saccade.data.dataset import Dataset
from saccade.data.progress import counting
from saccade.inference.predictor import Predictor
from saccade.recipes import Recipe, default_recipe_name, get_recipe
from saccade.training.train import train

# Epochs of `fast`: label quality does not need the best accuracy.
_EPOCHS = 4


def audit_recipe(recipe: str | None, height: int, width: int) -> Recipe:
    """Return the recipe of the trainings: the named recipe, or a short recipe for the image size.

    Raises:
        RecipeError: the recipe does not exist.
    """
    chosen = get_recipe(recipe or default_recipe_name(height, width))
    if recipe is None and chosen.name == "fast":
        chosen = chosen.with_epochs(_EPOCHS)
    # Only the last weights are used, and trainings of minutes need no checkpoints.
    return chosen.with_settings({"validation_split": 0, "keep": "last", "patience": 0, "checkpoint_seconds": 1e6})


def out_of_fold_probabilities(
    dataset: Dataset, images: AuditedImages, folds: NDArray[np.int64], recipe: Recipe, *, progress: bool = False
) -> NDArray[np.float32]:
    """Train once per fold on the other folds, and predict the images of the fold.

    Args:
        dataset: dataset of the images.
        images: images of all splits, because test labels may be incorrect too.
        folds: fold of each image, int64 [n], as `deal_folds` assigns the folds.
        recipe: recipe of every training.
        progress: show progress on stderr.

    Returns:
        Out-of-fold probabilities, float32 [n, classes].

    Raises:
        TrainingError: a training failed.
    """
    probabilities = np.empty((len(images), len(dataset.class_names)), np.float32)
    numbers = np.unique(folds)
    with (
        tempfile.TemporaryDirectory(prefix="saccade-audit-") as folder,
        counting("training", total=len(numbers), unit="folds", shown=progress) as bar,
    ):
        for number in numbers:
            held_out = np.flatnonzero(folds == number)
            subset = _without(dataset, images, held_out)
            run = train(subset, recipe=recipe, out=Path(folder) / str(number), progress=False)
            probabilities[held_out] = Predictor.from_run(run).probabilities_of(images.all.subset(held_out))
            bar.update(1)
    return probabilities


def _without(dataset: Dataset, images: AuditedImages, held_out: NDArray[np.int64]) -> Dataset:
    """A dataset that trains on all but these images, and has none to validate or to test with."""
    rest = np.setdiff1d(np.arange(len(images)), held_out)
    nothing = images.all.subset(np.empty(0, np.int64))
    return replace(dataset, splits={"train": images.all.subset(rest), "test": nothing})
