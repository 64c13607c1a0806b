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
from saccade.training.pretrained_features import pretrained_extractor
from saccade.training.repeated_training import Method
from saccade.training.transfer_learning.features import Features
from saccade.training.transfer_learning.linear_head import Examples, fit_linear_head
from saccade.training.transfer_learning.pretrained import imagenet_model

# Epochs of `fast`.
_EPOCHS = 4
# Strong: a head that follows incorrect labels can't find them. benchmarks/audit.py measures it.
_PENALTY = 10**-2.0


def audit_recipe(recipe: str | None, height: int, width: int) -> Recipe:
    """Return the recipe of the trainings: the named recipe, or a short recipe for the image size.

    Raises:
        RecipeError: the recipe does not exist.
    """
    chosen = get_recipe(recipe) if recipe else default_recipe(height, width)
    # Label quality does not need the best accuracy.
    if recipe is None and chosen.name == "fast":
        chosen = chosen.with_epochs(_EPOCHS)
    # Only the last weights are used, and trainings of minutes need no checkpoints.
    return chosen.with_settings({"validation_split": 0, "keep": "last", "patience": 0, "checkpoint_seconds": 1e6})


def predicts_by_features(recipe: str | None, height: int, width: int) -> bool:
    """Return whether heads on pretrained features replace the trainings: by default for photographs."""
    return recipe is None and default_recipe(height, width).name == "photo"


def pretrained_features(dataset: Dataset, images: AuditedImages, *, progress: bool = False) -> Features:
    """Return features of EfficientNet-Lite0 with ImageNet weights, from one pass or from the cache: float32 [n, d]."""
    extract = pretrained_extractor(imagenet_model(), get_recipe("linear-probe"), dataset.preprocessing, dataset.name)
    with counting("features", total=len(images), unit="images", shown=progress) as bar:
        return extract(images.all, False, bar.update)


def probabilities_by_features(
    features: Features, images: AuditedImages, folds: NDArray[np.int64], *, progress: bool = False
) -> NDArray[np.float32]:
    """Fit a linear head on the features of the other folds for each fold, and predict the images of the fold.

    Args:
        features: features of the images, float32 [n, d].
        images: images of all splits.
        folds: fold of each image, int64 [n], as `assign_folds` assigns the folds.
        progress: show progress on stderr.

    Returns:
        Out-of-fold probabilities, float32 [n, classes].
    """
    classes = len(images.class_names)
    ones = np.ones(len(images), np.float32)
    examples = Examples(features, images.all.labels, ones, images.all.duplicate_groups)
    probabilities = np.zeros((len(images), classes), np.float32)
    count = int(folds.max()) + 1
    with counting("fitting", total=count, unit="folds", shown=progress) as bar:
        for fold in range(count):
            held_out = np.flatnonzero(folds == fold)
            head = fit_linear_head(examples.at(np.flatnonzero(folds != fold)), _PENALTY, classes=classes, biased=True)
            probabilities[held_out] = head.probabilities(features[held_out])
            bar.update(1)
    return probabilities


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
