"""Transfer learning: training of a classifier from pretrained weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from saccade.data.dataset import Dataset, SplitName
from saccade.data.image_size import PreprocessingOptions
from saccade.data.load import Data, load_with_preprocessing
from saccade.data.reading_options import ReadingOptions
from saccade.errors import TrainingError
from saccade.keras_loading import require_keras_settings
from saccade.progress import log_message
from saccade.recipes import Recipe, get_recipe
from saccade.runs.create import check_free
from saccade.runs.run import Run
from saccade.sanitize import counted
from saccade.training.progress import Progress
from saccade.training.train import start_training
from saccade.training.transfer_learning.pretrained import PretrainedModel, PretrainedWeights


def transfer(
    data: Data,
    source: PretrainedModel | Run | str | Path,
    *,
    weights: str | Path | None = None,
    out: str | Path | None = None,
    epochs: int | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: bool | Progress = True,
) -> Run:
    """Train a classifier from a pretrained network, for data with few images, and write a run directory.

    In the first epoch all layers are frozen, and a regularized linear head is fitted to the features of the images. In
    the other epochs the upper layers are fine-tuned with a small learning rate. The weights with the best validation
    accuracy are kept.

    Args:
        data: as for `train`.
        source: a run or its directory; the weights.safetensors of a run; or the name of a network of
            keras.applications, such as "MobileNetV3Small", whose ImageNet weights Keras downloads.
        weights: for a network of keras.applications, a file with its weights in Keras's format, without the head.
        out: the run directory to create. None: the first free `runs/<data>-transfer-<n>`.
        epochs: total number of epochs; 1 fits the linear head only.
        settings: keys of the recipe `transfer` to change.
        progress: as for `train`.

    Returns:
        The run; its `source()` names the source of the pretrained weights.

    Raises:
        TrainingError: the source is unknown, its weights are not available, or they don't fit the data.
        DataError: the data can't be used.
        RecipeError: a key or a value is unknown.
        RunError: `out` exists already, or the source is a damaged run.
    """
    require_keras_settings()
    check_free(out)
    model = source if isinstance(source, PretrainedModel) else PretrainedModel.of(source, weights)
    recipe = transfer_recipe(model, epochs, settings)
    dataset = data if isinstance(data, Dataset) else load_for(model, recipe, data, progress=progress is True)
    pretrained = PretrainedWeights.from_model(model)
    kept = _split_to_keep(model, dataset)
    if kept:
        log_message(
            f"note: {counted(len(kept), 'image')} of the data belonged to the data of '{model.name}' and keep their "
            "split, so that no training image of it is a validation or test image here",
            shown=progress is not False,
        )
    return start_training(
        dataset,
        recipe,
        out=out,
        previous_split=kept,
        pretrained=pretrained,
        progress=progress,
    )


def _split_to_keep(source: PretrainedModel, dataset: Dataset) -> dict[str, SplitName] | None:
    """Return the split, by content hash, of the images of a dataset that the source was trained or validated on.

    An image that the network was trained on must not become a validation image. The split is None if no image is known
    to the source, or if none was a validation image of the source: then no validation image would be left.
    """
    hashes = {content for split in dataset.splits.values() for content in split.hashes}
    known = {content: name for content, name in source.split.items() if content in hashes}
    return known if "validation" in known.values() else None


def transfer_recipe(source: PretrainedModel, epochs: int | None, settings: Mapping[str, Any] | None) -> Recipe:
    """Return the recipe `transfer` for a source.

    Raises:
        RecipeError: a key or a value is unknown.
        TrainingError: the settings name another network than the source's.
    """
    if isinstance(settings, Mapping) and not {"network", "transfer"}.isdisjoint(settings):
        raise TrainingError("the network of a transfer is that of its source", remedy="name another source with --from")
    recipe = get_recipe("transfer").with_settings({"network": source.network, **source.settings})
    recipe = recipe.with_settings({} if settings is None else settings)
    return recipe if epochs is None else recipe.with_epochs(epochs)


def load_for(
    source: PretrainedModel,
    recipe: Recipe,
    data: Data,
    *,
    reading: ReadingOptions | None = None,
    progress: bool,
) -> Dataset:
    """Load the data by `fit`, `scale` and `image_size` of the recipe, or else of the source's network."""
    size = (source.preprocessing.height, source.preprocessing.width)
    if recipe.image_size is not None:
        size = (recipe.image_size, recipe.image_size)
    options = PreprocessingOptions(size, recipe.fit or source.preprocessing.fit, recipe.scale)
    return load_with_preprocessing(data, options, reading=reading, progress=progress)
