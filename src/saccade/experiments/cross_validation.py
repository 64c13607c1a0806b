"""Cross-validation: the out-of-fold accuracy of all images, then a network that is trained on all of them."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Dataset, Split, SplitName
from saccade.data.load import Data
from saccade.data.splits import in_order, splits_of
from saccade.errors import DataError, RunError
from saccade.experiments.cross_val_predict import cross_val_predict, fold_splits, place_of_fold
from saccade.experiments.fold_assignment import assign_folds
from saccade.experiments.fold_interval import fold_interval
from saccade.experiments.manifest import Plan, has_plan, hash_of_images, write_or_check_plan
from saccade.experiments.train_and_predict import predictions_file, train_and_predict
from saccade.inference.predictor import Predictor
from saccade.keras_loading import require_keras_settings
from saccade.named_paths import out_path
from saccade.output_folders import make_folder
from saccade.progress import log_message
from saccade.recipes import Recipe
from saccade.runs.create import check_free, numbered_runs
from saccade.runs.cv_record import Fold, FoldsRecord
from saccade.runs.lock import locked_for_training
from saccade.runs.predictions import VALIDATION_PREDICTIONS, Predictions
from saccade.runs.run import Run, is_run
from saccade.sanitize import counted, plural
from saccade.training.calibration import at_temperature, fit_temperature
from saccade.training.finalize import write_models
from saccade.training.progress import Progress, progress_of
from saccade.training.repeated_training import Method, on_all_images, prepared, require_same
from saccade.training.transfer_learning.pretrained import PretrainedModel

MAX_FOLDS = 20


def cross_validate(
    data: Data,
    folds: int = 5,
    *,
    recipe: str | Recipe | None = None,
    source: PretrainedModel | Run | str | Path | None = None,
    out: str | Path | None = None,
    reuse_split: Run | str | Path | None = None,
    progress: bool | Progress = True,
) -> Run:
    """Train once for each fold, predict its held-out images, then train on all images.

    All images except the test split are used. Each image is predicted once, by a network that was not trained on it.
    The last network is trained on all images, so its temperature and its abstention threshold are fitted on the
    out-of-fold predictions. The networks of the folds are trained on fewer images and are therefore usually less
    accurate than the last network.

    The directory `<out>-folds` keeps finished trainings until the end. The same call resumes the cross-validation.

    Args:
        data: data as for `train`. Its validation split, if any, is added to the training split.
        folds: number of folds, 2 to 20.
        recipe: recipe or its name. None: the default recipe for the image size. The recipe must keep the last
            weights, because the last training has no validation images that could choose the best epoch.
        source: source of pretrained weights for all networks, as for `transfer`. None: random initial weights.
        out: run directory. None: the first free `runs/<data>-<recipe>-<n>`.
        reuse_split: previous run whose test images remain test images, if Saccade made its test split.
        progress: `True` to log the trainings on stderr, or the callback that logs them.

    Returns:
        Run of the last training. Its `folds()` holds the out-of-fold accuracy.

    Raises:
        DataError: the data cannot be used, or not be divided into this number of folds.
        RecipeError: no recipe has this name.
        RunError: `out` exists and is not a cross-validation with the same arguments.
        TrainingError: the recipe does not fit a cross-validation, or a training failed.
        KeyboardInterrupt: the user stopped a training; finished trainings are kept.
    """
    return CrossValidation(
        data, folds, recipe=recipe, source=source, out=out, reuse_split=reuse_split, progress=progress
    ).run()


class CrossValidation:
    """Cross-validation whose trainings can run in several processes.

    Arguments and errors are those of `cross_validate`.

    Attributes:
        place: run directory of the last training.
        recipe: recipe of the last training.
    """

    def __init__(
        self,
        data: Data,
        folds: int = 5,
        *,
        recipe: str | Recipe | None = None,
        source: PretrainedModel | Run | str | Path | None = None,
        out: str | Path | None = None,
        reuse_split: Run | str | Path | None = None,
        progress: bool | Progress = True,
    ) -> None:
        require_keras_settings()
        _check_folds(folds)
        check_place(out)
        previous_split = None if reuse_split is None else Run.open(reuse_split).split_of()
        dataset, method = prepared(data, recipe, source, progress=progress is True)
        self._method = replace(method, recipe=on_all_images(method.recipe))
        self.recipe = self._method.recipe
        self._dataset = _of_all_images(dataset, self.recipe.seed, previous_split)
        self._images = self._dataset.splits["train"]
        self._fold_of = _assign_folds(self._images, folds, self.recipe.seed)
        self._folds = folds
        self._progress = progress
        self.place = Path(out) if out is not None else make_folder(None, numbered_runs(dataset, self.recipe), RunError)
        if is_run(self.place):
            require_same(Run.open(self.place), self.recipe, dataset)

    @property
    def is_finished(self) -> bool:
        """Whether the last training and its calibration are finished."""
        return _is_finished(self.place)

    @property
    def missing_folds(self) -> list[int]:
        """Folds without predictions, counted from 0."""
        return [fold for fold in range(self._folds) if not predictions_file(self.fold_place(fold)).exists()]

    def fold_place(self, fold: int) -> Path:
        """Return the run directory of the training of a fold."""
        return place_of_fold(_work_of(self.place), fold)

    def run(self) -> Run:
        """Train what is missing, and return the run of the last training."""
        if self.is_finished:
            return Run.open(self.place)
        work = _work_of(self.place)
        work.mkdir(parents=True, exist_ok=True)
        with locked_for_training(work):
            self._write_or_check_plan(work)
            try:
                probabilities = self._out_of_fold(work)
                log_message(f"all {len(self._images):,} images:", shown=_is_shown(self._progress))
                run = self._method.train(self._dataset, self.place, progress=self._progress)
                if run.status().state == "interrupted":
                    raise KeyboardInterrupt
            except KeyboardInterrupt:
                log_message(
                    f"to resume: repeat the command with --out {shlex.quote(str(self.place))}",
                    shown=_is_shown(self._progress),
                )
                raise
            _finalize(run, self._images, self._fold_of, probabilities, self._progress)
        shutil.rmtree(work)
        return run

    def train_fold(self, fold: int) -> None:
        """Train one fold, counted from 0, and write its predictions, unless they exist."""
        work = _work_of(self.place)
        work.mkdir(parents=True, exist_ok=True)
        self._write_or_check_plan(work)
        splits = fold_splits(self._images, self._fold_of, fold)
        place = place_of_fold(work, fold)
        train_and_predict(self._methods()[fold], self._dataset, splits, place, progress=self._progress)

    def _write_or_check_plan(self, work: Path) -> None:
        plan = Plan(
            purpose=f"cross-validation with {self._folds} folds{self._method.origin}",
            data=self._dataset.name,
            fingerprint=self._dataset.fingerprint,
            images=hash_of_images(self._images.hashes),
            recipe=self.recipe,
        )
        write_or_check_plan(plan, work)

    def _methods(self) -> list[Method]:
        """Return the method of each fold. The seeds differ, so that their spread includes that of initial weights."""
        return [self._method.with_seed((self.recipe.seed + fold + 1) % 2**32) for fold in range(self._folds)]

    def _out_of_fold(self, work: Path) -> NDArray[np.float32]:
        """Return the out-of-fold probabilities of the images, float32 [n, classes], and log each fold."""
        shown = _is_shown(self._progress)

        def log_begin(fold: int, held_out: Split) -> None:
            images = f"{counted(len(held_out), 'image')} {plural(len(held_out), 'is', 'are')} held out"
            log_message(f"fold {fold + 1} of {self._folds}: {images}", shown=shown)

        def log_end(fold: int, predictions: Predictions) -> None:
            accuracy = float((predictions.probabilities.argmax(axis=1) == predictions.labels).mean())
            log_message(f"fold {fold + 1} of {self._folds}: accuracy {accuracy:.2%}", shown=shown)

        return cross_val_predict(
            self._methods(), self._dataset, self._fold_of, work,
            progress=self._progress, on_fold_begin=log_begin, on_fold_end=log_end,
        )  # fmt: skip


def check_place(out: str | Path | None) -> None:
    """Check that a run directory is free or belongs to a cross-validation that can be resumed.

    Raises:
        RunError: the directory holds something else.
    """
    path = out_path(out, RunError)
    if path is not None and not has_plan(_work_of(path)) and not _is_finished(path):
        check_free(path)


def _is_shown(progress: bool | Progress) -> bool:
    return progress is not False


def _work_of(place: Path) -> Path:
    """Return the directory of the finished trainings, beside the run directory."""
    return place.with_name(f"{place.name}-folds")


def _is_finished(place: Path) -> bool:
    return is_run(place) and Run.open(place).folds() is not None


def _check_folds(folds: int) -> None:
    if not 2 <= folds <= MAX_FOLDS:
        raise DataError(f"data can't be divided into {folds} folds", expected=f"2 to {MAX_FOLDS}", found=str(folds))


def _of_all_images(dataset: Dataset, seed: int, previous_split: dict[str, SplitName] | None) -> Dataset:
    """Return the dataset with all images except the test split in the training split."""
    splits = splits_of(dataset, validation_split=0, seed=seed, previous_split=previous_split)
    return replace(dataset, splits={"train": in_order([splits["train"], splits["validation"]]), "test": splits["test"]})


def _assign_folds(images: Split, folds: int, seed: int) -> NDArray[np.int64]:
    groups = len(np.unique(images.duplicate_groups))
    if groups < folds:
        raise DataError(
            f"there are too few images for {folds} folds",
            expected=f"at least {folds} that are not duplicates of each other, besides test images",
            found=str(groups),
            remedy=f"take fewer folds: --folds {groups}" if groups > 1 else None,
        )
    return assign_folds(images.labels, images.duplicate_groups, folds, seed)


def _finalize(
    run: Run,
    images: Split,
    fold_of: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    progress: bool | Progress,
) -> None:
    """Calibrate the last network on the out-of-fold predictions, and write the predictions and their accuracy."""
    calibration = fit_temperature(images.labels, probabilities).model_copy(update={"out_of_fold": True})
    run.write_calibration(calibration)
    # The predictor reads the temperature of the run.
    write_models(run, Predictor.from_run(run).model, progress_of(progress))
    run.write_predictions(
        VALIDATION_PREDICTIONS, Predictions.of(images, at_temperature(probabilities, calibration.temperature))
    )
    # Written last: folds.json marks a finished cross-validation.
    run.write_folds(_record(probabilities.argmax(axis=1) == images.labels, fold_of, run.recipe.seed))


def _record(correct: NDArray[np.bool_], fold_of: NDArray[np.int64], seed: int) -> FoldsRecord:
    folds: Sequence[Fold] = [
        Fold(num_images=int((fold_of == fold).sum()), num_correct=int(correct[fold_of == fold].sum()))
        for fold in range(int(fold_of.max()) + 1)
    ]
    return FoldsRecord(
        accuracy=float(correct.mean()),
        interval=fold_interval(folds),
        num_images=len(correct),
        seed=seed,
        folds=tuple(folds),
    )
