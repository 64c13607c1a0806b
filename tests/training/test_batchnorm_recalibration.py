"""Recalibrated averages of batch normalization against float64."""

import keras
import numpy as np
import pytest

import saccade
from saccade.models.training_model import make_training_model
from saccade.recipes import get_recipe
from saccade.training.batchnorm_recalibration import BatchNormRecalibration


@pytest.fixture(scope="module")
def training(tiny_folder):
    return saccade.load(tiny_folder).splits["train"]


def small_network():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(4, 3, name="convolution"),
            keras.layers.BatchNormalization(momentum=0.9, name="norm"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, name="classes"),
        ]
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_averages_are_those_of_the_network_with_fixed_weights(training, dtype):
    stock = small_network()
    training_model = make_training_model(stock, dtype)
    norm = training_model.get_layer("norm")
    norm.moving_mean.assign([100.0] * 4)
    recipe = get_recipe("quick").with_settings(
        {"batch_size": 120, "min_steps_per_epoch": 0, "batchnorm_recalibration_batches": 3}
    )
    BatchNormRecalibration(training_model, recipe)(training, epoch=0)
    # One batch has all 120 images, so the order does not matter.
    convolution = stock.get_layer("convolution")
    outputs = np.float64(convolution(training.take(slice(None)).astype(np.float32) / 255))
    tolerance = 2e-4 if dtype == "float32" else 3e-2
    np.testing.assert_allclose(norm.moving_mean, outputs.mean(axis=(0, 1, 2)), atol=tolerance)
    np.testing.assert_allclose(norm.moving_variance, outputs.var(axis=(0, 1, 2)), rtol=tolerance)


def test_several_batches_are_averaged(training):
    training_model = make_training_model(small_network(), "float32")
    recipe = get_recipe("quick").with_settings(
        {"batch_size": 40, "min_steps_per_epoch": 0, "batchnorm_recalibration_batches": 3}
    )
    BatchNormRecalibration(training_model, recipe)(training, epoch=4)
    outputs = np.float64(training_model.get_layer("convolution")(training.take(slice(None)).astype(np.float32) / 255))
    # The weights of three batches in an average of momentum 0.9 differ by a fifth at most.
    np.testing.assert_allclose(training_model.get_layer("norm").moving_mean, outputs.mean(axis=(0, 1, 2)), atol=0.02)


def test_frozen_layers_keep_their_averages(training):
    training_model = make_training_model(small_network(), "float32")
    norm = training_model.get_layer("norm")
    norm.moving_mean.assign([1.0, 2.0, 3.0, 4.0])
    norm.trainable = False
    recipe = get_recipe("quick").with_settings(
        {"batch_size": 40, "min_steps_per_epoch": 0, "batchnorm_recalibration_batches": 3}
    )
    BatchNormRecalibration(training_model, recipe)(training, epoch=0)
    np.testing.assert_array_equal(norm.moving_mean, [1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(norm.moving_variance, [1.0, 1.0, 1.0, 1.0])


def test_without_recalibration_batches_nothing_changes(training):
    training_model = make_training_model(small_network(), "float32")
    before = [variable.numpy().copy() for variable in training_model.variables]
    BatchNormRecalibration(training_model, get_recipe("quick").with_settings({"batchnorm_recalibration_batches": 0}))(
        training, epoch=0
    )
    for one, other in zip(before, training_model.variables, strict=True):
        np.testing.assert_array_equal(one, other)
