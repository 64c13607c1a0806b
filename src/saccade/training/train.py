"""train: from data and a recipe to a run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from saccade.augmentation.rng import first_look, generator
from saccade.data.dataset import Dataset, Split, SplitName
from saccade.data.load import load, load_default
from saccade.data.splits import parts_of
from saccade.errors import RunError, TrainingError
from saccade.keras_loading import require_keras_settings
from saccade.machine import memory_bytes
from saccade.models.build import (
    build_network,
    build_network_of_any_size,
    build_probability_model,
    dense_weights,
    freeze_lower_layers,
    initialise,
)
from saccade.models.training_model import training_twin
from saccade.models.weights import assign, named_weights
from saccade.recipes import ComputeDtype, Recipe, default_recipe_name, get_recipe
from saccade.runs.checkpoints import Checkpoint
from saccade.runs.create import check_free, create_run
from saccade.runs.lock import locked_for_training
from saccade.runs.run import Run
from saccade.sanitize import command_line
from saccade.training.determinism import deterministic_operations
from saccade.training.finalize import save
from saccade.training.fit import Networks, fit
from saccade.training.interrupt import stop_on_interrupt
from saccade.training.machine_precision import compute_dtype_of_machine
from saccade.training.pretrained import Learned
from saccade.training.progress import Progress, progress_of
from saccade.training.time_budget.timekeeping import Timekeeping

_KEPT_PICTURES = 1000
_KEPT_BYTES = 64 * 10**6
# The most memory that trainings of `quick` on 64x64 and 96x96 pixels held, 34 and 76 million weights: 87 bytes for each
# weight more. Beside weights, gradients and Adam's two moments these are the copies that are validated, kept and saved.
_BYTES_PER_WEIGHT = 90


def train(
    data: str | os.PathLike[str] | Dataset | None = None,
    *,
    recipe: str | Recipe | None = None,
    out: str | Path | None = None,
    epochs: int | None = None,
    settings: Mapping[str, Any] | None = None,
    split_from: Run | str | Path | None = None,
    progress: bool | Progress = True,
) -> Run:
    """Trains a classifier and leaves a run directory.

    Args:
        data: a name ("cifar10", "digits"), the path of a folder or an archive of pictures in class folders, or a loaded
            dataset. None: CIFAR-10, or the bundled digits where it can't be had.
        recipe: a named recipe or a value of your own. None: the default for pictures of this size.
        out: the directory to make. None: the first free `runs/<data>-<recipe>-<n>`.
        epochs: epochs in all, shared between the recipe's phases in its own proportion.
        settings: recipe keys to change, such as `{"seed": 3, "learning_rate": 0.0005}`.
        split_from: an earlier run. Pictures that it had keep their part (training, validation or test) where Saccade
            and not the data decides on it, however many were added since.
        progress: whether to tell on stderr how it goes, or whom to tell instead.

    Returns:
        The run. After a first Ctrl-C it holds the training up to there and can be evaluated; a second one quits. Either
        way, and after a crash, `saccade.resume` goes on from it.

    Raises:
        DataError: the data can't be used.
        RecipeError: the recipe, a key or a value is not known.
        RunError: `out` is in the way, or `split_from` is no run.
        TrainingError: this recipe can't train on this data, or the training diverged.
        KerasError: Keras is set up in a way that Saccade can't work with.
    """
    require_keras_settings()
    check_free(out)
    known = "quick" if recipe is None else recipe
    refuse_transfer(resolve_recipe(known, None, None))
    earlier = None if split_from is None else Run.open(split_from).split_of()
    # Wrong settings are refused before any work, even while the default recipe is not known yet.
    size = resolve_recipe(known, epochs, settings).image_size
    dataset = data if isinstance(data, Dataset) else load_data(data, size, progress is True)
    default = default_recipe_name(dataset.rule.height, dataset.rule.width)
    chosen = resolve_recipe(default if recipe is None else recipe, epochs, settings)
    return begin(dataset, chosen, out=out, earlier=earlier, progress=progress)


def begin(
    dataset: Dataset,
    recipe: Recipe,
    *,
    out: str | Path | None,
    earlier: Mapping[str, SplitName] | None = None,
    learned: Learned | None = None,
    progress: bool | Progress,
) -> Run:
    """Makes a run directory for a training that is decided on, and trains.

    Args:
        dataset: the data.
        recipe: every choice.
        out: as for `train`.
        earlier: content hash -> part, of pictures that keep theirs.
        learned: what the network brings along, in a transfer.
        progress: as for `train`.
    """
    told = progress_of(progress)
    parts = checked_parts(dataset, recipe, earlier)
    compute_dtype = compute_dtype_of_machine() if recipe.compute == "auto" else recipe.compute
    networks = build_networks(recipe, dataset, parts["train"], compute_dtype, learned)
    run = create_run(out, dataset, recipe, parts, compute_dtype)
    if learned is not None:
        run.write_source(learned.record)
    told.training_begins(run, networks.validated)
    with locked_for_training(run.path):
        carry_out(run, networks, parts, progress=told)
    return run


def carry_out(
    run: Run,
    networks: Networks,
    parts: Mapping[SplitName, Split],
    *,
    checkpoint: Checkpoint | None = None,
    progress: Progress,
    timekeeping: Timekeeping | None = None,
) -> None:
    """Trains in a run directory that exists and is locked, from the beginning or from a checkpoint, and saves.

    Raises:
        TrainingError: the training diverged.
        RunError: a checkpoint can't be written or doesn't fit, or the trained weights can't be saved.
    """
    if not run.has_validation_pictures:
        _keep_validation_pictures(run, parts["validation"])
    with stop_on_interrupt() as stop, deterministic_operations(run.recipe.deterministic):
        fitted = fit(networks, parts, run, checkpoint=checkpoint, progress=progress, stop=stop, timekeeping=timekeeping)
        try:
            save(run, fitted, parts, progress)
        except OSError as error:
            raise RunError(
                f"the trained network can't be saved in '{run.path}': {error.strerror}",
                found="a whole training; its last checkpoint is intact",
                remedy=f"mend that, then save it: {command_line('train', '--resume', run.path)}",
            ) from None
    progress.training_ends(run)


def checked_parts(dataset: Dataset, recipe: Recipe, earlier: Mapping[str, SplitName] | None) -> dict[SplitName, Split]:
    """The pictures, by what they are for in a training by this recipe.

    Args:
        dataset: what is trained on.
        recipe: its validation part and seed count.
        earlier: content hash -> the part that a picture has already, if any.

    Raises:
        TrainingError: the recipe can't train on them.
    """
    _check_size(dataset, recipe)
    parts = parts_of(dataset, validation=recipe.validation, seed=recipe.seed, earlier=earlier)
    _check(parts, recipe)
    _check_memory(dataset, recipe)
    return parts


def build_networks(
    recipe: Recipe, dataset: Dataset, training: Split, compute_dtype: ComputeDtype, learned: Learned | None = None
) -> Networks:
    """The recipe's network, fresh or with what it brings along, as it is trained and as it is validated."""
    size, classes = {"height": dataset.rule.height, "width": dataset.rule.width}, len(dataset.class_names)
    validated = build_probability_model(recipe, **size, classes=classes, views=1)
    if recipe.start_size == recipe.end_size:
        height, width = recipe.final_size(**size)
        fresh = build_network(recipe, height=height, width=width, classes=classes)
    else:
        fresh = build_network_of_any_size(recipe, classes=classes)
    if recipe.transfer:
        if learned is not None:
            assign(fresh, {**named_weights(fresh), **learned.body_of(fresh)})
        freeze_lower_layers(fresh, recipe)
    else:
        initialise(fresh, recipe, training.take(first_look(len(training), seed=recipe.seed)))
    return Networks(trained=training_twin(fresh, compute_dtype), validated=validated)


def resolve_recipe(recipe: str | Recipe, epochs: int | None, settings: Mapping[str, Any] | None) -> Recipe:
    """The recipe that a training follows, from what `train` is told.

    Raises:
        RecipeError: the recipe, a key or a value is not known.
    """
    base = recipe if isinstance(recipe, Recipe) else get_recipe(recipe)
    changed = base.with_settings({} if settings is None else settings)
    return changed if epochs is None else changed.with_epochs(epochs)


def load_data(data: str | os.PathLike[str] | None, size: int | None, progress: bool) -> Dataset:
    """The data that a training is on, where it is not loaded yet; as `train` takes it."""
    if data is None:
        return load_default(image_size=size, progress=progress)
    return load(data, image_size=size, progress=progress)


def refuse_transfer(recipe: Recipe) -> None:
    """Refuses the recipe of a transfer where there is nothing to go on from.

    Raises:
        TrainingError: it is one.
    """
    if recipe.transfer:
        raise TrainingError(
            "a transfer goes on from a network that has learned",
            remedy="name it: --from RUN; in Python, saccade.transfer(data, source)",
        )


def _check_size(dataset: Dataset, recipe: Recipe) -> None:
    size = recipe.image_size
    if size is not None and (dataset.rule.height, dataset.rule.width) != (size, size):
        raise TrainingError(
            "the loaded data has another picture size than the recipe",
            expected=f"{size}x{size} pixels, by the recipe's image_size",
            found=f"{dataset.rule.width}x{dataset.rule.height} pixels",
            remedy=f"load it at that size, saccade.load(..., image_size={size}), or leave image_size away",
        )


def _check(parts: Mapping[SplitName, Split], recipe: Recipe) -> None:
    if not parts["train"]:
        raise TrainingError("there are no training pictures left after holding out the validation part")
    if not parts["validation"] and (recipe.keep == "best" or recipe.patience):
        raise TrainingError(
            "the best epoch can't be chosen without validation pictures",
            found=f"keep={recipe.keep}, patience={recipe.patience}, validation={recipe.validation:g}",
            remedy="hold some out, --set validation=0.1, or keep the last weights: --set keep=last --set patience=0",
        )


def _check_memory(dataset: Dataset, recipe: Recipe) -> None:
    weights = dense_weights(recipe, height=dataset.rule.height, width=dataset.rule.width)
    available = 0.7 * memory_bytes()
    if weights * _BYTES_PER_WEIGHT > available:
        raise TrainingError(
            f"the network '{recipe.network}' is too large for this machine at this picture size",
            expected=f"at most {available / 1e9:.1f} GB for the weights and what a training needs beside them",
            found=f"{weights * _BYTES_PER_WEIGHT / 1e9:.1f} GB for {weights:,} weights of a dense layer",
            remedy="take smaller pictures, --set image_size=64, or another recipe: --recipe folder",
        )


def _keep_validation_pictures(run: Run, validation: Split) -> None:
    """Keeps up to 1,000 validation pictures, 64 MB at most, drawn by the seed."""
    per_picture = run.rule.height * run.rule.width * 3
    n = min(len(validation), _KEPT_PICTURES, _KEPT_BYTES // per_picture)
    if n:
        chosen = generator(run.recipe.seed, 0, "kept pictures").permutation(len(validation))[:n]
        chosen = np.sort(chosen)
        run.write_validation_pictures(validation.take(chosen), validation.labels[chosen])
