"""Mixing and op determinism of the training step; the step itself is tested by trainings."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from saccade.augmentation.batches import Batch
from saccade.augmentation.mixing import Mixing
from saccade.recipes import get_recipe
from saccade.training.step import TrainingStep, deterministic_operations


def is_deterministic():
    """TensorFlow gives no nondeterministic random state while op determinism is enabled."""
    try:
        tf.random.Generator.from_non_deterministic_state()
    except RuntimeError:
        return True
    return False


@pytest.mark.parametrize("enabled", [True, False])
def test_op_determinism_is_enabled_within_the_context_and_restored_afterward(enabled):
    with deterministic_operations(enabled):
        assert is_deterministic() == enabled
    assert not is_deterministic()


def test_tensorflows_private_switch_and_its_public_function_are_the_same_switch():
    """Fails when a version of TensorFlow changes `_pywrap_determinism`."""
    with deterministic_operations(False):
        tf.config.experimental.enable_op_determinism()
        with deterministic_operations(True):
            pass
        assert is_deterministic()
    assert not is_deterministic()


# Of 20 images of 8x8 pixels, each with its own label of four.
IMAGES = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), np.uint8)
LABELS = np.random.default_rng(1).integers(0, 4, 20)
CLASS_WEIGHTS = np.array([0.5, 1, 2, 3], np.float32)


def linear_network():
    """Return a network from pixels to the logits of four classes, and the function that it computes."""
    inputs = keras.Input((8, 8, 3))
    dense = keras.layers.Dense(4, kernel_initializer=keras.initializers.RandomNormal(stddev=0.01, seed=3))
    network = keras.Model(inputs, dense(keras.layers.Flatten()(inputs)))
    kernel = dense.get_weights()[0]
    return network, lambda images: images.reshape(len(images), -1) @ kernel


def mixed_batch(mixing):
    """Compute the reference of mixing: images, one-hot targets and the labels with the larger share."""
    images, targets = IMAGES.astype(np.float64), np.eye(4)[LABELS]
    others, other_targets = np.roll(images, 1, axis=0), np.roll(targets, 1, axis=0)
    share = mixing.share
    if mixing.pastes:  # the rectangle of 4x4 pixels in the middle
        images[:, 2:6, 2:6], share = others[:, 2:6, 2:6], 1 - 16 / 64
    else:
        images = share * images + (1 - share) * others
    return images, share * targets + (1 - share) * other_targets, LABELS if share >= 0.5 else np.roll(LABELS, 1)


@pytest.mark.parametrize("smoothing", [0, 0.2])
@pytest.mark.parametrize("class_weights", [None, CLASS_WEIGHTS])
@pytest.mark.parametrize(
    "mixing", [Mixing(False, 0.8, 0.5, 0.5), Mixing(False, 0.3, 0.5, 0.5), Mixing(True, 0.75, 0.5, 0.5)]
)
def test_a_mixed_batch_has_mixed_images_and_targets(mixing, class_weights, smoothing):
    """With class weights, the loss of each label of a pair has the weight of that label."""
    network, logits_of = linear_network()
    recipe = get_recipe("folder").with_settings({"label_smoothing": smoothing, "mixup": 1, "augmented_epochs": 1})
    step = TrainingStep(network, recipe, keras.optimizers.SGD(), (8, 8), class_weights)
    unmoved = np.zeros((20, 4), np.float32)
    result = step(Batch(IMAGES, LABELS, unmoved, mixing.as_array()), 0.0)

    images, targets, expected = mixed_batch(mixing)
    logits = logits_of(images)
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    # The smoothed target of a class: its row of this matrix.
    smoothed = (1 - smoothing) * np.eye(4) + smoothing / 4
    losses_by_class = -log_probabilities @ smoothed.T
    weights = np.ones(4) if class_weights is None else class_weights
    assert result.loss == pytest.approx((targets * weights * losses_by_class).sum(axis=1).mean(), rel=1e-4)
    assert result.correct == (logits.argmax(axis=1) == expected).sum()


def test_a_step_without_mixing_follows_one_with_mixing():
    network, logits_of = linear_network()
    step = TrainingStep(network, get_recipe("folder"), keras.optimizers.SGD(), (8, 8), None)
    step(Batch(IMAGES, LABELS, np.zeros((20, 4), np.float32), Mixing(False, 0.5, 0, 0).as_array()), 0.0)
    result = step(Batch(IMAGES, LABELS, None), 0.0)
    assert result.correct == (logits_of(IMAGES.astype(np.float64)).argmax(axis=1) == LABELS).sum()
