"""Features of images by a pretrained network: the network, the preprocessing of the images, the feature extractor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from saccade.data.dataset import Preprocessing
from saccade.data.image_size import PreprocessingOptions, square_preprocessing
from saccade.models.build import build_network, build_probability_model
from saccade.models.head import body_weights, without_head
from saccade.models.layer_outputs import inner_network
from saccade.models.pretrained.imagenet import imagenet_weights
from saccade.models.weights import assign, named_weights
from saccade.recipes import Recipe, get_recipe
from saccade.runs.run import Run
from saccade.training.transfer_learning.features import FeatureExtractor
from saccade.training.transfer_learning.linear_probe import feature_extractor
from saccade.training.transfer_learning.pretrained import (
    PretrainedModel,
    PretrainedWeights,
    imagenet_model,
    weights_fingerprint,
)

if TYPE_CHECKING:
    import keras

# Smallest side of images for the network of this package: at 32 pixels its features are worth little. CIFAR-10 at 96
# pixels: 77.6% with a linear head, in three minutes.
_MIN_SIZE = 96


@dataclass(frozen=True)
class FeatureSource:
    """Network that gives features, and the preprocessing of its images.

    Attributes:
        model: the network.
        recipe: recipe of a linear head on the network.
        wanted: preprocessing of the images, or its options.
    """

    model: PretrainedModel
    recipe: Recipe
    wanted: Preprocessing | PreprocessingOptions

    @classmethod
    def of(cls, network: Run | str | Path | None) -> FeatureSource:
        """Return the source of a run, whose preprocessing is used too, or of another source as for `transfer`.

        None: EfficientNet-Lite0 with ImageNet weights, with the preprocessing of the recipe `photo`, so that both use
        the same features.

        Raises:
            RunError, TrainingError: the run or the network can't be used.
        """
        recipe = get_recipe("linear-probe")
        if network is None:
            return cls(imagenet_model(), recipe, PreprocessingOptions(None, recipe.fit, recipe.scale))
        model = PretrainedModel.of(network)
        return cls(model, recipe.with_settings({"network": model.network, **model.settings}), model.preprocessing)

    def enlarged(self, preprocessing: Preprocessing) -> Preprocessing:
        """Return the preprocessing of images, with a larger size where the images are too small for the network."""
        is_small = min(preprocessing.height, preprocessing.width) < _MIN_SIZE
        if isinstance(self.wanted, PreprocessingOptions) and is_small:
            return square_preprocessing(_MIN_SIZE)
        return preprocessing

    def extractor(self, preprocessing: Preprocessing, name: str) -> FeatureExtractor:
        """Return the feature extractor for images of a preprocessing; `name` is the name of the data."""
        return pretrained_extractor(self.model, self.recipe, preprocessing, name)


def pretrained_extractor(
    model: PretrainedModel, recipe: Recipe, preprocessing: Preprocessing, name: str
) -> FeatureExtractor:
    """Return the feature extractor of a pretrained network.

    Args:
        model: the network.
        recipe: recipe of a linear head on the network.
        preprocessing: preprocessing of the images.
        name: name of the data.
    """
    size = {"height": preprocessing.height, "width": preprocessing.width}
    if model.load is imagenet_weights:
        network, fingerprint = _imagenet_body(*recipe.final_size(**size))
        return FeatureExtractor(network, fingerprint, preprocessing, name)
    network = build_probability_model(recipe, **size, classes=1, tta_views=1)
    inner = inner_network(network)
    assign(inner, {**named_weights(inner), **PretrainedWeights.from_model(model).body_of(inner)})
    return feature_extractor(network, recipe, preprocessing, name)


@lru_cache(maxsize=4)
def _imagenet_body(height: int, width: int) -> tuple[keras.Model, str]:
    """Return EfficientNet-Lite0 without its head, and the fingerprint of its ImageNet weights.

    Kept for the next call, because a program that embeds or searches images repeatedly would spend most of its time on
    building the same network. A network takes 14 MB.

    Args:
        height: height of the images that the network sees, in pixels.
        width: width of these images, in pixels.
    """
    recipe = get_recipe("linear-probe")
    network = build_network(recipe, height=height, width=width, classes=1)
    body = body_weights(network, imagenet_weights())
    assign(network, {**named_weights(network), **body})
    return without_head(network), weights_fingerprint(recipe.network, body)
