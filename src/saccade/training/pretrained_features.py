"""Feature extractor of a pretrained network for the images of a dataset."""

from __future__ import annotations

from saccade.data.dataset import Dataset, Split
from saccade.recipes import Recipe
from saccade.training.train import build_networks
from saccade.training.transfer_learning.features import FeatureExtractor
from saccade.training.transfer_learning.linear_probe import feature_extractor
from saccade.training.transfer_learning.pretrained import PretrainedModel, PretrainedWeights


def pretrained_extractor(model: PretrainedModel, recipe: Recipe, dataset: Dataset, images: Split) -> FeatureExtractor:
    """Return the feature extractor of a pretrained network.

    Args:
        model: the network.
        recipe: recipe of a linear head on the network.
        dataset: dataset with the preprocessing of the images.
        images: images of the dataset.
    """
    networks = build_networks(recipe, dataset, images, "float32", PretrainedWeights.from_model(model))
    return feature_extractor(networks.validated, recipe, dataset.preprocessing, dataset.name)
