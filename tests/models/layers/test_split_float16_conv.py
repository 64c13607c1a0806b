"""Rounding errors of float16 weights with a split first convolution."""

import keras
import numpy as np
import pytest
from keras import layers

from saccade.models.batchnorm_folding.fold import fold_normalization
from saccade.models.build import build_probability_model
from saccade.models.layers.split_float16_conv import SplitFloat16Conv2D, split_first_convolution
from saccade.recipes import get_recipe

IMAGES = np.random.default_rng(0).integers(100, 140, (8, 16, 16, 3)).astype(np.float32)


def edge_network(seed):
    """Return a network with edge filters in its first convolution and with probabilities far from 0 and 1."""
    draw = np.random.default_rng(seed)
    pixels = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 2, activation="silu", name="stem")(pixels)
    x = layers.GlobalMaxPooling2D()(x)
    model = keras.Model(pixels, layers.Dense(3, activation="softmax", name="classes")(x))
    kernel = draw.normal(size=(2, 2, 3, 8))
    kernel -= kernel.mean(axis=(0, 1, 2))
    model.get_layer("stem").set_weights([kernel / 20, draw.normal(size=8)])
    model.get_layer("classes").set_weights([draw.normal(size=(8, 3)) / 10, np.zeros(3)])
    return model


def float16_outputs(model):
    """Return the outputs after all weights are rounded to float16."""
    for layer in model.layers:
        layer.set_weights([weight.astype(np.float16).astype(np.float32) for weight in layer.get_weights()])
    return model.predict_on_batch(IMAGES)


@pytest.mark.parametrize("seed", range(5))
def test_splitting_reduces_the_rounding_error_at_least_tenfold(seed):
    model = edge_network(seed)
    expected = model.predict_on_batch(IMAGES)
    precise = split_first_convolution(model)
    np.testing.assert_allclose(precise.predict_on_batch(IMAGES), expected, atol=1e-5)
    # Round the last layer of both models first, so that only the first layers differ.
    for copy in (model, precise):
        copy.layers[-1].set_weights([np.float32(np.float16(weight)) for weight in copy.layers[-1].get_weights()])
    exact = model.predict_on_batch(IMAGES)
    ours, plain = (
        np.abs(float16_outputs(precise) - exact).max(),
        np.abs(float16_outputs(model) - exact).max(),
    )
    # Rounding errors of float32 are about 1e-7: the compared errors must be far larger on every processor.
    assert plain > 5e-5
    assert ours < plain / 10


def test_a_nested_network_is_split_once_and_one_without_convolutions_is_unchanged():
    folded = fold_normalization(build_probability_model(get_recipe("fast"), height=32, width=32, classes=4))
    precise = split_first_convolution(folded)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
    (inner,) = [layer for layer in precise.layers if isinstance(layer, keras.Model)]
    assert [layer.name for layer in inner.layers if isinstance(layer, SplitFloat16Conv2D)] == [inner.layers[1].name]
    np.testing.assert_allclose(precise.predict_on_batch(images), folded.predict_on_batch(images), atol=1e-5)
    pixels = keras.Input((4, 4, 3))
    plain = keras.Model(pixels, layers.Dense(2)(layers.Flatten()(pixels)))
    assert split_first_convolution(plain) is plain
