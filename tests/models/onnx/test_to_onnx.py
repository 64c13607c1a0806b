"""ONNX conversion: outputs of the ONNX graph equal those of the Keras network."""

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from keras import layers
from tests.models.recipes_of_networks import ONE_OF_EACH_NETWORK

from saccade.models.batchnorm_folding.fold import fold_normalization
from saccade.models.build import build_probability_model
from saccade.models.onnx.to_onnx import to_onnx
from saccade.models.temperature_scaling import divide_logits
from saccade.recipes import get_recipe


def normalizations(model):
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from normalizations(layer)
        elif isinstance(layer, layers.BatchNormalization):
            yield layer


def as_if_trained(model, seed):
    """Randomize batch-normalization weights; negative scales can't be folded everywhere."""
    draw = np.random.default_rng(seed)
    for layer in normalizations(model):
        for weight in layer.weights:
            values = draw.uniform(0.5, 1.5, weight.shape)
            if weight.path.endswith("gamma"):
                values[::3] *= -1
            weight.assign(values)
    if model.name.startswith(("fast", "accurate")):
        divide_logits(model, 0.05)  # small initial heads would give nearly equal probabilities for all images
    return model


def predictions(contents, pixels):
    session = onnxruntime.InferenceSession(contents, providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], {"pixels": pixels})[0]


@pytest.mark.parametrize("recipe", ONE_OF_EACH_NETWORK)
def test_onnx_outputs_of_every_recipe_equal_the_networks(recipe):
    model = as_if_trained(build_probability_model(get_recipe(recipe), height=20, width=27, classes=5), seed=1)
    noise = np.random.default_rng(2).uniform(0, 255, (3, 20, 27, 3))
    pixels = (noise * np.array([0.1, 0.5, 1.0])[:, None, None, None]).astype(np.float32)
    contents = to_onnx(fold_normalization(model), {"a note": "on it"})
    onnx.checker.check_model(onnx.load_from_string(contents), full_check=True)
    expected = model.predict_on_batch(pixels)
    assert np.ptp(expected, axis=0).max() > 1e-3
    np.testing.assert_allclose(predictions(contents, pixels), expected, atol=1e-5)
    np.testing.assert_allclose(predictions(contents, pixels[1:2]), expected[1:2], atol=1e-5)


def test_shared_weights_of_several_views_are_stored_once():
    model = build_probability_model(get_recipe("fast"), height=32, width=32, classes=5)
    contents = to_onnx(fold_normalization(model), {})
    weights = sum(weight.nbytes for weight in model.get_weights())
    assert len(contents) < 1.05 * weights


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv2D(4, 3, activation="tanh"),
        layers.DepthwiseConv2D(3, depth_multiplier=2),
        layers.ReLU(max_value=6, negative_slope=0.1),
        layers.Reshape((3, 64)),
        layers.UpSampling2D(),
    ],
)
def test_a_layer_without_a_converter_is_named(layer):
    pixels = keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match="no ONNX converter"):
        to_onnx(keras.Model(pixels, layer(pixels)), {})


@pytest.mark.parametrize("side", [8, 9])
@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv2D(4, 2, padding="same"),
        layers.Conv2D(4, 3, strides=2, padding="same"),
        layers.DepthwiseConv2D(5, strides=2, padding="same"),
        layers.MaxPooling2D(padding="same"),
        layers.MaxPooling2D(3, strides=2, padding="same"),
    ],
)
def test_same_padding_equals_keras_for_even_and_odd_sizes(layer, side):
    pixels = keras.Input((side, side + 1, 3))
    model = keras.Model(pixels, layers.Flatten()(type(layer).from_config(layer.get_config())(pixels)))
    same_as_keras(model, np.random.default_rng(0).normal(size=(2, side, side + 1, 3)))


@pytest.mark.parametrize("activation", ["sigmoid", "hard_sigmoid", "hard_silu", "gelu", "silu"])
def test_activations_equal_keras(activation):
    pixels = keras.Input((4, 4, 3))
    model = keras.Model(pixels, layers.Flatten()(layers.Activation(activation)(pixels)))
    same_as_keras(model, np.linspace(-6, 6, 48).reshape(1, 4, 4, 3))


def test_zero_padding_counts_in_max_pooling():
    # ONNX Runtime would fuse the zeros into the padding of the pooling, which is the lowest number.
    pixels = keras.Input((6, 6, 3))
    model = keras.Model(pixels, layers.Flatten()(layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D()(pixels))))
    same_as_keras(model, np.full((1, 6, 6, 3), -1.0))


def same_as_keras(model, pixels):
    pixels = pixels.astype(np.float32)
    contents = to_onnx(fold_normalization(model), {})
    np.testing.assert_allclose(predictions(contents, pixels), model.predict_on_batch(pixels), atol=1e-6)
