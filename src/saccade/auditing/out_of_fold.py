"""Out-of-fold probabilities: what networks that were trained on the other images say of each image."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saccade.auditing.all_images import AuditedImages
from saccade.data.dataset import Dataset
from saccade.data.progress import counting
from saccade.experiments.cross_val_predict import cross_val_predict
from saccade.experiments.train_and_predict import with_training_split
from saccade.recipes import Recipe, default_recipe_name, get_recipe
from saccade.training.repeated_training import Method

# Of `fast`, by default: ranking labels needs less than the best accuracy.
_EPOCHS = 4


def audit_recipe(recipe: str | None, height: int, width: int) -> Recipe:
    """The recipe of the fold trainings: as named, or a short one for images of this size.

    Raises:
        RecipeError: there is no recipe of that name.
    """
    chosen = get_recipe(recipe or default_recipe_name(height, width))
    if recipe is None and chosen.name == "fast":
        chosen = chosen.with_epochs(_EPOCHS)
    # Nothing but the last weights is wanted, and a fold of minutes needs no checkpoints.
    return chosen.with_settings({"validation_split": 0, "keep": "last", "patience": 0, "checkpoint_seconds": 1e6})


def out_of_fold_probabilities(
    dataset: Dataset, images: AuditedImages, folds: NDArray[np.int64], recipe: Recipe, *, progress: bool = False
) -> NDArray[np.float32]:
    """Return the out-of-fold probabilities of all images, from one training for each fold.

    Args:
        dataset: whose images these are.
        images: of all its splits: test labels may be wrong too.
        folds: int64 [n]: the fold of each image, as `assign_folds` returns them.
        recipe: of every training.
        progress: whether to show on stderr how far it is.

    Returns:
        float32 [n, classes].

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
