import keras
import numpy as np
import pytest

from saccade.models.layers.narrow_convolution import NarrowConv2D


def whole_numbers(shape, seed):
    """Return random integers from -1 to 1, whose products and sums are exact in bfloat16 and float32."""
    return np.random.default_rng(seed).integers(-1, 2, shape).astype(np.float32)


def kernel_gradient(x, upstream):
    """Compute the kernel gradient of a 3x3 "same" convolution by its definition, float64 [3, 3, channels, filters]."""
    height, width = x.shape[1:3]
    padded = np.pad(x.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    return np.array(
        [
            [np.einsum("nhwi,nhwo->io", padded[:, i : i + height, j : j + width], upstream) for j in range(3)]
            for i in range(3)
        ]
    )


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the stock gradient elsewhere")
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize(
    "shape", [(3, 1, 1, 2), (2, 2, 2, 5), (23, 3, 2, 4), (9, 3, 5, 4), (17, 6, 7, 3), (5, 4, 8, 3)]
)
def test_outputs_and_gradients_equal_the_stock_layers(policy, shape):
    import tensorflow as tf

    x, upstream = whole_numbers(shape, 0), whole_numbers((*shape[:-1], 6), 1)
    kernel, bias = whole_numbers((3, 3, shape[-1], 6), 2), whole_numbers((6,), 3)
    outputs = []
    for kind in (keras.layers.Conv2D, NarrowConv2D):
        layer = kind(6, 3, padding="same", dtype=policy)
        layer.build((None, *shape[1:]))
        layer.set_weights([kernel, bias])

        @tf.function(input_signature=[tf.TensorSpec((None, *shape[1:])), tf.TensorSpec((None, *upstream.shape[1:]))])
        def step(x, upstream, layer=layer):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = layer(x)
            wanted = (x, layer.kernel.value, layer.bias.value)
            return y, *tape.gradient(y, wanted, output_gradients=tf.cast(upstream, y.dtype))

        outputs.append([tf.cast(one, tf.float32).numpy() for one in step(x, upstream)])
    for stock, ours in zip(*outputs, strict=True):
        np.testing.assert_array_equal(ours, stock)
    expected = kernel_gradient(x, upstream)
    np.testing.assert_allclose(outputs[1][2], expected, rtol=0.004 if "bfloat16" in policy else 1e-6)


@pytest.mark.backends
@pytest.mark.bfloat16
@pytest.mark.parametrize("settings", [{}, {"strides": 2}, {"padding": "valid"}, {"kernel_size": 2}, {"groups": 2}])
def test_other_settings_give_outputs_of_the_stock_layer(settings):
    x = whole_numbers((4, 6, 5, 4), 0)
    chosen = {"filters": 4, "kernel_size": 3, "padding": "same", "kernel_initializer": "ones"} | settings
    outputs = [kind(**chosen, dtype="mixed_bfloat16")(x) for kind in (NarrowConv2D, keras.layers.Conv2D)]
    np.testing.assert_array_equal(*(keras.ops.convert_to_numpy(keras.ops.cast(one, "float32")) for one in outputs))
