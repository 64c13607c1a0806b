"""The recipe of a training where the user names none."""

from __future__ import annotations

from saccade.data.dataset import Dataset
from saccade.recipes import Recipe, default_recipe


def default_recipe_of(dataset: Dataset) -> Recipe:
    """Return the default recipe for the size and the number of the images."""
    images = sum(len(split) for name, split in dataset.splits.items() if name != "test")
    return default_recipe(dataset.preprocessing.height, dataset.preprocessing.width, images)
