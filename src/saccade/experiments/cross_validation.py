"""cross_validate: how good a network of few images is, measured on all of them, and the network of all of them."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Dataset, Split, SplitName
from saccade.data.splits import in_order, splits_of
from saccade.errors import DataError, RunError
from saccade.experiments.cross_val_predict import cross_val_predict
from saccade.experiments.fold_assignment import deal_folds
from saccade.experiments.fold_interval import fold_interval
from saccade.experiments.manifest import Plan, images_key, is_begun, keep_to
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
from saccade.runs.run import Run
from saccade.sanitize import counted, plural
from saccade.training.calibration import at_temperature, fit_temperature
from saccade.training.finalize import write_models
from saccade.training.progress import Progress, progress_of
from saccade.training.repeated_training import Method, is_run, on_all_images, prepared, require_same
from saccade.training.transfer_learning.pretrained import PretrainedModel

MOST_FOLDS = 20


def cross_validate(
    data: str | os.PathLike[str] | Dataset,
    folds: int = 5,
    *,
    recipe: str | Recipe | None = None,
    source: PretrainedModel | Run | str | Path | None = None,
    out: str | Path | None = None,
    reuse_split: Run | str | Path | None = None,
    progress: bool | Progress = True,
) -> Run:
    """Trains once for each fold, without its images, which it then answers; and at last on all images.

    All images but those of the test split take part: each is answered once, by a network that was not trained on it.
    The temperature of the last network, and what its promises rest upon, come from these answers, since no image is
    left that it has not seen. Networks of fewer images gave them, which as a rule are less often right.

    What is done of it lies in `<out>-folds` until all is whole: the same call goes on with it.

    Args:
        data: what `train` takes. A validation split of its own is trained on like the training split.
        folds: 2 to 20.
        recipe: a named recipe or a value of your own. None: the default for images of this size. It must keep its
            last weights: there is nothing by which the best epoch of the last training could be chosen.
        source: what every network is transferred from, as for `transfer`; None: they begin anew.
        out: the run directory to make. None: the first free `runs/<data>-<recipe>-<n>`.
        reuse_split: a previous run. What were its test images stay test images, where Saccade decides on it.
        progress: whether to tell on stderr how it goes, or whom to tell instead.

    Returns:
        The run of the last training; its `folds()` holds the out-of-fold accuracy.

    Raises:
        DataError: the data can't be used, or not be parted into so many folds.
        RecipeError: there is no recipe of that name.
        RunError: `out` is in the way, or holds something else.
        TrainingError: the recipe can't be used for this, or a training failed.
        KeyboardInterrupt: the user stopped it; what is done is kept.
    """
    require_keras_settings()
    _check_folds(folds)
    check_place(out)
    previous_split = None if reuse_split is None else Run.open(reuse_split).split_of()
    dataset, method = prepared(data, recipe, source, progress=progress is True)
    method = replace(method, recipe=on_all_images(method.recipe))
    whole = _of_all_images(dataset, method.recipe.seed, previous_split)
    images = whole.splits["train"]
    dealt = _dealt(images, folds, method.recipe.seed)
    place = Path(out) if out is not None else make_folder(None, numbered_runs(dataset, method.recipe), RunError)
    if is_run(place):
        require_same(Run.open(place), method.recipe, dataset)
        if _is_whole(place):
            return Run.open(place)
    work = _work_of(place)
    work.mkdir(parents=True, exist_ok=True)
    with locked_for_training(work):
        plan = Plan(
            purpose=f"cross-validation with {folds} folds{method.origin}",
            data=dataset.name,
            fingerprint=dataset.fingerprint,
            images=images_key(images.hashes),
            recipe=method.recipe,
        )
        keep_to(plan, work)
        try:
            predictions = _out_of_fold(method, whole, dealt, work, progress)
            log_message(f"all {len(images):,} images:", shown=_is_shown(progress))
            run = method.train(whole, place, progress=progress)
            if run.status().state == "interrupted":
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            log_message(
                f"to go on with it: the same command with --out {shlex.quote(str(place))}", shown=_is_shown(progress)
            )
            raise
        _conclude(run, images, dealt, predictions, progress)
    shutil.rmtree(work)
    return run


def check_place(out: str | Path | None) -> None:
    """Fails before any work where something is in the way that is not a cross-validation to go on with.

    Raises:
        RunError: something is.
    """
    path = out_path(out, RunError)
    if path is not None and not is_begun(_work_of(path)) and not _is_whole(path):
        check_free(path)


def _is_shown(progress: bool | Progress) -> bool:
    return progress is not False


def _work_of(place: Path) -> Path:
    """Where a cross-validation keeps what it has done, beside the run that it will make."""
    return place.with_name(f"{place.name}-folds")


def _is_whole(place: Path) -> bool:
    return is_run(place) and Run.open(place).folds() is not None


def _check_folds(folds: int) -> None:
    if not 2 <= folds <= MOST_FOLDS:
        raise DataError(f"data can't be parted into {folds} folds", expected=f"2 to {MOST_FOLDS}", found=str(folds))


def _of_all_images(dataset: Dataset, seed: int, previous_split: dict[str, SplitName] | None) -> Dataset:
    """The data as one that has all images but those of the test split to train on."""
    splits = splits_of(dataset, validation_split=0, seed=seed, previous_split=previous_split)
    return replace(dataset, splits={"train": in_order([splits["train"], splits["validation"]]), "test": splits["test"]})


def _dealt(images: Split, folds: int, seed: int) -> NDArray[np.int64]:
    different = len(np.unique(images.duplicate_groups))
    if different < folds:
        raise DataError(
            f"there are too few images for {folds} folds",
            expected=f"at least {folds} that are no duplicates of each other, besides test images",
            found=str(different),
            remedy=f"take fewer folds: --folds {different}" if different > 1 else None,
        )
    return deal_folds(images.labels, images.duplicate_groups, folds, seed)


def _out_of_fold(
    method: Method,
    whole: Dataset,
    dealt: NDArray[np.int64],
    work: Path,
    progress: bool | Progress,
) -> NDArray[np.float32]:
    """Return the out-of-fold probabilities of the training images, float32 [n, classes], and log each fold."""
    count = int(dealt.max()) + 1
    shown = _is_shown(progress)

    def log_begin(fold: int, held_out: Split) -> None:
        images = f"{counted(len(held_out), 'image')} {plural(len(held_out), 'is', 'are')} held out"
        log_message(f"fold {fold + 1} of {count}: {images}", shown=shown)

    def log_end(fold: int, predictions: Predictions) -> None:
        accuracy = float((predictions.probabilities.argmax(axis=1) == predictions.labels).mean())
        log_message(f"fold {fold + 1} of {count}: accuracy {accuracy:.2%}", shown=shown)

    # The seeds differ, so that the spread of the folds includes the spread over initial weights.
    methods = [method.with_seed((method.recipe.seed + fold + 1) % 2**32) for fold in range(count)]
    return cross_val_predict(
        methods, whole, dealt, work, progress=progress, on_fold_begin=log_begin, on_fold_end=log_end
    )


def _conclude(
    run: Run,
    images: Split,
    dealt: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    progress: bool | Progress,
) -> None:
    """Calibrates the last network by the predictions out of fold, and keeps these and what they come to."""
    calibration = fit_temperature(images.labels, probabilities).model_copy(update={"out_of_fold": True})
    run.write_calibration(calibration)
    # A predictor takes the temperature from the run.
    write_models(run, Predictor.from_run(run).model, progress_of(progress))
    run.write_predictions(
        VALIDATION_PREDICTIONS, Predictions.of(images, at_temperature(probabilities, calibration.temperature))
    )
    # Last, because it says that all is whole.
    run.write_folds(_record(probabilities.argmax(axis=1) == images.labels, dealt, run.recipe.seed))


def _record(correct: NDArray[np.bool_], dealt: NDArray[np.int64], seed: int) -> FoldsRecord:
    folds: Sequence[Fold] = [
        Fold(num_images=int((dealt == number).sum()), num_correct=int(correct[dealt == number].sum()))
        for number in range(int(dealt.max()) + 1)
    ]
    return FoldsRecord(
        accuracy=float(correct.mean()),
        interval=fold_interval(folds),
        num_images=len(correct),
        seed=seed,
        folds=tuple(folds),
    )
