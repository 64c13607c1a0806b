"""Training of a classifier: the function `train`, and the steps that other commands share with it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from saccade.augmentation.rng import make_rng
from saccade.augmentation.sample_order import training_subset
from saccade.data.dataset import Dataset, Preprocessing, Split, SplitName
from saccade.data.default_recipe import default_recipe_of
from saccade.data.load import Data, load_for_recipe
from saccade.data.splits import splits_of
from saccade.errors import RunError, TrainingError
from saccade.keras_loading import require_keras_settings
from saccade.machine import memory_bytes
from saccade.models.build import (
    build_network,
    build_network_of_any_size,
    build_probability_model,
    dense_weights,
    freeze_lower_layers,
    initialize,
)
from saccade.models.layer_outputs import inner_network
from saccade.models.pretrained.imagenet import NETWORK
from saccade.models.training_model import make_training_model
from saccade.models.weights import assign, named_weights
from saccade.recipes import ComputeDtype, Recipe, get_recipe
from saccade.runs.checkpoints import Checkpoint
from saccade.runs.create import check_free, create_run
from saccade.runs.lock import locked_for_training
from saccade.runs.run import Run
from saccade.sanitize import command_line
from saccade.training.finalize import finalize, loading_meanwhile
from saccade.training.fit import Execution, Fitted, Networks, fit
from saccade.training.frozen_network_forecast import seconds_on_frozen_network
from saccade.training.interrupt import TrainingInterrupt, stop_on_interrupt
from saccade.training.machine_precision import compute_dtype_of
from saccade.training.parallel.parallel_step import Workers
from saccade.training.progress import Progress, progress_of
from saccade.training.step import deterministic_operations
from saccade.training.time_budget.timekeeping import Timekeeping
from saccade.training.transfer_learning.pretrained import PretrainedWeights, imagenet_model
from saccade.training.transfer_learning.upper_training import versions_within_cache

_ENDING = "the training is at its end and is being saved; press Ctrl-C again to quit without saving"
_MAX_SAVED_IMAGES = 1000
_MAX_SAVED_BYTES = 64 * 10**6
# Trainings of `quick` on 64x64 and 96x96 pixels, with 34 and 76 million weights, differed in peak memory by 87 bytes
# per weight: weights, gradients, Adam's two moments, and the weights that are validated, kept and saved.
_BYTES_PER_WEIGHT = 90


def train(
    data: Data | None = None,
    *,
    recipe: str | Recipe | None = None,
    out: str | Path | None = None,
    epochs: int | None = None,
    settings: Mapping[str, Any] | None = None,
    reuse_split: Run | str | Path | None = None,
    progress: bool | Progress = True,
) -> Run:
    """Train a classifier and write a run directory.

    Args:
        data: a name ("cifar10", "digits"), the path of a folder or an archive of images in class folders, or a loaded
            dataset. None: CIFAR-10, or the bundled digits where CIFAR-10 is not available.
        recipe: the name of a recipe, or a recipe. None: the default recipe for the image size.
        out: the run directory to create. None: the first free `runs/<data>-<recipe>-<n>`.
        epochs: total number of epochs, divided among the phases in the recipe's proportion.
        settings: recipe keys to change, such as `{"seed": 3, "learning_rate": 0.0005}`.
        reuse_split: a previous run. Images of that run keep their split (training, validation or test) where Saccade
            makes the splits, even if images were added since.
        progress: True for progress on standard error, False for none, or progress callbacks.

    Returns:
        The run. The first Ctrl-C stops the training and saves a run that can be evaluated; a second Ctrl-C quits. In
        both cases, and after a crash, `saccade.resume` continues the training.

    Raises:
        DataError: the data can't be used.
        RecipeError: the recipe, a key or a value is unknown.
        RunError: `out` exists already, or `reuse_split` is not a run.
        TrainingError: the recipe can't train on the data, or the training diverged.
        KerasError: the settings of Keras don't work with Saccade.
    """
    require_keras_settings()
    check_free(out)
    recipe_or_any = "quick" if recipe is None else recipe
    reject_transfer(resolve_recipe(recipe_or_any, None, None))
    # Invalid settings fail before the data is loaded, although the default recipe depends on the data.
    loading = resolve_recipe(recipe_or_any, epochs, settings)
    dataset = data if isinstance(data, Dataset) else load_for_recipe(data, loading, progress=progress is True)
    default = default_recipe_of(dataset)
    chosen = resolve_recipe(default if recipe is None else recipe, epochs, settings)
    return train_with(None, dataset, chosen, out=out, reuse_split=reuse_split, progress=progress)


def train_with(
    workers: Workers | None,
    dataset: Dataset,
    recipe: Recipe,
    *,
    out: str | Path | None,
    reuse_split: Run | str | Path | None,
    progress: bool | Progress,
) -> Run:
    """Train on a loaded dataset as `train` does, by workers that share each step; None for this process alone.

    Raises:
        RunError, TrainingError, KerasError: as for `train`.
        ClusterError: the workers failed.
    """
    require_keras_settings()
    check_free(out)
    reject_transfer(recipe)
    previous_split = None if reuse_split is None else Run.open(reuse_split).split_of()
    return start_training(dataset, recipe, out=out, previous_split=previous_split, workers=workers, progress=progress)


def start_training(
    dataset: Dataset,
    recipe: Recipe,
    *,
    out: str | Path | None,
    previous_split: Mapping[str, SplitName] | None = None,
    pretrained: PretrainedWeights | None = None,
    workers: Workers | None = None,
    progress: bool | Progress,
) -> Run:
    """Create a run directory and train.

    Args:
        dataset: the data.
        recipe: the complete recipe.
        out: as for `train`.
        previous_split: content hash -> split, of the images that keep their split.
        pretrained: pretrained weights of the network, in a transfer.
        workers: workers that share each step. None: this process alone.
        progress: as for `train`.

    Raises:
        RunError, TrainingError: as for `train`.
        ClusterError: the workers failed.
    """
    callback = progress_of(progress)
    if workers is not None and recipe.head_only:
        raise TrainingError(
            f"a training by the recipe '{recipe.name}' can't be divided among workers: it has no steps",
            remedy="train without --ray, or by another recipe",
        )
    splits = make_splits(dataset, recipe, previous_split)
    if recipe.transfer and pretrained is None:
        reject_transfer(recipe)
        pretrained = PretrainedWeights.from_model(imagenet_model())
    compute_dtype = compute_dtype_of(recipe)
    began = time.perf_counter()
    networks = build_networks(recipe, dataset, splits["train"], compute_dtype, pretrained)
    building = time.perf_counter() - began
    recipe = within_cache(recipe, networks, splits["train"], callback)
    run = create_run(out, dataset, recipe, splits, compute_dtype)
    if workers is not None:
        run.record_workers(workers.count)
    if pretrained is not None:
        run.write_source(pretrained.record)
    callback.on_train_begin(run, networks.validated)
    seconds = seconds_on_frozen_network(recipe, dataset, splits, networks, building)
    if seconds is not None:
        callback.on_forecast(seconds, run)
    with locked_for_training(run.path):
        run_training(run, networks, splits, progress=callback, workers=workers)
    return run


def run_training(
    run: Run,
    networks: Networks,
    splits: Mapping[SplitName, Split],
    *,
    checkpoint: Checkpoint | None = None,
    progress: Progress,
    timekeeping: Timekeeping | None = None,
    workers: Workers | None = None,
) -> None:
    """Train in an existing, locked run directory, from the beginning or from a checkpoint, and save the result.

    Raises:
        TrainingError: the training diverged.
        RunError: a checkpoint can't be written or does not fit the network, or the result can't be saved.
        TrainingInterrupt: Ctrl-C was pressed for the second time, or before there was anything to save.
        ClusterError: the workers failed.
    """
    if not run.has_validation_images:
        _save_validation_images(run, splits["validation"])
    try:
        with stop_on_interrupt() as stop, deterministic_operations(run.recipe.deterministic):
            helping = nullcontext() if workers is None else workers.helping(run)
            with loading_meanwhile(), helping as helpers:
                execution = Execution(checkpoint, timekeeping, helpers)
                fitted = fit(networks, splits, run, execution=execution, progress=progress, stop=stop)
            with stop.with_message(_ENDING if fitted.state == "finished" else stop.message):
                _save(run, fitted, splits, progress)
    except KeyboardInterrupt:
        raise TrainingInterrupt(run.path) from None
    progress.on_train_end(run)


def _save(run: Run, fitted: Fitted, splits: Mapping[SplitName, Split], progress: Progress) -> None:
    """Write the final files of a run; a failure is an error that names the remedy."""
    try:
        finalize(run, fitted, splits, progress)
    except OSError as error:
        raise RunError(
            f"the trained network can't be saved in '{run.path}': {error.strerror}",
            found="a whole training; its last checkpoint is intact",
            remedy=f"fix the cause, then save it: {command_line('train', '--resume', run.path)}",
        ) from None


def make_splits(
    dataset: Dataset, recipe: Recipe, previous_split: Mapping[str, SplitName] | None
) -> dict[SplitName, Split]:
    """Return the splits of a dataset for a training by a recipe.

    Args:
        dataset: the data.
        recipe: recipe with the size of the validation split and the seed.
        previous_split: content hash -> split, of the images that keep their split; None if there are none.

    Raises:
        TrainingError: the recipe can't train on the data.
    """
    _check_preprocessing(dataset.preprocessing, recipe)
    splits = splits_of(
        dataset, validation_split=recipe.validation_split, seed=recipe.seed, previous_split=previous_split
    )
    _check_splits(splits, recipe)
    _check_memory(dataset, recipe)
    return splits


def build_networks(
    recipe: Recipe,
    dataset: Dataset,
    training: Split,
    compute_dtype: ComputeDtype,
    pretrained: PretrainedWeights | None = None,
) -> Networks:
    """Build the recipe's network, with initial or pretrained weights, in the forms for training and validation."""
    size = {"height": dataset.preprocessing.height, "width": dataset.preprocessing.width}
    classes = len(dataset.class_names)
    validated = build_probability_model(recipe, **size, classes=classes, tta_views=1)
    height, width = recipe.final_size(**size)
    if recipe.initial_scale != recipe.final_scale:
        fresh = build_network_of_any_size(recipe, classes=classes)
    elif recipe.head_only:
        fresh = inner_network(validated)  # a frozen network takes no training steps
    else:
        fresh = build_network(recipe, height=height, width=width, classes=classes)
    if recipe.transfer:
        if pretrained is not None:
            assign(fresh, {**named_weights(fresh), **pretrained.body_of(fresh)})
        freeze_lower_layers(fresh, recipe)
    else:
        initialize(fresh, recipe, training.take(training_subset(len(training), seed=recipe.seed)))
    return Networks(fresh if recipe.head_only else make_training_model(fresh, compute_dtype), validated)


def within_cache(recipe: Recipe, networks: Networks, training: Split, progress: Progress) -> Recipe:
    """Return the recipe with as many augmented versions as the cache holds outputs for; a reduction is a warning."""
    if not recipe.keeps_outputs:
        return recipe
    versions = versions_within_cache(networks.trained, recipe, len(training), math.prod(training.store.shape))
    if versions == recipe.augmented_versions:
        return recipe
    progress.on_warning(
        f"augmented_versions={versions} instead of {recipe.augmented_versions}: the cache, SACCADE_CACHE_LIMIT, is too "
        "small for the outputs of more versions"
    )
    return recipe.with_settings({"augmented_versions": versions})


def resolve_recipe(recipe: str | Recipe, epochs: int | None, settings: Mapping[str, Any] | None) -> Recipe:
    """Return the recipe for the arguments `recipe`, `epochs` and `settings` of `train`.

    Raises:
        RecipeError: the recipe, a key or a value is unknown.
    """
    base = recipe if isinstance(recipe, Recipe) else get_recipe(recipe)
    changed = base.with_settings({} if settings is None else settings)
    return changed if epochs is None else changed.with_epochs(epochs)


def reject_transfer(recipe: Recipe) -> None:
    """Raise an error for a transfer-learning recipe whose network has no weights in this package.

    Raises:
        TrainingError: the recipe is for transfer learning, which needs a pretrained network.
    """
    if recipe.transfer and recipe.network != NETWORK:
        raise TrainingError(
            "transfer learning needs a pretrained network",
            remedy="name one: --from RUN; in Python, saccade.transfer(data, source)",
        )


def _check_preprocessing(preprocessing: Preprocessing, recipe: Recipe) -> None:
    size = recipe.image_size
    if recipe.fit not in (None, preprocessing.fit):
        raise TrainingError(
            "the loaded data has another fit than the recipe",
            expected=f"fit={recipe.fit}, by the recipe",
            found=f"fit={preprocessing.fit}",
            remedy=f'load it with saccade.load(..., fit="{recipe.fit}"), or train with fit={preprocessing.fit}',
        )
    if size is not None and (preprocessing.height, preprocessing.width) != (size, size):
        raise TrainingError(
            "the loaded data has another image size than the recipe",
            expected=f"{size}x{size} pixels, by the recipe's image_size",
            found=f"{preprocessing.width}x{preprocessing.height} pixels",
            remedy=f"load it at that size, saccade.load(..., image_size={size}), or omit image_size",
        )


def _check_splits(splits: Mapping[SplitName, Split], recipe: Recipe) -> None:
    if not splits["train"]:
        raise TrainingError("there are no training images left after holding out the validation split")
    if not splits["validation"] and (recipe.keep == "best" or recipe.patience):
        raise TrainingError(
            "the best epoch can't be chosen without validation images",
            found=f"keep={recipe.keep}, patience={recipe.patience}, validation_split={recipe.validation_split:g}",
            remedy="hold some out, --set validation_split=0.1, or keep the last weights: --set keep=last "
            "--set patience=0",
        )


def _check_memory(dataset: Dataset, recipe: Recipe) -> None:
    weights = dense_weights(recipe, height=dataset.preprocessing.height, width=dataset.preprocessing.width)
    available = 0.7 * memory_bytes()
    if weights * _BYTES_PER_WEIGHT > available:
        raise TrainingError(
            f"the network '{recipe.network}' is too large for this machine at this image size",
            expected=f"at most {available / 1e9:.1f} GB for the weights, their gradients and the optimizer's state",
            found=f"{weights * _BYTES_PER_WEIGHT / 1e9:.1f} GB for {weights:,} weights of a dense layer",
            remedy="take smaller images, --set image_size=64, or another recipe: --recipe folder",
        )


def _save_validation_images(run: Run, validation: Split) -> None:
    """Save up to 1,000 validation images, 64 MB at most, drawn by the seed."""
    per_image = run.preprocessing.height * run.preprocessing.width * 3
    n = min(len(validation), _MAX_SAVED_IMAGES, _MAX_SAVED_BYTES // per_image)
    if n:
        drawn = np.sort(make_rng(run.recipe.seed, 0, "kept images").permutation(len(validation))[:n])
        run.write_validation_images(validation.take(drawn), validation.labels[drawn])
