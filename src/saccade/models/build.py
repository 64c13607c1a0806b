"""From a recipe to a network: the allow-list of families, and the model that ends in probabilities."""

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
from saccade.models.networks import accurate, classic, fast, folder, quick, scheduled
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
    **BACKBONES,
}


def build_network(recipe: Recipe, *, height: int, width: int, classes: int) -> keras.Model:
    """The recipe's network with fresh weights, drawn from the recipe's seed.

    Args:
        recipe: its `network` and `seed` count.
        height: of the images, in pixels.
        width: of the images, in pixels.
        classes: number of classes.

    Returns:
        A model from pixels 0 to 255, [n, height, width, 3], to logits [n, classes]: never to probabilities, because the
        temperature divides logits and views are averaged before the softmax.

    Raises:
        TrainingError: the images are too small for the network.
    """
    family = FAMILIES[recipe.network]
    if min(height, width) < family.MINIMUM_SIZE:
        raise TrainingError(
            f"the network '{recipe.network}' can't take images of {width}x{height} pixels",
            expected=f"at least {family.MINIMUM_SIZE} pixels on each side",
            remedy=f"name a larger size: --set image_size={max(32, family.MINIMUM_SIZE)}",
        )
    return _fresh(recipe, height, width, classes)


def build_network_of_any_size(recipe: Recipe, *, classes: int) -> keras.Model:
    """The recipe's network with the same fresh weights, for images of any size.

    Raises:
        TrainingError: the network has a dense layer over every pixel, so it is bound to one size.
    """
    family = FAMILIES[recipe.network]
    if not family.ANY_SIZE:
        raise TrainingError(
            f"the network '{recipe.network}' can't train on growing images",
            found=f"initial_scale={recipe.initial_scale:g}, final_scale={recipe.final_scale:g}",
            remedy=f"keep to one size: --set initial_scale={recipe.final_scale:g}",
        )
    return _fresh(recipe, None, None, classes)


def _fresh(recipe: Recipe, height: int | None, width: int | None, classes: int) -> keras.Model:
    with _keras_seeded(recipe.seed):
        model: keras.Model = FAMILIES[recipe.network].build(height, width, classes)
    return model


def initialize(network: keras.Model, recipe: Recipe, images: NDArray[np.uint8]) -> None:
    """Sets what a network takes from the training images, uint8 [n, height, width, 3], before it is trained."""
    family = FAMILIES[recipe.network]
    if hasattr(family, "initialize"):
        family.initialize(network, images)


def learning_variables(network: keras.Model, recipe: Recipe, epoch: int) -> list[keras.Variable]:
    """The variables that the steps of an epoch, counted from 0, change: in the first third of them all, then fewer."""
    early = () if recipe.is_early(epoch) else getattr(FAMILIES[recipe.network], "EARLY_LAYERS", ())
    return [variable for layer in network.layers if layer.name not in early for variable in layer.trainable_variables]


def freeze_lower_layers(network: keras.Model, recipe: Recipe) -> None:
    """Lets a transferred network learn only as much as the recipe says: its head, and its uppermost layers."""
    head = head_of(network)
    weighted = [layer for layer in network.layers if layer.weights and layer is not head]
    first = len(weighted) - round(recipe.trainable_fraction * len(weighted))
    for place, layer in enumerate(weighted):
        # Statistics of a few images are worse than those it brought; a frozen layer also goes by these in training.
        layer.trainable = place >= first and not isinstance(layer, keras.layers.BatchNormalization)


def dense_weights(recipe: Recipe, *, height: int, width: int) -> int:
    """How many weights the network's first dense layer has at an image size: known without taking the memory."""
    return int(FAMILIES[recipe.network].dense_weights(height, width))


def ending_in_probabilities(network: keras.Model) -> keras.Model:
    """The same layers as of a network that gives logits, with a softmax after them. Weights are shared."""
    softmax = keras.layers.Softmax(name="probabilities", dtype="float32")
    if isinstance(network, keras.Sequential):
        return keras.Sequential([keras.Input(network.input_shape[1:], name="pixels"), *network.layers, softmax])
    return keras.Model(network.inputs, softmax(network.output), name=network.name)


def build_probability_model(
    recipe: Recipe, *, height: int, width: int, classes: int, tta_views: int | None = None
) -> keras.Model:
    """A stock Keras model from pixels 0 to 255, [n, height, width, 3], to probabilities [n, classes], in float32.

    Args:
        recipe: its network, and how many views an answer is averaged over.
        height: of the images, in pixels.
        width: of the images, in pixels.
        classes: number of classes.
        tta_views: another number of views than the recipe's.
    """
    seen_height, seen_width = recipe.final_size(height, width)
    network = build_network(recipe, height=seen_height, width=seen_width, classes=classes)
    return ending_in_probabilities(with_tta(network, height, width, tta_views or recipe.tta_views))


@contextmanager
def _keras_seeded(seed: int) -> Iterator[None]:
    """Keras draws the seeds of initializers and of dropout from Python's `random`; the caller's is left as it was."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
