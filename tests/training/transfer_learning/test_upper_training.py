"""Training of the upper layers on kept outputs, against stock Keras on the whole network."""

import keras
import numpy as np
import pytest

from saccade.augmentation.augmentation import Augmentation
from saccade.augmentation.batches import Batch
from saccade.augmentation.pixel_operations import augment_pixels
from saccade.data.cache.disk_cache import cache_entries, clear_cache
from saccade.data.dataset import Preprocessing, Split
from saccade.models.build import build_network, freeze_lower_layers
from saccade.models.frozen_part import cut_layer, lower_part, upper_part
from saccade.models.head import body_weights
from saccade.models.pretrained.imagenet import imagenet_weights
from saccade.models.weights import assign, named_weights
from saccade.recipes import get_recipe
from saccade.training.optimizers.build import build_optimizer
from saccade.training.transfer_learning import kept_outputs
from saccade.training.transfer_learning.kept_outputs import OutputExtractor
from saccade.training.transfer_learning.upper_training import UpperStep, versions_within_cache

RECIPE = get_recipe("photo").with_settings({"seed": 3})
SIZE, CLASSES = 64, 5
RNG = np.random.default_rng(1)


def network():
    """A network with the weights of the package, because random weights would let nothing through 60 layers."""
    made = build_network(RECIPE, height=SIZE, width=SIZE, classes=CLASSES)
    assign(made, {**named_weights(made), **body_weights(made, imagenet_weights())})
    freeze_lower_layers(made, RECIPE)
    return made


def split(n):
    return Split(
        store=RNG.integers(0, 256, (n, SIZE, SIZE, 3), np.uint8),
        rows=np.arange(n),
        labels=RNG.integers(0, CLASSES, n),
        names=[str(i) for i in range(n)],
        hashes=[f"{i:032x}" for i in range(n)],
        sizes=np.full((n, 2), SIZE, np.int32),
        modes=["RGB"] * n,
        formats=["JPEG"] * n,
        duplicate_groups=np.arange(n),
    )


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "cache"))


def extractor(made):
    return OutputExtractor(made, cut_layer(made), "fingerprint", Preprocessing(SIZE, SIZE), "made")


def test_kept_outputs_are_those_of_the_frozen_layers(cache):
    made, images = network(), split(11)
    kept = extractor(made)(images, lambda _: None)
    expected = lower_part(made, cut_layer(made)).predict(images.store.astype(np.float32), verbose=0)
    positions = np.array([10, 0, 5])
    taken = kept.take(positions)
    assert taken.dtype == np.float16
    np.testing.assert_allclose(taken, expected[positions], rtol=1e-3, atol=1e-3)


def test_outputs_of_views_are_those_of_augmented_images_and_are_read_again_from_the_cache(cache):
    made, images = network(), split(7)
    augmentation = Augmentation.of(RECIPE)

    def augment(pixels, samples):
        return augment_pixels(pixels, samples, augmentation, seed=3, epoch=2, mirror=True)

    extract = extractor(made)
    kept = extract(images, lambda _: None, augment=augment, version="2").take(np.arange(7))
    augmented = augment(images.store, np.arange(7))
    assert not np.array_equal(augmented, images.store)
    expected = lower_part(made, cut_layer(made)).predict(augmented.astype(np.float32), verbose=0)
    np.testing.assert_allclose(kept, expected, rtol=1e-3, atol=1e-3)

    def never(pixels, samples):
        raise AssertionError("the outputs are in the cache")

    np.testing.assert_array_equal(extract(images, lambda _: None, augment=never, version="2").take(np.arange(7)), kept)
    assert not np.array_equal(extract(images, lambda _: None).take(np.arange(7)), kept)


def test_outputs_without_room_in_the_cache_are_computed_when_they_are_taken(cache, monkeypatch):
    made, images = network(), split(11)
    monkeypatch.setattr(kept_outputs, "_SHARD", 4)
    kept = extractor(made)(images, lambda _: None)
    positions = np.array([10, 0, 5, 3, 8])
    expected = kept.take(positions)
    size = 4 * expected[0].nbytes
    del kept  # its entries are mapped no longer
    clear_cache()
    monkeypatch.setenv("SACCADE_CACHE_LIMIT", str(size + 100))
    counted: list[int] = []
    part = extractor(made)(images, counted.append)
    assert (part.num_unkept, sum(counted), len(cache_entries())) == (7, 11, 1)
    np.testing.assert_array_equal(part.take(positions), expected)
    np.testing.assert_array_equal(part.take(positions[:1]), expected[:1])


def test_steps_on_kept_outputs_change_the_weights_as_stock_keras_does_on_images(cache):
    """The reference trains the whole network on pixels with Keras's own step; kept outputs are rounded to 16 bits."""
    made, images = network(), split(16)
    reference = keras.models.clone_model(made)
    reference.set_weights(made.get_weights())
    for layer, copy in zip(made.layers, reference.layers, strict=True):
        copy.trainable = layer.trainable
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=RECIPE.label_smoothing)
    sgd = {"learning_rate": 0.001, "momentum": 0.9}
    reference.compile(keras.optimizers.SGD(**sgd), loss)
    outputs = extractor(made)(images, lambda _: None)
    step = UpperStep(upper_part(made, cut_layer(made)), RECIPE, keras.optimizers.SGD(**sgd), None)
    start = [variable.numpy() for variable in made.trainable_variables]
    for positions in (np.arange(8), np.arange(8, 16)):
        result = step(Batch(outputs.take(positions).astype(np.float32), images.labels[positions], None), 0.001)
        targets = keras.utils.to_categorical(images.labels[positions], CLASSES)
        expected = reference.train_on_batch(images.store[positions].astype(np.float32), targets)
        assert result.loss == pytest.approx(float(expected), rel=1e-3)
    for before, variable, other in zip(start, made.trainable_variables, reference.trainable_variables, strict=True):
        change, expected = variable.numpy() - before, other.numpy() - before
        assert np.linalg.norm(change - expected) < 0.03 * np.linalg.norm(expected)
    for variable, other in zip(made.non_trainable_variables, reference.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(variable.numpy(), other.numpy())


def test_adamw_is_that_of_keras_with_the_recipe_s_weight_decay():
    optimizer = build_optimizer(RECIPE.with_settings({"weight_decay": 0.3}), 32)
    assert isinstance(optimizer, keras.optimizers.AdamW)
    assert optimizer.weight_decay == 0.3


def test_the_cosine_schedule_ends_at_0_and_is_half_way_in_the_middle():
    recipe = RECIPE.with_settings({"warmup_epochs": 0, "learning_rate": 0.1})
    assert recipe.learning_rate_at(1) == pytest.approx(0.1)
    steps = recipe.epochs - 1  # the first epoch fits the head
    assert recipe.learning_rate_at(1 + steps // 2) == pytest.approx(0.05)
    assert recipe.learning_rate_at(recipe.epochs - 1, 1.0) == pytest.approx(0.0, abs=1e-9)


def test_the_cache_s_limit_reduces_the_augmented_versions(cache, monkeypatch):
    made = network()  # 4x4x112 outputs of two bytes for an image of 64x64 pixels
    found = []
    for limit in ("100GB", "12MB", "8MB", "1KB"):
        monkeypatch.setenv("SACCADE_CACHE_LIMIT", limit)
        found.append(versions_within_cache(made, RECIPE.with_settings({"augmented_versions": 5}), 1000, 0))
    assert found == [5, 2, 1, 1]
