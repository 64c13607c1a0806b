import keras
import numpy as np
import pytest

from saccade.models.layers.fused_silu import FusedSilu

POINTS = np.concatenate([np.linspace(-8, 8, 65), [-80, 80]])  # multiples of 1/4, exact in bfloat16


def silu(x):
    sigmoid = 1 / (1 + np.exp(-x))
    return x * sigmoid, sigmoid * (1 + x * (1 - sigmoid))


@pytest.mark.backends
@pytest.mark.parametrize(("policy", "tolerance"), [("float32", 1e-6), ("mixed_bfloat16", 0.01)])
def test_values_agree_with_float64(policy, tolerance):
    y = FusedSilu("silu", dtype=policy)(POINTS.astype(np.float32))
    assert keras.backend.standardize_dtype(y.dtype) == keras.DTypePolicy(policy).compute_dtype
    found = keras.ops.convert_to_numpy(keras.ops.cast(y, "float32"))
    np.testing.assert_allclose(found, silu(POINTS)[0], rtol=tolerance, atol=tolerance)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the stock gradient elsewhere")
@pytest.mark.parametrize(("policy", "tolerance"), [("float32", 1e-6), ("mixed_bfloat16", 0.005)])
def test_the_gradient_agrees_with_float64(policy, tolerance):
    import tensorflow as tf

    layer, upstream = FusedSilu("silu", dtype=policy), np.linspace(-2, 2, len(POINTS)).astype(np.float32)
    x = tf.constant(POINTS, tf.float32)

    @tf.function
    def gradient(x, upstream):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return tape.gradient(y, x, output_gradients=tf.cast(upstream, y.dtype))

    np.testing.assert_allclose(gradient(x, upstream), upstream * silu(POINTS)[1], rtol=tolerance, atol=2 * tolerance)
