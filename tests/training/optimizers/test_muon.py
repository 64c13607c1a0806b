"""Muon against float64 arithmetic, against Keras's SGD, and after saving and restoring its state."""

from typing import Any

import keras
import numpy as np
import pytest

from saccade.training.optimizers.muon import Muon, orthogonalize

pytestmark = pytest.mark.backends

WIDE, TALL = (3, 3, 3, 64), (3, 3, 24, 32)
RATES: dict[str, Any] = {"bias_learning_rate": 0.05, "head_learning_rate": 0.3, "offset_learning_rate": 0.02}


def newton_schulz(matrix, steps):
    """Newton-Schulz iteration as published, on the whole matrix."""
    x = matrix / (np.linalg.norm(matrix) + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x


def muon_step(kernel, momentum, gradient, rate):
    """Return a kernel and its momentum after one step."""
    momentum = 0.6 * momentum + gradient
    update = newton_schulz((gradient + 0.6 * momentum).reshape(-1, kernel.shape[-1]), 3).reshape(kernel.shape)
    return kernel * np.sqrt(kernel.shape[-1]) / np.linalg.norm(kernel) - rate * update, momentum


def sgd_step(value, momentum, gradient, rate, decay, factor):
    """Return the value and the momentum of any other variable after one step, with the decay in the gradient."""
    gradient = gradient + decay / rate * value
    momentum = 0.85 * momentum + gradient
    return value - factor * rate * (gradient + 0.85 * momentum), momentum


def variables_of(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [keras.Variable(rng.normal(size=shape).astype(np.float32)) for shape in shapes]


def gradients_for(variables, step):
    rng = np.random.default_rng(100 + step)
    return [rng.normal(size=variable.shape).astype(np.float32) for variable in variables]


def apply(optimizer, gradients, variables):
    optimizer.apply([keras.ops.convert_to_tensor(gradient) for gradient in gradients], variables)


def values_of(variables):
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def test_every_kind_of_variable_agrees_with_float64_over_several_steps_of_a_schedule():
    variables = variables_of(WIDE, TALL, (32, 10), (32,))
    optimizer = Muon(0.2, weight_decay=0.01, **RATES)
    expected = [value.astype(np.float64) for value in values_of(variables)]
    momentums = [np.zeros_like(value) for value in expected]
    for step, factor in enumerate((1.0, 0.75, 0.5, 0.25)):
        gradients = gradients_for(variables, step)
        optimizer.learning_rate = 0.2 * factor
        apply(optimizer, gradients, variables)
        for i, gradient in enumerate(gradients):
            if i < 2:
                expected[i], momentums[i] = muon_step(expected[i], momentums[i], gradient, 0.2 * factor)
            else:
                rate = 0.3 if i == 2 else 0.02
                expected[i], momentums[i] = sgd_step(expected[i], momentums[i], gradient, rate, 0.01, factor)
    for value, reference in zip(values_of(variables), expected, strict=True):
        assert value.dtype == np.float32
        np.testing.assert_allclose(value, reference, atol=1e-5)


@pytest.mark.parametrize("shape", [(27, 64), (216, 32), (48, 48)])
def test_orthogonalization_equals_the_published_iteration_and_brings_singular_values_near_one(shape):
    matrix = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    for steps in (1, 3, 5):
        result = keras.ops.convert_to_numpy(orthogonalize(keras.ops.convert_to_tensor(matrix), steps=steps))
        np.testing.assert_allclose(result, newton_schulz(matrix.astype(np.float64), steps), atol=2e-5)
    if shape[0] != shape[1]:  # a square matrix of random numbers has singular values too near 0 for five steps
        singular = np.linalg.svd(result, compute_uv=False)
        # The quintic maps (0, 1] to at most 1.21, and values near 1 to at least 0.68.
        assert 0.67 < singular.min() <= singular.max() < 1.22


def test_heads_and_offsets_without_decay_are_updated_as_by_kerass_sgd():
    ours, theirs = variables_of((16, 5), (16,)), variables_of((16, 5), (16,))
    muon = Muon(0.1, **RATES)
    references = [keras.optimizers.SGD(rate, momentum=0.85, nesterov=True) for rate in (0.3, 0.02)]
    for step in range(5):
        gradients = gradients_for(ours, step)
        apply(muon, gradients, ours)
        for reference, gradient, variable in zip(references, gradients, theirs, strict=True):
            apply(reference, [gradient], [variable])
    for value, reference in zip(values_of(ours), values_of(theirs), strict=True):
        np.testing.assert_allclose(value, reference, rtol=1e-5, atol=1e-6)


def test_the_norm_of_every_update_of_a_bias_is_its_learning_rate():
    bias = keras.Variable(np.zeros(24, np.float32), name="bias")
    optimizer, momentum, before = Muon(0.2, **RATES), np.zeros(24), np.zeros(24)
    for step, factor in enumerate((1.0, 0.5, 0.25)):
        [gradient] = gradients_for([bias], step)
        optimizer.learning_rate = 0.2 * factor
        apply(optimizer, [gradient * 1000], [bias])
        momentum = 0.85 * momentum + gradient
        direction = gradient + 0.85 * momentum
        [after] = values_of([bias])
        np.testing.assert_allclose(after - before, -0.05 * factor * direction / np.linalg.norm(direction), atol=1e-6)
        before = after


def test_zero_gradients_and_zero_kernels_give_finite_numbers():
    variables = [*variables_of(TALL, (16, 5), (16,)), keras.Variable(np.zeros(WIDE, np.float32))]
    before = values_of(variables)
    optimizer = Muon(0.2, **RATES)
    for _ in range(2):
        apply(optimizer, [np.zeros(variable.shape, np.float32) for variable in variables], variables)
    after = values_of(variables)
    assert np.linalg.norm(after[0]) == pytest.approx(np.sqrt(32), rel=1e-5)
    for value, reference in zip(after[1:], before[1:], strict=True):
        np.testing.assert_array_equal(value, reference)


def test_a_restored_optimizer_takes_the_same_next_step():
    variables = variables_of(TALL, (32, 10), (32,))
    first = Muon(0.2, weight_decay=0.01, **RATES)
    for step in range(3):
        apply(first, gradients_for(variables, step), variables)
    first.learning_rate = 0.05
    kept, state = values_of(variables), values_of(first.variables)

    restored = [keras.Variable(value) for value in kept]
    second = Muon.from_config(first.get_config())
    second.build(restored)
    for variable, value in zip(second.variables, state, strict=True):
        variable.assign(value)

    for optimizer, updated in ((first, variables), (second, restored)):
        apply(optimizer, gradients_for(updated, 3), updated)
    for value, reference in zip(values_of(restored), values_of(variables), strict=True):
        np.testing.assert_array_equal(value, reference)


def test_muon_trains_a_network_with_kerass_fit():
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(8, 3, use_bias=False),
            keras.layers.BatchNormalization(scale=False),
            keras.layers.ReLU(),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(2, use_bias=False),
        ]
    )
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 128)
    images = rng.normal(size=(128, 8, 8, 3)).astype(np.float32)
    images[labels == 1, 2:6, 2:6] += 1
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(Muon(0.1, **RATES), loss, metrics=["accuracy"], jit_compile=False)
    history = network.fit(images, labels, batch_size=32, epochs=5, verbose=0).history
    assert history["accuracy"][-1] > 0.9
