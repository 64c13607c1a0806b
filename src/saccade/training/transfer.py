"""transfer: a training that goes on from a network that has learned from other images."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from saccade.data.dataset import Dataset, SplitName
from saccade.data.load import load_with_preprocessing
from saccade.errors import TrainingError
from saccade.keras_loading import require_keras_settings
from saccade.recipes import Recipe, get_recipe
from saccade.runs.create import check_free
from saccade.runs.run import Run
from saccade.training.progress import Progress
from saccade.training.train import start_training
from saccade.training.transfer_learning.pretrained import PretrainedModel, PretrainedWeights


def transfer(
    data: str | os.PathLike[str] | Dataset,
    source: PretrainedModel | Run | str | Path,
    *,
    weights: str | Path | None = None,
    out: str | Path | None = None,
    epochs: int | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: bool | Progress = True,
) -> Run:
    """Trains a classifier of few images by what a network has learned from others, and leaves a run directory.

    In the first epoch the network stands still, and a regularized linear head is fitted to what it gives of each
    image; in the others its upper layers learn too, at a small rate. What is best on validation data is kept.

    Args:
        data: as for `train`.
        source: a run or its directory; the weights.safetensors of one; or the name of a network of
            keras.applications, such as "MobileNetV3Small", whose ImageNet weights Keras downloads.
        weights: for such a network, a file with its weights, as Keras keeps them, without the head.
        out: the directory to make. None: the first free `runs/<data>-transfer-<n>`.
        epochs: in all; 1: only the head is fitted.
        settings: keys of the recipe `transfer` to change.
        progress: as for `train`.

    Returns:
        The run; its `source()` says where its network learned first. It can be resumed and extended as any other.

    Raises:
        TrainingError: there is no such source, its weights can't be had, or they don't fit this data.
        DataError: the data can't be used.
        RecipeError: a key or a value is not known.
        RunError: `out` is in the way, or the source is a damaged run.
    """
    require_keras_settings()
    check_free(out)
    found = source if isinstance(source, PretrainedModel) else PretrainedModel.of(source, weights)
    recipe = transfer_recipe(found, epochs, settings)
    dataset = data if isinstance(data, Dataset) else load_for(found, recipe, data, progress=progress is True)
    pretrained = PretrainedWeights.from_model(found)
    return start_training(
        dataset,
        recipe,
        out=out,
        previous_split=_split_to_keep(found, dataset),
        pretrained=pretrained,
        progress=progress,
    )


def _split_to_keep(source: PretrainedModel, dataset: Dataset) -> dict[str, SplitName] | None:
    """Return the split, by content hash, of the images of a dataset that the source was trained or validated on.

    What the network has learned by heart is no validation image. None where nothing is known, and where the source held
    out none of these images: then they could not be validated on at all.
    """
    hashes = {content for split in dataset.splits.values() for content in split.hashes}
    known = {content: name for content, name in source.split.items() if content in hashes}
    return known if "validation" in known.values() else None


def transfer_recipe(source: PretrainedModel, epochs: int | None, settings: Mapping[str, Any] | None) -> Recipe:
    """The recipe `transfer` for a source.

    Raises:
        RecipeError: a key or a value is not known.
        TrainingError: the settings would make it another network than the source's.
    """
    if isinstance(settings, Mapping) and not {"network", "transfer"}.isdisjoint(settings):
        raise TrainingError("the network of a transfer is that of its source", remedy="name another source with --from")
    recipe = get_recipe("transfer").with_settings({"network": source.network, **source.settings})
    recipe = recipe.with_settings({} if settings is None else settings)
    return recipe if epochs is None else recipe.with_epochs(epochs)


def load_for(source: PretrainedModel, recipe: Recipe, data: str | os.PathLike[str], *, progress: bool) -> Dataset:
    """The data, brought to the size that the source's network sees, unless the recipe names another."""
    size = recipe.image_size
    preprocessing = source.preprocessing if size is None else replace(source.preprocessing, height=size, width=size)
    return load_with_preprocessing(data, preprocessing, progress=progress)
