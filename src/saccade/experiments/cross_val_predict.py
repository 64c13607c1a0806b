"""Out-of-fold predictions: each image is predicted by a network that was trained on the other folds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Dataset, Split
from saccade.experiments.train_and_predict import train_and_predict
from saccade.runs.predictions import Predictions
from saccade.training.progress import Progress
from saccade.training.repeated_training import Method


def cross_val_predict(
    methods: Sequence[Method],
    dataset: Dataset,
    folds: NDArray[np.int64],
    folder: Path,
    *,
    progress: bool | Progress = False,
    on_fold_begin: Callable[[int, Split], object] | None = None,
    on_fold_end: Callable[[int, Predictions], object] | None = None,
) -> NDArray[np.float32]:
    """Return the out-of-fold probabilities of the training images of a dataset, from one training for each fold.

    The predictions of each fold are kept in `folder`. A second call with the same arguments trains only the folds
    whose predictions are missing.

    Args:
        methods: method of training for each fold.
        dataset: dataset whose training split, of n images, is divided into folds.
        folds: fold of each training image, from 0 to `len(methods) - 1`, int64 [n].
        folder: existing directory of the trainings.
        progress: `True` to log the trainings on stderr, or the callback that logs them.
        on_fold_begin: function that receives the fold and its held-out images before the training.
        on_fold_end: function that receives the fold and its predictions after the training.

    Returns:
        Probabilities in the order of the training split, float32 [n, classes].

    Raises:
        KeyboardInterrupt: the user stopped a training, which a second call resumes.
        TrainingError: a training failed.
        RunError: `folder` holds predictions for other images, or cannot be read or written.
    """
    images = dataset.splits["train"]
    probabilities = np.empty((len(images), len(dataset.class_names)), np.float32)
    for fold, method in enumerate(methods):
        splits = fold_splits(images, folds, fold)
        if on_fold_begin is not None:
            on_fold_begin(fold, splits[1])
        predictions = train_and_predict(method, dataset, splits, place_of_fold(folder, fold), progress=progress)
        probabilities[folds == fold] = predictions.probabilities
        if on_fold_end is not None:
            on_fold_end(fold, predictions)
    return probabilities


def fold_splits(images: Split, folds: NDArray[np.int64], fold: int) -> tuple[Split, Split]:
    """Return the training split and the held-out split of a fold, given the fold of each image, int64 [n]."""
    return images.subset(np.flatnonzero(folds != fold)), images.subset(np.flatnonzero(folds == fold))


def place_of_fold(folder: Path, fold: int) -> Path:
    """Return the run directory of the training of a fold, counted from 0."""
    return folder / str(fold + 1)
