"""Folded networks compared with their stock networks, with random weights and statistics."""

import keras
import numpy as np
import pytest
from keras import layers
from tests.models.recipes_of_networks import ONE_OF_EACH_NETWORK

from saccade.models.batchnorm_folding.fold import fold_normalization, refold
from saccade.models.build import build_probability_model
from saccade.recipes import get_recipe

SMALL = np.random.default_rng(2).normal(size=(4, 9, 8, 3)).astype(np.float32)
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)


def randomize(model, *, flipped=False):
    """Randomize all weights and moving statistics; `flipped`: scales of both signs, one of them zero."""
    rng = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            randomize(layer, flipped=flipped)
        elif isinstance(layer, layers.BatchNormalization):
            channels = layer.moving_mean.shape
            layer.moving_mean.assign(rng.normal(0, 0.3, channels))
            layer.moving_variance.assign(rng.uniform(0.3, 3, channels))
            if layer.center:
                layer.beta.assign(rng.normal(0, 0.3, channels))
            if layer.scale:
                gamma = rng.uniform(0.3, 2, channels)
                gamma[1:] *= rng.choice([-1, 1], channels[0] - 1) if flipped else 1
                gamma[0] *= not flipped
                layer.gamma.assign(gamma)
        elif getattr(layer, "use_bias", False):
            layer.bias.assign(rng.normal(0, 0.3, layer.bias.shape))
    return model


def kinds(model):
    return [type(layer).__name__ for layer in model.layers]


def check(model, images=IMAGES, *, tolerance=1e-5):
    folded = fold_normalization(model)
    assert "BatchNormalization" not in kinds(folded)
    expected = model.predict_on_batch(images)
    np.testing.assert_allclose(folded.predict_on_batch(images), expected, rtol=tolerance, atol=tolerance)
    return kinds(folded)


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("name", ONE_OF_EACH_NETWORK)
def test_folding_keeps_the_probabilities_of_every_recipe(name, flipped):
    model = randomize(
        build_probability_model(get_recipe(name), height=32, width=32, classes=10, tta_views=1), flipped=flipped
    )
    check(model)


def test_a_nested_network_with_several_calls_is_folded_once():
    model = randomize(build_probability_model(get_recipe("classic"), height=32, width=32, classes=10, tta_views=6))
    check(model)
    (inner,) = [layer for layer in fold_normalization(model).layers if isinstance(layer, keras.Model)]
    assert "BatchNormalization" not in kinds(inner)


def test_two_nested_networks_and_a_layer_in_training_mode():
    inputs = keras.Input((9, 8, 3))
    one = sequence(layers.BatchNormalization(), layers.Conv2D(4, 3))
    other = sequence(layers.Conv2D(4, 3), layers.BatchNormalization())
    always = layers.BatchNormalization()(layers.Add()([one(inputs), other(inputs)]), training=True)
    model = keras.Model(inputs, always)
    folded = fold_normalization(model)
    assert kinds(folded).count("BatchNormalization") == 1
    np.testing.assert_allclose(folded.predict_on_batch(SMALL), model.predict_on_batch(SMALL), atol=1e-5)


def test_refolding_updates_weights_and_replaces_layers_if_needed():
    norm = layers.BatchNormalization()
    model = sequence(layers.Conv2D(4, 3, activation="relu"), norm, layers.MaxPooling2D(), layers.Conv2D(4, 3))
    norm.gamma.assign(np.ones(4))
    folded = fold_normalization(model)
    for gamma, same in ((0.3, True), (-0.3, False)):
        norm.gamma.assign(np.full(4, gamma))
        again = refold(folded, model)
        assert (again is folded) == same
        np.testing.assert_allclose(again.predict_on_batch(SMALL), model.predict_on_batch(SMALL), atol=1e-5)


def test_folding_copies_weights_and_changes_neither_model_nor_random_state():
    import random

    model = randomize(build_probability_model(get_recipe("scheduled"), height=32, width=32, classes=10))
    before = [keras.ops.convert_to_numpy(variable) for variable in model.variables]
    description = model.to_json()
    random.seed(5)
    expected = random.random()
    random.seed(5)
    folded = fold_normalization(model)
    assert random.random() == expected
    for variable in folded.weights:
        variable.assign(np.zeros(variable.shape))
    assert model.to_json() == description
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), value)


def test_all_normalization_of_the_layers_of_fast_is_folded():
    """Linear convolution, pooling, normalization, activation: all scales are positive, so all are absorbed."""
    x = inputs = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 127.5, -1)(x)
    x = layers.Conv2D(8, 2, activation="silu")(x)
    for pool in (layers.MaxPooling2D, layers.AveragePooling2D):
        x = layers.Conv2D(16, 3, padding="same", use_bias=False)(x)
        x = pool(2)(x)
        x = layers.BatchNormalization(scale=False)(x)
        x = layers.Activation("silu")(x)
    x = layers.Dense(5, use_bias=False)(layers.GlobalMaxPooling2D()(x))
    left = check(randomize(keras.Model(inputs, x)))
    assert left == [
        "InputLayer",
        "Conv2D",
        *("Conv2D", "MaxPooling2D", "Activation"),
        *("Conv2D", "AveragePooling2D", "Activation"),
        "GlobalMaxPooling2D",
        "Dense",
    ]


def sequence(*stack):
    return randomize(keras.Sequential([keras.Input((9, 8, 3)), *stack]), flipped=True)


STACKS = {
    "before a padded convolution": lambda: [layers.BatchNormalization(), layers.Conv2D(4, 3, padding="same")],
    "before strides": lambda: [layers.BatchNormalization(), layers.Conv2D(4, 3, strides=2), layers.ReLU()],
    "after a rectifier": lambda: [layers.Conv2D(4, 3, dilation_rate=2, activation="relu"), layers.BatchNormalization()],
    "after a maximum": lambda: [
        layers.Conv2D(4, 3),
        layers.MaxPooling2D(padding="same"),
        layers.BatchNormalization(center=False),
    ],
    "before an average": lambda: [
        layers.BatchNormalization(),
        layers.AveragePooling2D(2, padding="same"),
        layers.Conv2D(4, 2),
    ],
    "through flattening": lambda: [
        layers.BatchNormalization(),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(5, activation="softmax"),
    ],
    "after a dense layer": lambda: [
        layers.GlobalAveragePooling2D(),
        layers.Dense(5),
        layers.BatchNormalization(),
        layers.Dense(3, activation="relu"),
        layers.BatchNormalization(),
    ],
    "through a global maximum": lambda: [
        layers.BatchNormalization(),
        layers.GlobalMaxPooling2D(keepdims=True),
        layers.Dense(5, activation="silu"),
    ],
    "around groups": lambda: [
        layers.Conv2D(6, 3, groups=3),
        layers.BatchNormalization(),
        layers.Conv2D(4, 3, groups=2),
    ],
    "around other layers": lambda: [
        layers.DepthwiseConv2D(3),
        layers.BatchNormalization(),
        layers.ZeroPadding2D(),
        layers.Conv2D(4, 3),
        layers.BatchNormalization(),
        layers.Reshape((-1,)),
    ],
    "after rescaling": lambda: [
        layers.Rescaling(2.0, 3.0),
        layers.Rescaling([1.0, 2.0, 3.0]),
        layers.Conv2D(4, 3, padding="same"),
    ],
    "beside dropout": lambda: [
        layers.Dropout(0.5),
        layers.Conv2D(4, 3),
        layers.SpatialDropout2D(0.5),
        layers.BatchNormalization(),
    ],
}


@pytest.mark.backends
@pytest.mark.parametrize("place", list(STACKS))
def test_folding_keeps_outputs_for_all_neighboring_layers(place):
    check(sequence(*STACKS[place]()), SMALL)


def test_normalization_along_another_axis_is_not_folded():
    model = sequence(layers.Conv2D(4, 3, padding="same"), layers.BatchNormalization(axis=1))
    folded = fold_normalization(model)
    np.testing.assert_allclose(folded.predict_on_batch(SMALL), model.predict_on_batch(SMALL), atol=1e-5)


@pytest.mark.backends
def test_folding_keeps_the_outputs_of_branches():
    inputs = keras.Input((9, 8, 3))
    trunk = layers.Conv2D(4, 3, padding="same")(inputs)
    branch = layers.BatchNormalization()(trunk)
    once = layers.Conv2D(4, 3, padding="same", activation="relu")(branch)
    shared = layers.Conv2D(4, 3, padding="same", use_bias=False)
    merged = layers.Add()([trunk, branch, layers.BatchNormalization()(once), shared(once)])
    joined = layers.Concatenate()([layers.BatchNormalization()(shared(merged)), keras.ops.flip(merged, axis=2), merged])
    left, right = keras.ops.split(layers.BatchNormalization()(joined), 2, axis=2)
    model = keras.Model(inputs, [layers.BatchNormalization()(left - right), trunk])
    randomize(model, flipped=True)
    folded = fold_normalization(model)
    for output, expected in zip(folded.predict_on_batch(SMALL), model.predict_on_batch(SMALL), strict=True):
        np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-5)


def test_a_subclassed_model_is_returned_unchanged():
    class Subclassed(keras.Model):  # type: ignore[misc]
        def call(self, inputs):
            return inputs

    model = Subclassed()
    assert fold_normalization(model) is model
