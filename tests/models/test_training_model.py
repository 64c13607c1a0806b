import random

import keras
import numpy as np
import pytest

from saccade.models.build import FAMILIES
from saccade.models.layers.fused_normalization import FusedBatchNormalization
from saccade.models.networks.backbones import BACKBONES
from saccade.models.training_model import make_training_model
from saccade.models.weights import assign, named_weights
from saccade.recipes import ComputeDtype

SIZE, CLASSES = 20, 3
# The backbones of keras.applications need larger images; test_backbones.py tests them. `accurate` is `fast` with more
# channels. Without bfloat16 in hardware, the deeper networks take long.
ARCHITECTURES = [
    pytest.param(
        name,
        marks=[pytest.mark.nightly] * (name == "accurate")
        + [pytest.mark.long] * (name in ("fast", "classic", "EfficientNetLite0")),
    )
    for name in sorted(FAMILIES.keys() - BACKBONES.keys())
]
# Sixty layers of EfficientNetLite0 are compiled slowly, and are of the kinds of the other networks.
SHALLOW = [
    pytest.param(*each.values, marks=[*each.marks, *[pytest.mark.nightly] * (each.values[0] == "EfficientNetLite0")])
    for each in ARCHITECTURES
]


def network_of(family):
    """Return a network with randomly changed weights and moving statistics, as after a training."""
    keras.utils.set_random_seed(0)
    network = FAMILIES[family].build(SIZE, SIZE, CLASSES)
    rng = np.random.default_rng(0)
    factors = {key: rng.uniform(0.8, 1.2, value.shape) for key, value in named_weights(network).items()}
    shifts = {key: 0.0 if "variance" in key else rng.normal(0, 0.02, value.shape) for key, value in factors.items()}
    changed = {key: value * factors[key] + shifts[key] for key, value in named_weights(network).items()}
    assign(network, {key: value.astype(np.float32) for key, value in changed.items()})
    return network


def sample(n):
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (n, SIZE, SIZE, 3), np.uint8), rng.integers(0, CLASSES, n)


def train(model, steps):
    """Train a few steps on equal images and return the losses."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01), loss, jit_compile=False)
    return [float(model.train_on_batch(*sample(12))) for _ in range(steps)]


def dtypes(model):
    return {layer.name: layer.compute_dtype for layer in model.layers if layer.name != "pixels"}


@pytest.mark.backends
@pytest.mark.bfloat16
@pytest.mark.parametrize("family", ARCHITECTURES)
def test_outputs_equal_the_networks(family):
    network = network_of(family)
    images, _ = sample(8)
    expected = network.predict_on_batch(images)
    spread = np.abs(expected - expected.mean(axis=1, keepdims=True)).max()
    tolerances: dict[ComputeDtype, float] = {"float32": 1e-5, "bfloat16": 0.05}
    for dtype, tolerance in tolerances.items():
        training_model = make_training_model(network, dtype)
        assert training_model.count_params() == network.count_params()
        found = training_model.predict_on_batch(images)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * spread)


@pytest.mark.bfloat16
@pytest.mark.parametrize("family", SHALLOW)
def test_trained_weights_are_assigned_to_the_stock_network(family):
    network = network_of(family)
    before, training_model = named_weights(network), make_training_model(network, "bfloat16")
    assert np.isfinite(train(training_model, 2)).all()
    after = named_weights(training_model)
    assert any(not np.array_equal(before[key], after[key]) for key in before)
    assert all(np.array_equal(before[key], value) for key, value in named_weights(network).items())
    assign(network, after)
    assert all(type(layer).__module__.startswith("keras.") for layer in network.layers)
    images, _ = sample(8)
    exact = make_training_model(network, "float32")
    np.testing.assert_allclose(exact.predict_on_batch(images), network.predict_on_batch(images), rtol=1e-5, atol=1e-5)


@pytest.mark.backends
def test_training_in_float32_equals_training_of_the_network():
    network = network_of("folder")
    training_model = make_training_model(network, "float32")
    np.testing.assert_allclose(train(training_model, 3), train(network, 3), rtol=1e-5)
    for key, value in named_weights(network).items():
        np.testing.assert_allclose(named_weights(training_model)[key], value, atol=1e-5)


def test_batch_normalization_trains_like_the_networks():
    inputs = x = keras.Input((8, 8, 3), name="pixels")
    x = keras.layers.Rescaling(1 / 255, name="rescaling")(x)
    x = keras.layers.Conv2D(8, 3, padding="same", name="conv")(x)
    x = keras.layers.BatchNormalization(momentum=0.8, scale=False, name="norm")(x)
    x = keras.layers.Activation("silu", name="silu")(x)
    x = keras.layers.GlobalMaxPooling2D(name="pool")(x)
    network = keras.Model(inputs, keras.layers.Dense(3, name="classes")(x))
    training_model = make_training_model(network, "float32")
    images, labels = sample(16)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for model in (network, training_model):
        model.compile(keras.optimizers.SGD(0.1), loss, jit_compile=False)
    for _ in range(5):
        ours, stock = (model.train_on_batch(images[:, :8, :8], labels) for model in (training_model, network))
        assert float(ours) == pytest.approx(float(stock), rel=1e-4)
    for key, value in named_weights(network).items():
        np.testing.assert_allclose(named_weights(training_model)[key], value, atol=1e-4)


@pytest.mark.parametrize("family", SHALLOW)
def test_only_pixels_and_predictions_remain_in_float32(family):
    found = dtypes(make_training_model(network_of(family), "bfloat16"))
    *others, last = [name for name in found if name != "rescaling"]
    assert found["rescaling"] == found[last] == "float32"
    assert {found[name] for name in others} == {"bfloat16"}
    assert set(dtypes(make_training_model(network_of(family), "float32")).values()) == {"float32"}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_frozen_layers_remain_frozen(dtype):
    network = network_of("classic")
    network.get_layer("conv1a").trainable = network.get_layer("norm2a").trainable = False
    training_model = make_training_model(network, dtype)
    assert len(training_model.trainable_variables) == len(network.trainable_variables)
    before = named_weights(training_model)
    train(training_model, 1)
    still = {
        key.split("/")[0] for key, value in named_weights(training_model).items() if np.array_equal(before[key], value)
    }
    assert {"conv1a", "norm2a"} <= still


@pytest.mark.backends
def test_training_models_of_a_network_drop_equally_and_keep_the_random_state():
    network = network_of("scheduled")
    random.seed(7)
    expected = random.random()
    random.seed(7)
    training_models = [make_training_model(network, "float32") for _ in range(2)]
    assert random.random() == expected
    first, second = (
        keras.ops.convert_to_numpy(training_model(sample(4)[0], training=True)) for training_model in training_models
    )
    np.testing.assert_array_equal(first, second)


def test_only_the_training_model_has_the_fused_layer():
    network = network_of("classic")
    kinds = [
        {type(layer) for layer in model.layers if "norm" in layer.name}
        for model in (network, make_training_model(network, "bfloat16"))
    ]
    assert kinds == [{keras.layers.BatchNormalization}, {FusedBatchNormalization}]
