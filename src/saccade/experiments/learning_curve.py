"""learning_curve: accuracy against the number of images, and what more of them would bring."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saccade.atomic_io import atomic_write, write_json
from saccade.data.dataset import Dataset, Split
from saccade.data.splits import splits_of
from saccade.errors import DataError, RunError
from saccade.experiments.eta import in_words, seconds_left
from saccade.experiments.fold_assignment import growing_order
from saccade.experiments.learning_curve_plots import draw_curve
from saccade.experiments.learning_curve_result import LearningCurve, curve_of
from saccade.experiments.manifest import Plan, images_key, is_begun, keep_to
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
from saccade.sanitize import counted
from saccade.training.repeated_training import Method, on_all_images, prepared
from saccade.training.transfer_learning.pretrained import PretrainedModel

LEAST_SIZES = 4
_SIZES = 6
_SMALLEST_FRACTION = 1 / 32
_PER_CLASS = 5
_LEAST_GROWTH = 1.25
# So many images tell accuracies apart that differ by three points; of few, no more than a quarter is taken.
_WELL_ASKED = 1000
_MOST_ASKED = 0.25


@dataclass(frozen=True)
class _Training:
    """One training of a curve: on so many images, the `repeat`-th of its size, counted from 0."""

    num_images: int
    repeat: int

    @property
    def name(self) -> str:
        return f"{self.num_images}-{self.repeat + 1}"


def learning_curve(
    data: str | os.PathLike[str] | Dataset,
    *,
    recipe: str | Recipe | None = None,
    source: PretrainedModel | Run | str | Path | None = None,
    sizes: Sequence[int] | None = None,
    repeats: int = 3,
    out: str | Path | None = None,
    progress: bool = True,
) -> LearningCurve:
    """Trains on growing numbers of images, asks all networks about the same others, and fits a power law.

    The images that all are asked about are the data's own validation split, else a part of the training images: the
    recipe's `validation_split`, more where that is fewer than 1,000, a quarter at most. Test images are not looked at.
    In each repeat every size holds the images of the smaller ones, its classes in the proportions of all. A training of
    few images follows the recipe as `train` would with so many.

    The directory keeps what each network answered: the same call goes on where it was stopped, and one with other
    sizes or more repeats trains only what is missing.

    Args:
        data: what `train` takes.
        recipe: a named recipe or a value of your own, its seed included. None: the default for images of this size.
        source: what every network is transferred from, as for `transfer`; None: they begin anew.
        sizes: at least four numbers of images. None: six, from a thirty-second of all to all.
        repeats: trainings of each size, at least 2; sizes of a quarter of the largest and fewer get twice as many.
        out: the directory to make, or to go on in. None: the first free `learning-curves/<data>-<recipe>-<n>`.
        progress: whether to tell on stderr how it goes, with an estimate of the time that is left.

    Returns:
        The curve; `learning_curve.json` and `learning_curve.png` are written.

    Raises:
        DataError: the data can't be used, or has too few images; or the sizes or repeats can't.
        RecipeError: there is no recipe of that name.
        RunError: `out` is in the way, or holds another curve.
        TrainingError: the recipe can't be used for this, or a training failed.
        KeyboardInterrupt: the user stopped it; what is done is kept.
    """
    require_keras_settings()
    check_folder(out)
    _check_repeats(repeats)
    dataset, method = prepared(data, recipe, source, progress=progress)
    training, asked = _splits(dataset, method.recipe)
    method = replace(method, recipe=on_all_images(method.recipe))
    chosen = _sizes(sizes, len(training), len(dataset.class_names))
    plan = Plan(
        purpose=f"learning curve{method.origin}",
        data=dataset.name,
        fingerprint=dataset.fingerprint,
        images=images_key(training.hashes, asked.hashes),
        recipe=method.recipe,
    )
    series = numbered(Path("learning-curves"), f"{dataset.name}-{method.recipe.name}-")
    folder = make_folder(out, series, RunError)
    with locked_for_training(folder):
        keep_to(plan, folder)
        try:
            trainings = _trainings(chosen, repeats)
            measured = _measured(method, dataset, (training, asked), folder, trainings, shown=progress)
        except KeyboardInterrupt:
            log_message(f"to go on with it: the same command with --out {shlex.quote(str(folder))}", shown=progress)
            raise
        curve, law = curve_of(measured, dataset, method.recipe, folder)
        # The sizes before, or fewer repeats, may have been drawn there: theirs are the same trainings.
        with atomic_write(folder / "learning_curve.png") as path:
            save_figure(draw_curve(curve, law), path, dpi=110)
        write_json(folder / "learning_curve.json", curve.model_dump())
    return curve


def check_folder(out: str | Path | None) -> None:
    """Fails before any work where something is in the way that is not a curve to go on with.

    Raises:
        RunError: something is.
    """
    path = out_path(out, RunError)
    if path is None or is_begun(path):
        return
    expected = "a directory that does not exist yet, an empty one, or that of a learning curve to go on with"
    require_free(path, RunError, plural="learning curves", expected=expected)


def _check_repeats(repeats: int) -> None:
    if repeats < 2:
        raise DataError(
            "how far accuracies vary can't be told from one training of each size",
            expected="at least 2 repeats",
            found=str(repeats),
        )


def _splits(dataset: Dataset, recipe: Recipe) -> tuple[Split, Split]:
    """What is trained on, the largest size, and what all networks are asked about."""
    fraction = max(recipe.validation_split, min(_MOST_ASKED, _WELL_ASKED / max(1, len(dataset.splits["train"]))))
    splits = splits_of(dataset, validation_split=fraction, seed=recipe.seed)
    if not len(splits["validation"]):
        raise DataError(f"'{dataset.name}' has too few training images for a learning curve")
    return splits["train"], splits["validation"]


def _sizes(asked: Sequence[int] | None, images: int, classes: int) -> list[int]:
    if asked is None:
        smallest = max(round(_SMALLEST_FRACTION * images), _PER_CLASS * classes)
        chosen = [round(size) for size in np.geomspace(smallest, max(images, smallest), _SIZES)]
        if chosen[-1] > images or chosen[1] < _LEAST_GROWTH * chosen[0]:
            raise DataError(
                "there are too few training images for a learning curve",
                expected=f"some {round(_PER_CLASS * classes * _LEAST_GROWTH ** (_SIZES - 1)) + 1:,} at least, beside "
                "those that the networks are asked about",
                found=f"{images:,} of {classes} classes",
                remedy=_sizes_that_work(images, classes),
            )
        return chosen
    chosen = sorted(set(asked))
    if len(chosen) < LEAST_SIZES or not classes <= chosen[0] <= chosen[-1] <= images:
        raise DataError(
            "these sizes make no learning curve",
            expected=f"at least {LEAST_SIZES} different ones, of {classes:,} to {images:,} images",
            found=", ".join(map(str, asked)),
            remedy=_sizes_that_work(images, classes),
        )
    return chosen


def _sizes_that_work(images: int, classes: int) -> str:
    """What to do where sizes do not suit so many training images: sizes that do, if any do."""
    smallest = max(classes, images // 5)
    if images - smallest < LEAST_SIZES - 1:
        return "collect more images"
    evenly = np.linspace(smallest, images, LEAST_SIZES).astype(int)  # at least 1 apart, so that all differ
    return f"name sizes: --sizes {','.join(map(str, evenly))}"


def _trainings(sizes: Sequence[int], repeats: int) -> list[_Training]:
    """All trainings, the smallest first; the smaller ones vary more, and cost less."""
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
    """Carries out all trainings, or takes what is kept of them."""
    incorrect: dict[int, list[NDArray[np.bool_]]] = {}
    done: list[tuple[int, float]] = []
    log_message(
        f"{len(trainings)} trainings, each asked about the same {counted(len(splits[1]), 'image')}: {folder}",
        shown=shown,
    )
    for number, one in enumerate(trainings, start=1):
        was_kept, began = (folder / f"{one.name}.safetensors").exists(), time.perf_counter()
        predictions = _predictions(method, dataset, splits, folder, one)
        incorrect.setdefault(one.num_images, []).append(predictions.probabilities.argmax(axis=1) != predictions.labels)
        if not was_kept:
            done.append((one.num_images, time.perf_counter() - began))
        left = [other.num_images for other in trainings[number:]]
        ended = f"accuracy {1 - incorrect[one.num_images][-1].mean():.2%}{' (was there)' if was_kept else ''}"
        log_message(
            f"training {number} of {len(trainings)}: {counted(one.num_images, 'image')}, {ended}"
            + (f"; {in_words(seconds_left(done, left))}" if left else ""),
            shown=shown,
        )
    sizes = sorted(incorrect)
    return MeasuredErrors(np.array(sizes, np.float64), tuple(np.stack(incorrect[size]) for size in sizes))


def _predictions(
    method: Method, dataset: Dataset, splits: tuple[Split, Split], folder: Path, one: _Training
) -> Predictions:
    training, asked = splits
    order = growing_order(training.labels, training.duplicate_groups, seed=method.recipe.seed, repeat=one.repeat)
    subset = training.subset(np.sort(order[: one.num_images]))
    # Of its own for each, whatever other sizes and repeats there are.
    seed = (method.recipe.seed + 1009 * one.num_images + one.repeat + 1) % 2**32
    return train_and_predict(method.with_seed(seed), dataset, (subset, asked), folder / one.name)
