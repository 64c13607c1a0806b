"""Measurements of this machine leave the measured networks as they were."""

import keras
import numpy as np

from saccade.models.build import build_network, freeze_lower_layers
from saccade.models.training_model import make_training_model
from saccade.recipes import get_recipe
from saccade.training.machine_speed import upper_step_seconds


def test_measuring_a_step_changes_neither_weights_nor_random_states():
    # `classic` has dropout in its upper layers, unlike the networks with pretrained weights.
    recipe = get_recipe("transfer").with_settings({"network": "classic", "trainable_fraction": 0.5})
    network = build_network(recipe, height=32, width=32, classes=3)
    freeze_lower_layers(network, recipe)
    trained = make_training_model(network, "float32")
    assert any(isinstance(layer, keras.layers.Dropout) for layer in trained.layers)

    def values():
        return [np.array(keras.ops.convert_to_numpy(variable)) for variable in trained.variables]

    before = values()
    assert upper_step_seconds(trained, 4) > 0
    for value, expected in zip(values(), before, strict=True):
        np.testing.assert_array_equal(value, expected)
