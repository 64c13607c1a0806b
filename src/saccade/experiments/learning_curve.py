"""Learning curve: accuracy by number of training images, and the gain from more images."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from saccade.atomic_io import atomic_write, write_json
from saccade.data.dataset import Dataset, Split
from saccade.data.load import Data
from saccade.data.splits import splits_of
from saccade.errors import DataError, RunError
from saccade.experiments.fold_assignment import nested_subset_order
from saccade.experiments.learning_curve_plots import draw_curve
from saccade.experiments.learning_curve_result import LearningCurve, curve_of
from saccade.experiments.manifest import Plan, has_plan, hash_of_images, write_or_check_plan
from saccade.experiments.power_law import MeasuredErrors
from saccade.experiments.train_and_predict import train_and_predict
from saccade.keras_loading import require_keras_settings
from saccade.named_paths import out_path
from saccade.output_folders import make_folder, numbered, require_free
from saccade.plotting.figure import save_figure
from saccade.progress import log_message
from saccade.recipes import Recipe
from saccade.runs.lock import locked_for_training
from saccade.runs.predictions import Predictions
from saccade.runs.run import Run
from saccade.sanitize import counted, duration_in_words
from saccade.training.repeated_training import Method, on_all_images, prepared
from saccade.training.transfer_learning.pretrained import PretrainedModel

MIN_SIZES = 4
_DEFAULT_SIZES = 6
_SMALLEST_FRACTION = 1 / 32
_SMALLEST_PER_CLASS = 5
_MIN_GROWTH = 1.25
# Held-out images: enough to distinguish accuracies that differ by three points, but at most a quarter of all images.
_ENOUGH_HELD_OUT = 1000
_MAX_HELD_OUT_FRACTION = 0.25


@dataclass(frozen=True)
class _Training:
    """One training of a learning curve: its number of images and its repeat, from 0."""

    num_images: int
    repeat: int

    @property
    def name(self) -> str:
        return f"{self.num_images}-{self.repeat + 1}"


def learning_curve(
    data: Data,
    *,
    recipe: str | Recipe | None = None,
    source: PretrainedModel | Run | str | Path | None = None,
    sizes: Sequence[int] | None = None,
    repeats: int = 3,
    out: str | Path | None = None,
    progress: bool = True,
) -> LearningCurve:
    """Train on subsets of growing size, measure all networks on the same held-out images, and fit a power law.

    The held-out images are the validation split of the data. Without one, they are a fraction of the training images:
    `validation_split` of the recipe, increased to 1,000 images, but to a quarter of the images at most. Test images
    are not used. In each repeat the subsets are stratified and nested: each size contains the images of the smaller
    sizes. Each training follows the recipe as `train` does on a dataset of this size.

    The directory keeps the predictions of each network. The same call resumes the learning curve. A call with other
    sizes or more repeats trains only the missing networks.

    Args:
        data: data as for `train`.
        recipe: recipe, including its seed, or its name. None: the default recipe for the image size.
        source: source of pretrained weights for all networks, as for `transfer`. None: random initial weights.
        sizes: at least four numbers of images. None: six sizes, from 1/32 of the images to all of them.
        repeats: trainings of each size, at least 2. Sizes up to 1/4 of the largest size get twice as many.
        out: new directory, or that of a learning curve. None: the first free `learning-curves/<data>-<recipe>-<n>`.
        progress: log the trainings and the estimated remaining time on stderr.

    Returns:
        Learning curve. The function also writes `learning_curve.json` and `learning_curve.png`.

    Raises:
        DataError: the data cannot be used, has too few images, or does not fit `sizes` or `repeats`.
        RecipeError: no recipe has this name.
        RunError: `out` exists and is not this learning curve.
        TrainingError: the recipe does not fit a learning curve, or a training failed.
        KeyboardInterrupt: the user stopped a training; finished trainings are kept.
    """
    require_keras_settings()
    check_folder(out)
    _check_repeats(repeats)
    dataset, method = prepared(data, recipe, source, progress=progress)
    training, held_out = _splits(dataset, method.recipe)
    method = replace(method, recipe=on_all_images(method.recipe))
    chosen = _sizes(sizes, len(training), len(dataset.class_names))
    plan = Plan(
        purpose=f"learning curve{method.origin}",
        data=dataset.name,
        fingerprint=dataset.fingerprint,
        images=hash_of_images(training.hashes, held_out.hashes),
        recipe=method.recipe,
    )
    series = numbered(Path("learning-curves"), f"{dataset.name}-{method.recipe.name}-")
    folder = make_folder(out, series, RunError)
    with locked_for_training(folder):
        write_or_check_plan(plan, folder)
        try:
            trainings = _trainings(chosen, repeats)
            measured = _measured(method, dataset, (training, held_out), folder, trainings, shown=progress)
        except KeyboardInterrupt:
            log_message(f"to resume: repeat the command with --out {shlex.quote(str(folder))}", shown=progress)
            raise
        curve, law = curve_of(measured, dataset, method.recipe, folder)
        # These files may exist from a call with other sizes or fewer repeats.
        with atomic_write(folder / "learning_curve.png") as path:
            save_figure(draw_curve(curve, law), path, dpi=110)
        write_json(folder / "learning_curve.json", curve.model_dump())
    return curve


def check_folder(out: str | Path | None) -> None:
    """Check that a directory is free or belongs to a learning curve that can be resumed.

    Raises:
        RunError: the directory holds something else.
    """
    path = out_path(out, RunError)
    if path is None or has_plan(path):
        return
    expected = "a directory that does not exist yet, an empty one, or that of a learning curve to resume"
    require_free(path, RunError, plural="learning curves", expected=expected)


def _check_repeats(repeats: int) -> None:
    if repeats < 2:
        raise DataError(
            "one training of each size is not enough to estimate the spread of the accuracies",
            expected="at least 2 repeats",
            found=str(repeats),
        )


def _splits(dataset: Dataset, recipe: Recipe) -> tuple[Split, Split]:
    """Return the training split, whose length is the largest size, and the held-out split of all networks."""
    fraction = max(
        recipe.validation_split, min(_MAX_HELD_OUT_FRACTION, _ENOUGH_HELD_OUT / max(1, len(dataset.splits["train"])))
    )
    splits = splits_of(dataset, validation_split=fraction, seed=recipe.seed)
    if not len(splits["validation"]):
        raise DataError(f"'{dataset.name}' has too few training images for a learning curve")
    return splits["train"], splits["validation"]


def _sizes(requested: Sequence[int] | None, images: int, classes: int) -> list[int]:
    if requested is None:
        smallest = max(round(_SMALLEST_FRACTION * images), _SMALLEST_PER_CLASS * classes)
        chosen = [round(size) for size in np.geomspace(smallest, max(images, smallest), _DEFAULT_SIZES)]
        if chosen[-1] > images or chosen[1] < _MIN_GROWTH * chosen[0]:
            raise DataError(
                "there are too few training images for a learning curve",
                expected=f"at least {round(_SMALLEST_PER_CLASS * classes * _MIN_GROWTH ** (_DEFAULT_SIZES - 1)) + 1:,} "
                "besides the held-out images",
                found=f"{images:,} of {classes} classes",
                remedy=_sizes_that_work(images, classes),
            )
        return chosen
    chosen = sorted(set(requested))
    if len(chosen) < MIN_SIZES or not classes <= chosen[0] <= chosen[-1] <= images:
        raise DataError(
            "these sizes make no learning curve",
            expected=f"at least {MIN_SIZES} different sizes, of {classes:,} to {images:,} images",
            found=", ".join(map(str, requested)),
            remedy=_sizes_that_work(images, classes),
        )
    return chosen


def _sizes_that_work(images: int, classes: int) -> str:
    """Return a remedy: sizes that fit the number of training images, or more images."""
    smallest = max(classes, images // 5)
    if images - smallest < MIN_SIZES - 1:
        return "collect more images"
    evenly = np.linspace(smallest, images, MIN_SIZES).astype(int)  # all different, because they are at least 1 apart
    return f"name sizes: --sizes {','.join(map(str, evenly))}"


def _trainings(sizes: Sequence[int], repeats: int) -> list[_Training]:
    """Return all trainings, the smallest first. Small sizes get more repeats: they vary more and cost less."""
    return [
        _Training(size, repeat) for size in sizes for repeat in range(2 * repeats if 4 * size <= sizes[-1] else repeats)
    ]


def _measured(
    method: Method,
    dataset: Dataset,
    splits: tuple[Split, Split],
    folder: Path,
    trainings: Sequence[_Training],
    *,
    shown: bool,
) -> MeasuredErrors:
    """Run all trainings that have no predictions yet, and return the errors of all trainings."""
    incorrect: dict[int, list[NDArray[np.bool_]]] = {}
    done: list[tuple[int, float]] = []
    log_message(
        f"{len(trainings)} trainings, evaluated on the same {counted(len(splits[1]), 'image')}: {folder}",
        shown=shown,
    )
    for number, one in enumerate(trainings, start=1):
        was_kept, began = (folder / f"{one.name}.safetensors").exists(), time.perf_counter()
        predictions = _predictions(method, dataset, splits, folder, one)
        incorrect.setdefault(one.num_images, []).append(predictions.probabilities.argmax(axis=1) != predictions.labels)
        if not was_kept:
            done.append((one.num_images, time.perf_counter() - began))
        left = [other.num_images for other in trainings[number:]]
        ended = f"accuracy {1 - incorrect[one.num_images][-1].mean():.2%}{' (already trained)' if was_kept else ''}"
        log_message(
            f"training {number} of {len(trainings)}: {counted(one.num_images, 'image')}, {ended}"
            + (f"; {_remaining_time_text(estimate_remaining_seconds(done, left))}" if left else ""),
            shown=shown,
        )
    sizes = sorted(incorrect)
    return MeasuredErrors(np.array(sizes, np.float64), tuple(np.stack(incorrect[size]) for size in sizes))


def _predictions(
    method: Method, dataset: Dataset, splits: tuple[Split, Split], folder: Path, one: _Training
) -> Predictions:
    training, held_out = splits
    order = nested_subset_order(training.labels, training.duplicate_groups, seed=method.recipe.seed, repeat=one.repeat)
    subset = training.subset(np.sort(order[: one.num_images]))
    # The seed depends on the size and the repeat only, not on the other trainings of the curve.
    seed = (method.recipe.seed + 1009 * one.num_images + one.repeat + 1) % 2**32
    return train_and_predict(method.with_seed(seed), dataset, (subset, held_out), folder / one.name)


def estimate_remaining_seconds(done: Sequence[tuple[int, float]], left: Sequence[int]) -> float | None:
    """Estimate the duration of the remaining trainings: a constant for each training plus a time for each image.

    Args:
        done: number of images and seconds of each finished training.
        left: number of images of each remaining training.

    Returns:
        Seconds; None if all finished trainings have the same number of images, from which no time follows.
    """
    if len({images for images, _ in done}) < 2:
        return None
    images, seconds = np.array(done, np.float64).T
    # Non-negative least squares, because neither time can be negative.
    (per_training, per_image), _ = nnls(np.stack([np.ones(len(images)), images], axis=1), seconds)
    return float(per_training * len(left) + per_image * sum(left))


def _remaining_time_text(seconds: float | None) -> str:
    return "remaining time not known yet" if seconds is None else f"about {duration_in_words(seconds)} left"
