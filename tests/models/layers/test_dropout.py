import keras
import numpy as np
import pytest

from saccade.models.layers.dropout import SixteenBitDropout

on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the stock layer elsewhere")


def dropped(layer, x):
    return np.array(keras.ops.convert_to_numpy(keras.ops.cast(layer(x, training=True), "float32")))


@pytest.mark.backends
def test_dropout_has_its_rate_and_scales_kept_values():
    y = dropped(SixteenBitDropout(0.2, seed=1), np.full((1000, 999), 2, np.float32))
    assert set(np.unique(y)) == {0.0, 2.5}
    # Within five standard deviations of 999,000 draws; and no row or column has a rate of its own.
    assert (y == 0).mean() == pytest.approx(0.2, abs=0.002)
    assert (y == 0).mean(axis=0).std() == pytest.approx(np.sqrt(0.16 / 1000), rel=0.15)
    assert (y == 0).mean(axis=1).std() == pytest.approx(np.sqrt(0.16 / 999), rel=0.15)


@on_tensorflow
def test_the_rate_is_exact_in_bfloat16():
    y = dropped(SixteenBitDropout(0.2, seed=1, dtype="mixed_bfloat16"), np.ones((1000, 1000), np.float32))
    assert (y == 0).mean() == pytest.approx(0.2, abs=0.002)


@pytest.mark.backends
def test_equal_seeds_drop_equally_and_steps_differ():
    x = np.ones((50, 7), np.float32)
    first, again = SixteenBitDropout(0.5, seed=3), SixteenBitDropout(0.5, seed=3)
    steps = [dropped(first, x) for _ in range(3)]
    assert all(np.array_equal(step, dropped(again, x)) for step in steps)
    assert not np.array_equal(steps[0], steps[1])
    assert not np.array_equal(steps[0], dropped(SixteenBitDropout(0.5, seed=4), x))


@pytest.mark.backends
@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_inference_drops_nothing_and_rates_0_and_1_are_exact(rate):
    x = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    layer = SixteenBitDropout(rate, seed=0)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer(x)), x)
    if rate in (0.0, 1.0):
        np.testing.assert_array_equal(dropped(layer, x), x * (1 - rate))


@on_tensorflow
def test_gradients_are_dropped_with_their_values():
    import tensorflow as tf

    layer, x = SixteenBitDropout(0.25, seed=0), tf.ones((40, 31))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
    np.testing.assert_array_equal(tape.gradient(y, x), y)
