import numpy as np
import pytest
from scipy.special import softmax

from saccade.augmentation.resize import resize_matrix
from saccade.models.build import build_network, build_probability_model
from saccade.models.weights import assign, named_weights
from saccade.recipes import get_recipe

FULL_SIZE = get_recipe("fast").with_settings({"initial_scale": 1, "final_scale": 1})


@pytest.fixture
def images():
    return np.random.default_rng(1).integers(0, 256, (5, 16, 20, 3)).astype(np.uint8)


def test_six_views_equal_a_plain_loop(images):
    recipe = FULL_SIZE
    network = build_network(recipe, height=16, width=20, classes=4)
    model = build_probability_model(recipe, height=16, width=20, classes=4, tta_views=6)
    assign(model, named_weights(network))
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    logits = np.zeros((5, 4))
    for top, left, weight in ((1, 1, 0.25), (0, 0, 0.125), (2, 2, 0.125)):
        view = padded[:, top : top + 16, left : left + 20]
        logits += weight * network.predict_on_batch(view)
        logits += weight * network.predict_on_batch(view[:, :, ::-1])
    assert np.allclose(model.predict_on_batch(images), softmax(logits, axis=1), atol=1e-5)


def test_six_views_reduce_the_difference_of_mirror_images(images):
    # The shifted views are not mirror images of each other, so a difference remains, smaller than with one view.
    recipe = get_recipe("fast")
    apart = []
    for views in (1, 6):
        model = build_probability_model(recipe, height=16, width=20, classes=4, tta_views=views)
        mirrored = model.predict_on_batch(images[:, :, ::-1])
        apart.append(np.abs(model.predict_on_batch(images) - mirrored).mean())
    assert apart[1] < apart[0]


def test_the_model_resizes_images_as_training_does():
    recipe = get_recipe("fast").with_settings({"final_scale": 0.75})
    images = np.random.default_rng(2).integers(0, 256, (5, 32, 16, 3)).astype(np.uint8)
    network = build_network(recipe, height=24, width=12, classes=4)
    model = build_probability_model(recipe, height=32, width=16, classes=4, tta_views=1)
    assign(model, named_weights(network))
    shrunk = np.einsum("vh,nhwc->nvwc", resize_matrix(32, 24).astype(np.float64), images)
    shrunk = np.einsum("vw,nhwc->nhvc", resize_matrix(16, 12).astype(np.float64), shrunk)
    expected = softmax(network.predict_on_batch(shrunk.astype(np.float32)), axis=1)
    assert np.allclose(model.predict_on_batch(images), expected, atol=1e-5)


def test_names_of_weights_do_not_depend_on_the_number_of_views():
    recipe = get_recipe("fast")
    names = [
        set(named_weights(build_probability_model(recipe, height=16, width=16, classes=4, tta_views=views)))
        for views in (1, 6)
    ]
    assert names[0] == names[1]
