"""Steps of several workers in one process, against a loop that computes the parts in turn with stock Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from saccade.augmentation.batches import Batch, BatchPosition, Part
from saccade.models.build import build_network, freeze_lower_layers
from saccade.models.frozen_part import cut_layer, upper_part
from saccade.models.head import body_weights
from saccade.models.pretrained.imagenet import imagenet_weights
from saccade.models.training_model import make_training_model
from saccade.models.weights import assign, named_weights
from saccade.recipes import get_recipe
from saccade.training.optimizers.build import build_optimizer
from saccade.training.parallel.parallel_step import HelpersLostError, ParallelStep
from saccade.training.parallel.part_step import PartStep

CLASSES, IMAGES, STEPS, LEARNING_RATE = 5, 26, 20, 0.001
# Batches of 26 images: the parts of 4 workers have 7, 6, 7 and 6.
RNG = np.random.default_rng(0)
# Largest relative difference after 20 steps. The compilation of a network takes longest, so not all cases run each day.
CASES = [
    ("float32", 1e-5, 4),
    ("float64", 1e-10, 2),
    *(
        pytest.param(dtype, limit, workers, marks=pytest.mark.nightly)
        for dtype, limit, workers in (
            ("float32", 1e-5, 1), ("float32", 1e-5, 2), ("float64", 1e-10, 1), ("float64", 1e-10, 4),
        )
    ),
]  # fmt: skip


class LocalHelpers:
    """Helpers in this process. At the calls in `losses`, counted from 0, all of them lose their variables."""

    def __init__(self, steps, batches, losses=()):
        self._steps, self._batches, self._losses = steps, batches, set(losses)
        self._calls = 0
        self._loaded = False
        self._results = []
        self.restarts = 0

    @property
    def count(self):
        return len(self._steps)

    def load(self, arrays):
        for step in self._steps:
            step.load(arrays)
        self._loaded = True

    def compute_outputs(self):
        raise AssertionError("there are no outputs to compute")

    def begin(self, request):
        self._results = []
        for rank, step in enumerate(self._steps, start=1):
            part = Part(rank, len(self._steps) + 1)
            batch = part_of(self._batches[request.position.epoch], part)
            step.begin_epoch(request.recipe_epoch)
            step.set_random_states(request.random_states, rank)
            self._results.append(step.gradient(batch, request.position.size) if len(batch.labels) else None)

    def results(self):
        self._calls += 1
        if self._calls - 1 in self._losses:
            for step in self._steps:
                step.load(
                    {
                        name: {key: np.zeros_like(value) for key, value in arrays.items()}
                        for name, arrays in step.arrays().items()
                    }
                )
            self._loaded = False
            raise HelpersLostError("gone")
        assert self._loaded
        return self._results

    def apply(self, vector, learning_rate):
        for step in self._steps:
            step.apply(vector, learning_rate)

    def restart(self, reason):
        assert reason == "gone"
        self.restarts += 1


def part_of(batch, part):
    rows = part.of(np.arange(len(batch.labels)))
    return Batch(batch.images[rows], batch.labels[rows], None, position=batch.position)


def pixel_batches():
    """A batch for each step; each is an epoch of its own."""
    return [
        Batch(
            RNG.integers(0, 256, (IMAGES, 32, 32, 3), np.uint8),
            RNG.integers(0, CLASSES, IMAGES),
            None,
            position=BatchPosition(number, 0, IMAGES),
        )
        for number in range(STEPS)
    ]


def copied(network, dtype):
    """Return the training model of a network; in float64 a copy with the stock layers."""
    if dtype == "float32":
        return make_training_model(network, "float32")
    clone = keras.models.clone_model(
        network, clone_function=lambda layer: type(layer).from_config(layer.get_config() | {"dtype": "float64"})
    )
    for layer in network.layers:
        copy = clone.get_layer(layer.name)
        copy.set_weights(layer.get_weights())
        for original, variable in zip(layer.weights, copy.weights, strict=True):
            variable.trainable = original.trainable
        if hasattr(layer, "seed_generator"):
            copy.seed_generator.state.assign(layer.seed_generator.state)
    return clone


def recipe_and_network(name):
    recipe = get_recipe(name)
    if name == "fast":  # at the full size, as the reference trains
        recipe = recipe.with_settings({"initial_scale": 1, "final_scale": 1})
    return recipe, build_network(recipe, height=32, width=32, classes=CLASSES)


def reference(network, recipe, optimizer, batches, workers):
    """Train a network by the sum of the gradients of the parts, which are computed in turn."""
    optimizer.build(network.trainable_variables)
    optimizer.learning_rate = LEARNING_RATE
    seeds = [layer.seed_generator.state for layer in network.layers if hasattr(layer, "seed_generator")]
    normalizations = [
        layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    averages = [each for layer in normalizations for each in (layer.moving_mean, layer.moving_variance)]

    @tf.function(autograph=False)
    def gradient(images, labels):
        with tf.GradientTape() as tape:
            logits = network(images, training=True)
            targets = tf.one_hot(labels, CLASSES, dtype=logits.dtype)
            smoothing = recipe.label_smoothing
            losses = keras.losses.categorical_crossentropy(targets, logits, from_logits=True, label_smoothing=smoothing)
            loss = tf.reduce_sum(losses) / IMAGES
        return loss, tape.gradient(loss, network.trainable_variables)

    losses = []
    for batch in batches:
        states, starts = [state.numpy() for state in seeds], [average.numpy() for average in averages]
        total, means, loss = None, [np.zeros_like(start) for start in starts], 0.0
        for rank in range(workers):
            part = part_of(batch, Part(rank, workers))
            for state, start in zip(seeds, states, strict=True):
                state.assign([(int(start[0]) + rank * 0x9E3779B9) % 2**32, start[1]])
            for average, start in zip(averages, starts, strict=True):
                average.assign(start)
            of_part, gradients = gradient(part.images.astype(np.float32), part.labels)
            loss += float(of_part)
            total = gradients if total is None else [a + b for a, b in zip(total, gradients, strict=True)]
            share = len(part.labels) / IMAGES
            means = [mean + share * average.numpy() for mean, average in zip(means, averages, strict=True)]
            counters = [state.numpy()[1] for state in seeds]
        optimizer.apply(total, network.trainable_variables)
        for average, mean in zip(averages, means, strict=True):
            average.assign(mean)
        for state, start, counter in zip(seeds, states, counters, strict=True):
            state.assign([start[0], counter])
        losses.append(loss)
    return losses


def train(network, recipe, batches, workers, *, dtype="float32", losses=(), upper=None):
    """Train by `ParallelStep` with helpers in this process; return the losses and the helpers."""

    def step(trained):
        part = None if upper is None else upper_part(trained, upper)
        return PartStep(trained, recipe, build_optimizer(recipe, IMAGES), (32, 32), None, part)

    own = step(network)
    helpers = LocalHelpers([step(copied(network, dtype)) for _ in range(workers - 1)], batches, losses)
    parallel = ParallelStep(own, helpers)
    found = []
    for batch in batches:
        parallel.begin_epoch(0)  # in which all layers are trained
        found.append(parallel(part_of(batch, parallel.part), LEARNING_RATE).loss)
    return found, helpers


def relative_difference(network, other):
    """Return the norm of the difference of all variables, divided by the norm of the variables."""
    pairs = [(a.numpy().ravel(), b.numpy().ravel()) for a, b in zip(network.weights, other.weights, strict=True)]
    first, second = (np.concatenate([pair[side] for pair in pairs]).astype(np.float64) for side in (0, 1))
    return np.linalg.norm(first - second) / np.linalg.norm(second)


@pytest.mark.long
@pytest.mark.parametrize(("dtype", "limit", "workers"), CASES)
@pytest.mark.parametrize("name", ["two-phase", "fast"])
def test_workers_train_as_one_process_that_adds_the_gradients_of_the_parts(name, dtype, limit, workers):
    recipe, network = recipe_and_network(name)
    batches = pixel_batches()
    trained, expected = copied(network, dtype), copied(network, dtype)
    losses, _ = train(trained, recipe, batches, workers, dtype=dtype)
    expected_losses = reference(expected, recipe, build_optimizer(recipe, IMAGES), batches, workers)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-3 if dtype == "float32" else 1e-6)
    assert relative_difference(trained, expected) < limit
    assert relative_difference(trained, copied(network, dtype)) > 1e-3


@pytest.mark.long
@pytest.mark.parametrize(("dtype", "limit", "workers"), CASES)
def test_workers_train_the_upper_part_of_photo_likewise(dtype, limit, workers):
    recipe = get_recipe("photo")
    network = build_network(recipe, height=64, width=64, classes=CLASSES)
    # Random weights would let nothing through 60 layers, and Adam would follow the rounding of the gradients.
    assign(network, {**named_weights(network), **body_weights(network, imagenet_weights())})
    freeze_lower_layers(network, recipe)
    cut = cut_layer(network)
    shape = network.get_layer(cut).output.shape[1:]
    batches = [
        Batch(RNG.standard_normal((IMAGES, *shape)).astype(np.float32), RNG.integers(0, CLASSES, IMAGES), None,
              position=BatchPosition(number, 0, IMAGES))
        for number in range(STEPS)
    ]  # fmt: skip
    trained, expected = copied(network, dtype), copied(network, dtype)
    train(trained, recipe, batches, workers, dtype=dtype, upper=cut)
    reference(upper_part(expected, cut), recipe, build_optimizer(recipe, IMAGES), batches, workers)
    assert relative_difference(trained, expected) < limit
    assert relative_difference(trained, copied(network, dtype)) > 1e-6


def test_after_a_loss_of_the_helpers_the_training_has_the_same_bits():
    recipe, network = recipe_and_network("two-phase")
    batches = pixel_batches()[:6]
    plain, lost = copied(network, "float32"), copied(network, "float32")
    train(plain, recipe, batches, 3)
    # Before the first step, in the middle, twice within one step, and in the last step.
    _, helpers = train(lost, recipe, batches, 3, losses=(0, 3, 6, 7, 9))
    assert helpers.restarts == 5
    for variable, other in zip(plain.weights, lost.weights, strict=True):
        np.testing.assert_array_equal(variable.numpy(), other.numpy())


def test_a_batch_that_is_smaller_than_the_number_of_workers_has_parts_without_images():
    recipe, network = recipe_and_network("two-phase")
    for layer in network.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 1e-6  # its seed depends on the number of a worker, and the second image is on another one
    (batch, *_) = pixel_batches()
    two = Batch(batch.images[:2], batch.labels[:2], None, position=BatchPosition(0, 0, 2))
    trained, expected = copied(network, "float64"), copied(network, "float64")
    (loss,), _ = train(trained, recipe, [two], 4, dtype="float64")
    (other,), _ = train(expected, recipe, [two], 2, dtype="float64")
    assert loss == pytest.approx(other, rel=1e-9)


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
@pytest.mark.parametrize("n", [1, 2, 6, 7, 25, 26])
def test_workers_divide_a_batch_evenly_and_in_order_and_the_first_one_has_samples(n, workers):
    samples = np.arange(100, 100 + n)
    parts = [Part(rank, workers).of(samples) for rank in range(workers)]
    np.testing.assert_array_equal(np.concatenate(parts), samples)
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert sizes[0] >= 1
