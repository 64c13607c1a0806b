"""ImageClassifier: training and prediction with the interface of scikit-learn's classifiers."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, column_or_1d

from saccade.data.dataset import Dataset
from saccade.data.load import load_for_recipe
from saccade.data.sources.memory.labeled_images import sequence_of_images
from saccade.data.sources.memory.labels import class_names_of
from saccade.data.splits import with_whole_data
from saccade.errors import DataError
from saccade.inference.predict import predict
from saccade.runs.run import Run
from saccade.training.train import resolve_recipe, train
from saccade.training.train_within import train_within


class ImageClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Image classifier with the interface of scikit-learn, for `cross_val_score`, `GridSearchCV` and `Pipeline`.

    All images of `fit` are training images, of which the recipe holds some out for validation; a test split is the
    caller's, as usual in scikit-learn.

    Args:
        recipe: name of a recipe; None: the default recipe for the size and number of the images.
        epochs: number of epochs; None: that of the recipe.
        minutes: time budget of the training, in minutes; None: no budget.
        settings: recipe keys to change, such as `{"image_size": 96}`.
        seed: seed of the training.
        out: directory of the run; None: a temporary directory, which lives as long as the classifier.
        progress: whether to show progress on stderr.

    Attributes:
        classes_: labels of the classes, sorted, with the dtype of `y`.
        run_: run of the training.
    """

    def __init__(
        self,
        *,
        recipe: str | None = None,
        epochs: int | None = None,
        minutes: float | None = None,
        settings: Mapping[str, Any] | None = None,
        seed: int = 0,
        out: str | Path | None = None,
        progress: bool = False,
    ) -> None:
        self.recipe = recipe
        self.epochs = epochs
        self.minutes = minutes
        self.settings = settings
        self.seed = seed
        self.out = out
        self.progress = progress

    def fit(self, X: Any, y: Any) -> ImageClassifier:  # noqa: N803 - scikit-learn's name
        """Train on labeled images.

        Args:
            X: n images: an array [n, height, width] or [n, height, width, channels], or a sequence of images of Pillow,
                arrays, bytes, open files and paths.
            y: n labels.

        Raises:
            DataError, RecipeError, TrainingError: as for `saccade.train`.
        """
        images, labels = sequence_of_images(X), column_or_1d(y)
        names = class_names_of(labels, len(images))
        settings = {**(self.settings or {}), "seed": self.seed}
        loading = resolve_recipe(self.recipe or "quick", None, settings)
        dataset = _with_all_for_training(load_for_recipe((images, names), loading, progress=self.progress))
        options: dict[str, Any] = {
            "recipe": self.recipe,
            "settings": settings,
            "out": self.out if self.out is not None else self._temporary_run(),
            "progress": self.progress,
        }
        if self.minutes is None:
            self.run_ = train(dataset, epochs=self.epochs, **options)
        else:
            self.run_ = train_within(dataset, self.minutes, **options)
        self.classes_ = np.unique(labels)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """Return the class probabilities of n images, float64 [n, classes], in the order of `classes_`.

        Raises:
            DataError: an image can't be read.
        """
        check_is_fitted(self, "run_")
        run: Run = self.run_
        predictions = predict(run, sequence_of_images(X), top=len(run.class_names), progress=self.progress)
        columns = {name: column for column, name in enumerate(class_names_of(self.classes_, len(self.classes_)))}
        probabilities = np.zeros((len(predictions), len(columns)))
        for row, prediction in enumerate(predictions):
            if prediction.unreadable_reason is not None:
                raise DataError(f"image {row} can't be read", found=prediction.unreadable_reason)
            for found in prediction.top:
                probabilities[row, columns[found.class_name]] = found.probability
        return probabilities

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """Return the label of the most probable class of each image, [n].

        Raises:
            DataError: an image can't be read.
        """
        best = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def _temporary_run(self) -> Path:
        folder = tempfile.mkdtemp(prefix="saccade-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder) / "run"

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        return tags


def _with_all_for_training(dataset: Dataset) -> Dataset:
    """Return a dataset whose training split has the images of its test split, which Saccade made."""
    whole = with_whole_data(dataset, "train")
    no_test = dataset.splits["test"].subset(np.empty(0, np.int64))
    return replace(whole, splits={**whole.splits, "test": no_test})
