"""Forecast of the duration of a training on a frozen network, measured by a few images before the training begins."""

from __future__ import annotations

from collections.abc import Mapping

from saccade.data.dataset import Dataset, Split, SplitName
from saccade.recipes import Recipe
from saccade.training.fit import Networks
from saccade.training.machine_speed import feature_work, fine_tuning_speed, measure_features
from saccade.training.time_budget import feature_budget, fine_tuning_budget
from saccade.training.time_budget.fine_tuning_budget import FineTuningWork
from saccade.training.transfer_learning.linear_probe import feature_extractor

# Number of the network's input pixels, in all images and versions, below which the measurement would take a
# considerable part of the training: 2,000 images of 224x224.
_FEW_PIXELS = 2_000 * 224 * 224


def seconds_on_frozen_network(
    recipe: Recipe, dataset: Dataset, splits: Mapping[SplitName, Split], networks: Networks, building: float
) -> float | None:
    """Return the seconds to the end of a training that fits a head to features, or upper layers to kept outputs.

    Outputs that are in the cache already are not subtracted.

    Args:
        recipe: recipe of the training.
        dataset: the data.
        splits: images of each split.
        networks: networks by the recipe, with pretrained weights.
        building: seconds that it took to build the networks.

    Returns:
        None for another training, and for few images.
    """
    height, width = recipe.final_size(dataset.preprocessing.height, dataset.preprocessing.width)
    images = len(splits["train"]) * (1 + recipe.augmented_versions)
    if not (recipe.head_only or recipe.keeps_outputs) or images * height * width < _FEW_PIXELS:
        return None
    extractor = feature_extractor(networks.validated, recipe, dataset.preprocessing, dataset.name)
    work = feature_work(recipe, dataset, splits, extractor)
    costs = measure_features(work, extractor, splits["train"], building)
    if recipe.head_only:
        return feature_budget.seconds_for(work, costs)
    speed = fine_tuning_speed(costs, networks.trained, recipe, splits["train"], building)
    return fine_tuning_budget.seconds_for(FineTuningWork(work, len(splits["validation"])), speed)
