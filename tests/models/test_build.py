import numpy as np
import pytest
from scipy.special import softmax
from tests.models.recipes_of_networks import ONE_OF_EACH_NETWORK

from saccade.errors import TrainingError
from saccade.models.batched_inference import forward
from saccade.models.build import build_network, build_probability_model, dense_weights
from saccade.models.weights import named_weights
from saccade.recipes import REGISTRY, get_recipe

ALL = sorted(REGISTRY)


@pytest.mark.parametrize("name", ALL)
def test_the_number_of_weights_equals_the_registry(name):
    entry = REGISTRY[name]
    assert build_network(entry.recipe, height=32, width=32, classes=10).count_params() == entry.parameters


def test_tutorial_networks_have_their_published_number_of_weights():
    assert {name: REGISTRY[name].parameters for name in ("classic", "two-phase", "quick", "scheduled")} == {
        "classic": 2_397_226,
        "two-phase": 2_397_226,
        "quick": 8_400_906,
        "scheduled": 123_466,
    }


@pytest.mark.parametrize("name", ONE_OF_EACH_NETWORK)
def test_networks_accept_other_sizes_and_numbers_of_classes(name):
    model = build_probability_model(get_recipe(name), height=40, width=24, classes=3)
    outputs = forward(model, np.full((2, 40, 24, 3), 255, np.uint8))
    assert outputs.shape == (2, 3)
    np.testing.assert_allclose(outputs.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("name", ONE_OF_EACH_NETWORK)
def test_equal_seeds_give_equal_weights_and_keep_the_random_state(name):
    import random

    random.seed(5)
    expected = random.random()
    random.seed(5)
    first = named_weights(build_network(get_recipe(name), height=32, width=32, classes=10))
    assert random.random() == expected
    again = named_weights(build_network(get_recipe(name), height=32, width=32, classes=10))
    other = get_recipe(name).with_settings({"seed": 1})
    other_weights = named_weights(build_network(other, height=32, width=32, classes=10))
    assert all(np.array_equal(first[key], again[key]) for key in first)
    assert any(not np.array_equal(first[key], other_weights[key]) for key in first)


def test_too_small_images_are_rejected_with_the_minimum_size():
    with pytest.raises(TrainingError, match="can't process images of 16x16") as caught:
        build_network(get_recipe("scheduled"), height=16, width=16, classes=10)
    assert caught.value.expected == "at least 18 pixels on each side"
    build_network(get_recipe("scheduled"), height=18, width=18, classes=10)


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("fast", "accurate", "two-phase")])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (40, 27), (64, 33)])
def test_dense_weights_are_counted_without_building_the_network(name, height, width):
    recipe = get_recipe(name)
    network = build_network(recipe, height=height, width=width, classes=3)
    kernel = network.get_layer("dense").kernel
    assert dense_weights(recipe, height=height, width=width) == kernel.shape[0] * kernel.shape[1]


@pytest.mark.parametrize("name", ONE_OF_EACH_NETWORK)
def test_the_probability_model_is_the_softmax_of_the_network(name):
    recipe = get_recipe(name).with_settings({"initial_scale": 1, "final_scale": 1, "tta_views": 1})
    network = build_network(recipe, height=32, width=32, classes=5)
    model = build_probability_model(recipe, height=32, width=32, classes=5)
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    expected = softmax(network.predict_on_batch(images).astype(np.float64), axis=1)
    np.testing.assert_allclose(forward(model, images), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["fast", "folder", "photo"])
def test_a_probability_model_takes_one_array_without_a_warning(name):
    """Warnings are errors in all tests."""
    model = build_probability_model(get_recipe(name), height=32, width=32, classes=3, tta_views=1)
    assert model(np.zeros((1, 32, 32, 3), np.float32), training=False).shape == (1, 3)
