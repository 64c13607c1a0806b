import numpy as np

from saccade.models.build import build_network, build_network_of_any_size, initialize, trainable_variables_of
from saccade.models.networks import fast
from saccade.models.weights import assign, named_weights
from saccade.recipes import get_recipe

RECIPE = get_recipe("fast")
IMAGES = np.random.default_rng(0).integers(0, 256, (20, 24, 24, 3)).astype(np.uint8)


def test_the_stem_is_initialized_from_images_and_only_its_bias_is_trained_early():
    network = build_network(RECIPE, height=24, width=24, classes=3)
    before = named_weights(network)["stem/kernel"]
    initialize(network, RECIPE, IMAGES)
    assert not np.allclose(named_weights(network)["stem/kernel"], before)
    learning = [
        [variable.path for variable in trainable_variables_of(network, RECIPE, epoch)] for epoch in range(RECIPE.epochs)
    ]
    assert len(learning[0]) == 14
    assert {path for path in learning[0] if path not in learning[-1]} == {"stem/bias"}
    assert ["stem/bias" in paths for paths in learning] == [epoch < RECIPE.epochs / 3 for epoch in range(RECIPE.epochs)]
    assert "stem/kernel" not in learning[0]


def test_convolutions_have_identity_initialization():
    network = build_network(RECIPE, height=24, width=24, classes=3)
    kernel = named_weights(network)["conv2b/kernel"]
    assert np.array_equal(kernel[1, 1], np.eye(256))
    assert np.count_nonzero(kernel) == 256
    wider = named_weights(network)["conv2a/kernel"]
    assert np.array_equal(wider[1, 1, :, :64], np.eye(64))
    assert np.count_nonzero(wider[..., 64:]) == wider[..., 64:].size


def test_the_network_of_any_size_has_equal_weights_and_outputs():
    network = build_network(RECIPE, height=24, width=24, classes=3)
    any_size = build_network_of_any_size(RECIPE, classes=3)
    assert all(np.array_equal(value, named_weights(any_size)[name]) for name, value in named_weights(network).items())
    assign(any_size, named_weights(network))
    assert np.array_equal(any_size.predict_on_batch(IMAGES), network.predict_on_batch(IMAGES))
    assert any_size.predict_on_batch(IMAGES[:, :20, :16]).shape == (20, 3)


def test_images_of_the_minimum_size_are_processed():
    side = fast.MINIMUM_SIZE
    network = build_network(RECIPE, height=side, width=side, classes=2)
    assert network.predict_on_batch(IMAGES[:, :side, :side]).shape == (20, 2)
