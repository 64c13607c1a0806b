"""Rounding of weights to eight bits: stored exactly by the converter, with less error than rounding to the nearest."""

import keras
import numpy as np
import pytest
from keras import layers
from tests.deploy.litert_int8 import LiteRtInt8

from saccade.models.int8_rounding import _input_rows, round_matrix, round_to_int8
from saccade.models.to_litert import to_litert

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 12, 11, 3), np.uint8)


def nearest(matrix):
    scale = np.abs(matrix).max(axis=1, keepdims=True) / 127
    return np.rint(matrix / scale) * scale


@pytest.mark.parametrize(("groups", "inputs", "outputs"), [(1, 100, 7), (5, 9, 1)])
def test_weights_are_rounded_to_steps_with_less_change_of_the_outputs(groups, inputs, outputs):
    draw = np.random.default_rng(1)
    matrix = draw.normal(size=(groups, inputs, outputs)).astype(np.float32)
    # Inputs that are similar and not centered, such as neighboring pixels after ReLU.
    rows = 5 + draw.normal(size=(groups, 500, 1)) + 0.3 * draw.normal(size=(groups, 500, inputs))
    rounded = round_matrix(matrix, rows.astype(np.float32))
    scale = np.abs(matrix).max(axis=1, keepdims=True) / 127
    np.testing.assert_allclose(rounded / scale, np.rint(rounded / scale), atol=1e-4)
    np.testing.assert_allclose(np.abs(rounded).max(axis=1), np.abs(matrix).max(axis=1), rtol=1e-6)
    error, plain_error = (np.square(rows @ (other - matrix)).mean() for other in (rounded, nearest(matrix)))
    assert error < 0.3 * plain_error


def network():
    """Return a folded network with the kinds of layers that are rounded, and initial weights."""
    keras.utils.set_random_seed(0)
    x = pixels = keras.Input((12, 11, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", bias_initializer="normal")(x)
    x = shortcut = layers.ReLU(max_value=6)(x)
    x = layers.DepthwiseConv2D(3, padding="same")(x)
    x = layers.Add()([layers.Conv2D(8, 1, activation="relu")(x), shortcut])
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(pixels, layers.Dense(4, activation="softmax")(x))


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv2D(4, 3, strides=2, padding="same"),
        layers.Conv2D(4, (2, 3)),
        layers.DepthwiseConv2D(5, strides=2, padding="same"),
        layers.DepthwiseConv2D(3),
    ],
)
def test_the_inputs_of_each_output_are_those_of_keras(layer):
    x = np.random.default_rng(2).normal(size=(2, 9, 8, 3)).astype(np.float32)
    outputs = np.asarray(layer(x)).reshape(-1, 3 if isinstance(layer, layers.DepthwiseConv2D) else 4)
    kernel = layer.get_weights()[0]
    if isinstance(layer, layers.DepthwiseConv2D):
        found = np.einsum("gri,ig->rg", _input_rows(layer, x, 9), kernel.reshape(-1, 3))
    else:
        found = _input_rows(layer, x, 27)[0] @ kernel.reshape(-1, 4)
    # Positions are sampled, here all of them, in random order.
    np.testing.assert_allclose(np.sort(found, axis=0), np.sort(outputs, axis=0), atol=1e-5)


def test_the_model_is_copied_and_its_mean_outputs_hardly_change():
    model = network()
    before = model.get_weights()
    rounded = round_to_int8(model, IMAGES)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert any((old != new).any() for old, new in zip(before, rounded.get_weights(), strict=True))
    np.testing.assert_allclose(rounded.predict_on_batch(IMAGES), model.predict_on_batch(IMAGES), atol=0.02)


def test_a_model_with_nested_models_is_returned_unchanged():
    pixels = keras.Input((12, 11, 3))
    model = keras.Model(pixels, network()(pixels))
    assert round_to_int8(model, IMAGES) is model


def test_the_converter_stores_the_rounded_kernels_exactly():
    x = pixels = keras.Input((12, 11, 3))
    x = layers.Conv2D(6, 3, activation="relu")(x)
    x = layers.Dense(4)(layers.Flatten()(x))
    rounded = round_to_int8(keras.Model(pixels, layers.Softmax()(x)), IMAGES)
    stored = LiteRtInt8(to_litert(rounded, "int8", IMAGES))
    kernels = [layer.get_weights()[0] for layer in rounded.layers if layer.weights]
    for (_, tensor, _), kernel in zip(stored.layers(), kernels, strict=True):
        steps, (scales, _) = stored.constant(tensor), stored.scales(tensor)
        values = steps * scales.reshape(-1, *(1,) * (steps.ndim - 1))  # outputs first
        np.testing.assert_allclose(np.moveaxis(values, 0, -1), kernel, atol=1e-6)


def test_inputs_that_hardly_vary_lose_their_large_weights():
    """A head on standardized features has such weights, which would take the precision of the other weights."""
    pixels = x = keras.Input((12, 11, 3))
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(pixels, layers.Dense(2, activation="softmax")(x))
    kernel = np.array([[0.02, -0.02], [0.03, -0.03], [500, -500]], np.float32)
    model.layers[-1].set_weights([kernel, np.array([-500 * 9, 500 * 9], np.float32)])
    images = IMAGES.copy()
    images[..., 2] = 9
    images[..., :2] //= np.arange(1, 41, dtype=np.uint8)[:, None, None, None]
    rounded = round_to_int8(model, images)
    assert np.abs(rounded.layers[-1].get_weights()[0]).max() < 1
    np.testing.assert_allclose(rounded.predict_on_batch(images), model.predict_on_batch(images), atol=0.03)
