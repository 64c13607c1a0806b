"""Network of a recipe: the allow-list of architectures, and the model that ends in probabilities."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import keras
import numpy as np
from numpy.typing import NDArray

from saccade.errors import TrainingError
from saccade.models.head import head_of
from saccade.models.networks import accurate, classic, efficientnet_lite, fast, folder, quick, scheduled
from saccade.models.networks.backbones import BACKBONES, Backbone
from saccade.models.test_time_augmentation import with_tta
from saccade.recipes import Recipe

FAMILIES: dict[str, ModuleType | Backbone] = {
    "fast": fast,
    "accurate": accurate,
    "classic": classic,
    "quick": quick,
    "scheduled": scheduled,
    "folder": folder,
    "EfficientNetLite0": efficientnet_lite,
    **BACKBONES,
}


def build_network(recipe: Recipe, *, height: int, width: int, classes: int) -> keras.Model:
    """Build a recipe's network with fresh weights, drawn from the recipe's seed.

    Args:
        recipe: recipe whose `network` and `seed` are used.
        height: height of the images, in pixels.
        width: width of the images, in pixels.
        classes: number of classes.

    Returns:
        Model from pixels 0 to 255, [n, height, width, 3], to logits [n, classes]. It never ends in probabilities,
        because logits are divided by the temperature and averaged over views before the softmax.

    Raises:
        TrainingError: the images are too small for the network.
    """
    family = FAMILIES[recipe.network]
    if min(height, width) < family.MINIMUM_SIZE:
        raise TrainingError(
            f"the network '{recipe.network}' can't process images of {width}x{height} pixels",
            expected=f"at least {family.MINIMUM_SIZE} pixels on each side",
            remedy=f"choose a larger size: --set image_size={max(32, family.MINIMUM_SIZE)}",
        )
    return _fresh(recipe, height, width, classes)


def build_network_of_any_size(recipe: Recipe, *, classes: int) -> keras.Model:
    """Build a recipe's network with the fresh weights of `build_network`, for images of any size.

    Raises:
        TrainingError: the network has a dense layer over all positions, so the image size is fixed.
    """
    family = FAMILIES[recipe.network]
    if not family.ANY_SIZE:
        raise TrainingError(
            f"the network '{recipe.network}' can't train on growing images",
            found=f"initial_scale={recipe.initial_scale:g}, final_scale={recipe.final_scale:g}",
            remedy=f"use one size: --set initial_scale={recipe.final_scale:g}",
        )
    return _fresh(recipe, None, None, classes)


def _fresh(recipe: Recipe, height: int | None, width: int | None, classes: int) -> keras.Model:
    with _keras_seeded(recipe.seed):
        model: keras.Model = FAMILIES[recipe.network].build(height, width, classes)
    return model


def initialize(network: keras.Model, recipe: Recipe, images: NDArray[np.uint8]) -> None:
    """Initialize weights that depend on the data, from training images, uint8 [n, height, width, 3]."""
    family = FAMILIES[recipe.network]
    if hasattr(family, "initialize"):
        family.initialize(network, images)


def trainable_variables_of(network: keras.Model, recipe: Recipe, epoch: int) -> list[keras.Variable]:
    """Return the variables trained in an epoch, counted from 0: after the first third, `EARLY_LAYERS` are frozen."""
    early = () if recipe.is_early(epoch) else getattr(FAMILIES[recipe.network], "EARLY_LAYERS", ())
    return [variable for layer in network.layers if layer.name not in early for variable in layer.trainable_variables]


def freeze_lower_layers(network: keras.Model, recipe: Recipe) -> None:
    """Freeze all layers of a transferred network but the head and the last ones, by `trainable_fraction`."""
    head = head_of(network)
    weighted = [layer for layer in network.layers if layer.weights and layer is not head]
    first = len(weighted) - round(recipe.trainable_fraction * len(weighted))
    for position, layer in enumerate(weighted):
        # Statistics of a small batch are worse than the pretrained ones; a frozen layer uses the moving statistics in
        # training too.
        layer.trainable = position >= first and not isinstance(layer, keras.layers.BatchNormalization)


def dense_weights(recipe: Recipe, *, height: int, width: int) -> int:
    """Return the number of weights of the network's first dense layer at an image size, without building it."""
    return int(FAMILIES[recipe.network].dense_weights(height, width))


def with_softmax(network: keras.Model) -> keras.Model:
    """Return a model with a softmax after the logits of a network; weights are shared."""
    softmax = keras.layers.Softmax(name="probabilities", dtype="float32")
    if isinstance(network, keras.Sequential):
        return keras.Sequential([keras.Input(network.input_shape[1:], name="pixels"), *network.layers, softmax])
    return keras.Model(network.input, softmax(network.output), name=network.name)


def build_probability_model(
    recipe: Recipe, *, height: int, width: int, classes: int, tta_views: int | None = None
) -> keras.Model:
    """Build a stock Keras model from pixels 0 to 255, [n, height, width, 3], to probabilities [n, classes], in float32.

    Args:
        recipe: recipe with the network and the number of views of test-time augmentation.
        height: height of the images, in pixels.
        width: width of the images, in pixels.
        classes: number of classes.
        tta_views: number of views, in place of the recipe's number.
    """
    network_height, network_width = recipe.final_size(height, width)
    network = build_network(recipe, height=network_height, width=network_width, classes=classes)
    return with_softmax(with_tta(network, height, width, tta_views or recipe.tta_views))


@contextmanager
def _keras_seeded(seed: int) -> Iterator[None]:
    """Seed Python's `random`, from which Keras draws seeds of initializers and dropout; then restore its state."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
