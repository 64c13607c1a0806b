"""Out-of-fold probabilities of all images of a dataset."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saccade.auditing.all_images import AuditedImages
from saccade.data.dataset import Dataset
from saccade.experiments.cross_val_predict import cross_val_predict
from saccade.experiments.train_and_predict import with_training_split
from saccade.progress import counting
from saccade.recipes import Recipe, default_recipe, get_recipe
from saccade.training.repeated_training import Method

# Epochs of `fast`.
_EPOCHS = 4


def audit_recipe(recipe: str | None, height: int, width: int) -> Recipe:
    """Return the recipe of the trainings: the named recipe, or a short recipe for the image size.

    Raises:
        RecipeError: the recipe does not exist.
    """
    chosen = get_recipe(recipe) if recipe else default_recipe(height, width)
    # Label quality does not need the best accuracy.
    if recipe is None and chosen.name == "fast":
        chosen = chosen.with_epochs(_EPOCHS)
    if recipe is None and chosen.name == "photo":
        chosen = get_recipe("linear-probe")
    # Only the last weights are used, and trainings of minutes need no checkpoints.
    return chosen.with_settings({"validation_split": 0, "keep": "last", "patience": 0, "checkpoint_seconds": 1e6})


def out_of_fold_probabilities(
    dataset: Dataset, images: AuditedImages, folds: NDArray[np.int64], recipe: Recipe, *, progress: bool = False
) -> NDArray[np.float32]:
    """Train once per fold on the other folds, and predict the images of the fold.

    Args:
        dataset: dataset of the images.
        images: images of all splits, because test labels may be incorrect too.
        folds: fold of each image, int64 [n], as `assign_folds` assigns the folds.
        recipe: recipe of every training.
        progress: show progress on stderr.

    Returns:
        Out-of-fold probabilities, float32 [n, classes].

    Raises:
        KeyboardInterrupt: the user stopped a training.
        TrainingError: a training failed.
    """
    methods = [Method(recipe)] * (int(folds.max()) + 1)
    with (
        tempfile.TemporaryDirectory(prefix="saccade-audit-") as folder,
        counting("training", total=len(methods), unit="folds", shown=progress) as bar,
    ):
        return cross_val_predict(
            methods, with_training_split(dataset, images.all), folds, Path(folder), on_fold_end=lambda *_: bar.update(1)
        )
