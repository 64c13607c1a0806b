import keras
import numpy as np
import pytest

from saccade.models.layers.fused_normalization import FusedBatchNormalization

POLICIES = {"float32": 1e-5, "mixed_bfloat16": 0.02}
on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="takes gradients by TensorFlow's tape"
)


def layers(policy, shape, **settings):
    """Return the stock layer and the fused layer with equal, random scale, offset and moving statistics."""
    rng = np.random.default_rng(1)
    channels = shape[-1]
    both = [kind(dtype=policy, **settings) for kind in (keras.layers.BatchNormalization, FusedBatchNormalization)]
    values = {
        "gamma": rng.normal(1, 0.3, channels),
        "beta": rng.normal(0, 0.5, channels),
        "moving_mean": rng.normal(1, 1, channels),
        "moving_variance": rng.uniform(0.5, 2, channels),
    }
    for layer in both:
        layer.build(shape)
        for variable in layer.weights:
            variable.assign(values[variable.name].astype(np.float32))
    return both


def sample(shape, policy, seed=0):
    """Return random inputs that are exact in the compute dtype, with mean 1 and standard deviation 2."""
    import ml_dtypes

    values = np.random.default_rng(seed).normal(1, 2, shape)
    return values.astype(ml_dtypes.bfloat16 if "bfloat16" in policy else np.float32).astype(np.float32)


def as_numpy(tensor):
    return np.array(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")), np.float64)


def reference(x, gamma, beta, upstream, epsilon):
    """Compute batch normalization and its gradients in float64, by the formulas of the paper."""
    x, upstream = x.astype(np.float64), upstream.astype(np.float64)
    axes = (0, 1, 2)
    mean, variance = x.mean(axes), x.var(axes)
    inverse = 1 / np.sqrt(variance + epsilon)
    normal = (x - mean) * inverse
    of_offset, of_scale = upstream.sum(axes), (upstream * normal).sum(axes)
    count = x.size / x.shape[-1]
    of_inputs = gamma * inverse * (upstream - of_offset / count - normal * of_scale / count)
    return normal * gamma + beta, (of_inputs, of_scale, of_offset), mean, variance


@on_tensorflow
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("shape", [(8, 5, 6, 4), (16, 9, 9, 64), (2, 1, 1, 3), (1, 1, 1, 3)])
def test_outputs_gradients_and_statistics_agree_with_float64(policy, shape):
    import tensorflow as tf

    _, ours = layers(policy, shape, momentum=0.9)
    x, upstream = sample(shape, policy), sample(shape, policy, seed=2)
    gamma, beta, old_mean, old_variance = (as_numpy(variable) for variable in ours.weights)
    expected, gradients, mean, variance = reference(x, gamma, beta, upstream, ours.epsilon)

    @tf.function
    def step(x, upstream):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = ours(x, training=True)
        return y, tape.gradient(y, (x, ours.gamma.value, ours.beta.value), output_gradients=tf.cast(upstream, y.dtype))

    y, found = step(tf.constant(x), tf.constant(upstream))
    tolerance = POLICIES[policy]
    assert y.dtype == ours.compute_dtype
    np.testing.assert_allclose(as_numpy(y), expected, rtol=tolerance, atol=tolerance)
    for one, other in zip(found, gradients, strict=True):
        np.testing.assert_allclose(as_numpy(one), other, rtol=tolerance, atol=tolerance * max(1, np.abs(other).max()))
    np.testing.assert_allclose(as_numpy(ours.moving_mean), 0.9 * old_mean + 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(as_numpy(ours.moving_variance), 0.9 * old_variance + 0.1 * variance, rtol=1e-5)


@pytest.mark.backends
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("settings", [{}, {"scale": False, "momentum": 0.6, "epsilon": 1e-5}, {"center": False}])
def test_several_steps_agree_with_the_stock_layer(policy, settings):
    shape = (6, 5, 4, 3)
    stock, ours = layers(policy, shape, **settings)
    assert [v.name for v in ours.weights] == [v.name for v in stock.weights]
    for step in range(4):
        x = sample(shape, policy, seed=step) * (step + 1)
        expected, found = stock(x, training=True), ours(x, training=True)
        assert keras.backend.standardize_dtype(found.dtype) == ours.compute_dtype
        np.testing.assert_allclose(as_numpy(found), as_numpy(expected), rtol=POLICIES[policy], atol=POLICIES[policy])
    for one, other in zip(ours.weights, stock.weights, strict=True):
        np.testing.assert_allclose(as_numpy(one), as_numpy(other), rtol=1e-5, atol=1e-6)


@pytest.mark.backends
@pytest.mark.parametrize("policy", POLICIES)
def test_training_gives_the_weights_of_the_stock_layer(policy):
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(12, 6, 6, 3)).astype(np.float32), rng.normal(size=(12, 4)).astype(np.float32)
    trained = []
    for normalization in layers(policy, (12, 6, 6, 5)):
        keras.utils.set_random_seed(0)
        convolution, dense = keras.layers.Conv2D(5, 3, padding="same"), keras.layers.Dense(4)
        model = keras.Sequential(
            [keras.Input((6, 6, 3)), convolution, normalization, keras.layers.GlobalAveragePooling2D(), dense]
        )
        model.compile(keras.optimizers.SGD(0.05), "mse", jit_compile=False)
        for _ in range(3):
            model.train_on_batch(x, y)
        trained.append([as_numpy(variable) for variable in model.weights])
    for one, other in zip(*trained, strict=True):
        np.testing.assert_allclose(one, other, atol=POLICIES[policy] / 10)


@pytest.mark.backends
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("frozen", [False, True])
def test_inference_and_frozen_layers_use_moving_statistics(policy, frozen):
    shape = (3, 4, 5, 6)
    stock, ours = layers(policy, shape)
    stock.trainable = ours.trainable = not frozen
    x = sample(shape, policy)
    before = [as_numpy(variable) for variable in ours.weights]
    found, expected = ours(x, training=frozen), stock(x, training=frozen)
    np.testing.assert_allclose(as_numpy(found), as_numpy(expected), rtol=POLICIES[policy], atol=POLICIES[policy])
    assert all(np.array_equal(old, as_numpy(new)) for old, new in zip(before, ours.weights, strict=True))


@on_tensorflow
@pytest.mark.parametrize("policy", POLICIES)
def test_gradients_pass_through_a_frozen_layer(policy):
    import tensorflow as tf

    _, ours = layers(policy, (3, 4, 5, 6))
    ours.trainable = False
    x = tf.constant(sample((3, 4, 5, 6), policy))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = ours(x, training=True)
    slope = as_numpy(ours.gamma) / np.sqrt(as_numpy(ours.moving_variance) + ours.epsilon)
    np.testing.assert_allclose(
        as_numpy(tape.gradient(y, x)), np.broadcast_to(slope, x.shape), rtol=POLICIES[policy] + 1e-6
    )


@pytest.mark.backends
@pytest.mark.parametrize("shape", [(7, 3), (7, 5, 3)])
def test_inputs_of_other_ranks_are_normalized(shape):
    stock, ours = layers("float32", shape)
    x = sample(shape, "float32")
    for training in (True, False):
        found, expected = ours(x, training=training), stock(x, training=training)
        np.testing.assert_allclose(as_numpy(found), as_numpy(expected), rtol=1e-6, atol=1e-6)


@pytest.mark.backends
def test_the_configuration_round_trips():
    settings = {"momentum": 0.8, "epsilon": 1e-5, "scale": False, "trainable": False, "name": "norm1"}
    ours = FusedBatchNormalization(**settings, dtype="mixed_bfloat16")
    assert FusedBatchNormalization.from_config(ours.get_config()).get_config() == ours.get_config()
    assert keras.layers.BatchNormalization.from_config(ours.get_config()).get_config() == ours.get_config()
