"""Grad-CAM: maps depend on the trained weights and locate the evidence."""

import keras
import numpy as np
import pytest
from keras import layers
from tests.models.recipes_of_networks import ONE_OF_EACH_NETWORK

from saccade.evaluation.report.grad_cam import GradCam, overlay
from saccade.models.build import build_probability_model, with_softmax
from saccade.models.networks import efficientnet_lite
from saccade.recipes import get_recipe


def spots(n, seed):
    """Return noise with a bright spot, green for class 0 and red for class 1; centers, [n, 2]; classes, [n]."""
    draw = np.random.default_rng(seed)
    images = draw.integers(60, 120, (n, 32, 32, 3)).astype(np.uint8)
    corners, classes = draw.integers(4, 22, (n, 2)), draw.integers(0, 2, n)
    for image, (down, right), label in zip(images, corners, classes, strict=True):
        image[down : down + 6, right : right + 6, 1 - label] = 255
    return images, corners + 3, classes


@pytest.fixture(scope="module")
def trained():
    """A small network that classifies the spots."""
    keras.utils.set_random_seed(0)
    inputs = x = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 255)(x)
    for features in (8, 16):
        x = layers.Conv2D(features, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.GlobalMaxPooling2D()(x)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    images, _, classes = spots(600, seed=1)
    for _ in range(30):
        for start in range(0, 600, 50):
            model.train_on_batch(images[start : start + 50], classes[start : start + 50])
    return model


def test_a_map_has_its_maximum_at_the_spot(trained):
    images, centers, classes = spots(60, seed=2)
    assert (trained.predict_on_batch(images).argmax(axis=1) == classes).mean() > 0.95
    maps = GradCam.of(trained).maps(images, classes)
    assert maps.shape == (60, 8, 8)
    highest = np.stack(np.unravel_index(maps.reshape(60, -1).argmax(axis=1), (8, 8)), axis=1) * 4 + 2
    assert (np.abs(highest - centers).max(axis=1) <= 6).mean() > 0.9


def test_random_weights_give_different_maps(trained):
    """The sanity check of Adebayo et al., 2018."""
    images, _, classes = spots(60, seed=3)
    trained_maps = GradCam.of(trained).maps(images, classes).reshape(60, -1)
    untrained = keras.models.clone_model(trained)
    random = GradCam.of(untrained).maps(images, classes).reshape(60, -1)
    same = [np.corrcoef(one, other)[0, 1] for one, other in zip(trained_maps, random, strict=True) if other.any()]
    assert np.mean(same) < 0.6
    again = GradCam.of(trained).maps(images, classes).reshape(60, -1)
    np.testing.assert_array_equal(again, trained_maps)


@pytest.mark.parametrize("name", ONE_OF_EACH_NETWORK)
def test_every_network_has_maps_between_0_and_1(name):
    model = build_probability_model(get_recipe(name), height=32, width=32, classes=3, tta_views=1)
    images, _, _ = spots(4, seed=4)
    maps = GradCam.of(model).maps(images, np.array([0, 1, 2, 0]))
    assert min(maps.shape[1:]) >= 6
    assert maps.min() >= 0
    assert set(maps.max(axis=(1, 2))) <= {0, 1}


def test_an_overlay_is_bright_where_the_map_is_1():
    image = np.full((32, 32, 3), 100, np.uint8)
    cam = np.zeros((8, 8), np.float32)
    cam[:, :4] = 1
    drawn = overlay(image, cam)
    assert drawn.shape == image.shape
    assert drawn[:, :12].mean() > 100 > 3 * drawn[:, 20:].mean() - 10


def test_the_last_activations_of_efficientnet_lite0_are_explained():
    network = with_softmax(efficientnet_lite.build(224, 224, 3))
    cam = GradCam.of(network)
    explained, _ = cam.features.outputs
    assert explained.shape == network.get_layer("top_relu6").output.shape == (None, 7, 7, 1280)
    maps = cam.maps(np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8), np.array([0, 2]))
    assert maps.shape == (2, 7, 7)
