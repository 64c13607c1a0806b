from dataclasses import replace

import numpy as np
import pytest

from saccade.augmentation.augmentation import Augmentation, sample_augmentation
from saccade.augmentation.batches import BatchPosition, Part, epoch_batches
from saccade.augmentation.mixing import sample_mixing
from saccade.augmentation.pixel_operations import augment_pixels
from saccade.augmentation.sample_order import balanced_order, sample_order
from saccade.data.dataset import Split

AUGMENTATION = Augmentation(translate=0.1, horizontal_flip=True, rotation=5, integer_translate=False)
PIXELS = replace(AUGMENTATION, crop_scale=0.5, color_jitter=0.5, trivial_augment=True, random_erasing=0.5)


def numbered_split(n):
    """Return a split of n images; image i is filled with the value i, and its label is i % 3."""
    store = np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None, None], (n, 8, 8, 3))
    return Split(
        store=store,
        rows=np.arange(n),
        labels=np.arange(n) % 3,
        names=[str(i) for i in range(n)],
        hashes=[str(i) for i in range(n)],
        sizes=np.full((n, 2), 8, np.int32),
        modes=["RGB"] * n,
        formats=["PNG"] * n,
        duplicate_groups=np.arange(n),
    )


def batches(split, **changes):
    arguments = {"batch_size": 32, "seed": 0, "epoch": 0, "augmentation": None, "seen": 0} | changes
    first = BatchPosition(arguments.pop("epoch"), arguments.pop("seen"), arguments.pop("batch_size"))
    return list(epoch_batches(split, first, **arguments))


def test_an_epoch_has_each_image_once_with_its_label():
    split = numbered_split(100)
    seen = batches(split)
    assert [len(batch.labels) for batch in seen] == [32, 32, 32, 4]
    values = np.concatenate([batch.images[:, 0, 0, 0] for batch in seen])
    assert sorted(values) == list(range(100))
    np.testing.assert_array_equal(np.concatenate([batch.labels for batch in seen]), values % 3)


def test_the_order_depends_on_seed_and_epoch_only():
    first = sample_order(500, seed=1, epoch=2)
    np.testing.assert_array_equal(first, sample_order(500, seed=1, epoch=2))
    assert not np.array_equal(first, sample_order(500, seed=1, epoch=3))
    assert not np.array_equal(first, sample_order(500, seed=2, epoch=2))


def numbers(batch):
    """Return the indices of the images of a batch in the split."""
    return batch.images[:, 0, 0, 0].astype(int)


@pytest.mark.parametrize("sampling", ["shuffled", "balanced"])
@pytest.mark.parametrize("done", [1, 3])
def test_the_rest_of_a_resumed_epoch_equals_the_uninterrupted_epoch(done, sampling):
    changes = {"batch_size": 16, "augmentation": replace(PIXELS, mixup=1), "sampling": sampling}
    whole = batches(numbered_split(50), **changes)
    left = batches(numbered_split(50), **changes, seen=16 * done)
    assert len(left) == len(whole) - done
    for one, other in zip(left, whole[done:], strict=True):
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(one.parameters, other.parameters)
        np.testing.assert_array_equal(one.mixing, other.mixing)


def test_augmentation_does_not_depend_on_the_batch_size():
    parameters: dict[int, list[np.ndarray]] = {}
    for size in (7, 60):
        for batch in batches(numbered_split(60), batch_size=size, augmentation=AUGMENTATION):
            for sample, row in zip(numbers(batch), batch.parameters, strict=True):
                parameters.setdefault(int(sample), []).append(row)
    assert len(parameters) == 60
    for one, other in parameters.values():
        np.testing.assert_array_equal(one, other)


def test_parameters_are_sampled_for_the_size_of_the_images():
    drawn = sample_augmentation(AUGMENTATION, 60, (8, 8), seed=2, epoch=3).as_array()
    for batch in batches(numbered_split(60), seed=2, epoch=3, augmentation=AUGMENTATION):
        np.testing.assert_array_equal(batch.parameters, drawn[numbers(batch)])


def test_epochs_without_augmentation_have_no_parameters():
    assert all(batch.parameters is None and batch.mixing is None for batch in batches(numbered_split(10)))


def test_images_are_those_of_augment_pixels_whatever_the_batch_size():
    split = numbered_split(60)
    augmented = augment_pixels(split.take(slice(None)), np.arange(60), PIXELS, seed=2, epoch=3)
    for size in (7, 60):
        seen = batches(split, batch_size=size, seed=2, epoch=3, augmentation=PIXELS)
        order = np.split(sample_order(60, seed=2, epoch=3), range(size, 60, size))
        for batch, samples in zip(seen, order, strict=True):
            np.testing.assert_array_equal(batch.images, augmented[samples])
            np.testing.assert_array_equal(batch.labels, samples % 3)


def test_each_batch_is_mixed_by_its_position():
    mixed = replace(AUGMENTATION, mixup=0.2, cutmix=1)
    mixings = [sample_mixing(mixed, seed=2, epoch=3, position=start) for start in (0, 25, 50)]
    expected = [mixing.as_array() for mixing in mixings if mixing is not None]
    for seen in (0, 25):
        found = [batch.mixing for batch in batches(
            numbered_split(60), batch_size=25, seed=2, epoch=3, augmentation=mixed, seen=seen
        )]  # fmt: skip
        np.testing.assert_array_equal(found, expected[seen // 25 :])


RARE = np.array([2] * 83 + [1] * 13 + [0] * 4)


@pytest.mark.parametrize("labels", [RARE, np.array([0, 2, 2, 5, 5, 5, 5]), np.zeros(9, int)])
@pytest.mark.parametrize("epoch", range(5))
def test_a_balanced_epoch_has_each_class_equally_often(labels, epoch):
    order = balanced_order(labels, seed=1, epoch=epoch)
    assert len(order) == len(labels)
    _, draws = np.unique(labels[order], return_counts=True)
    assert len(draws) == len(np.unique(labels))
    assert draws.max() - draws.min() <= 1
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        times = np.bincount(order, minlength=len(labels))[own]
        assert times.max() - times.min() <= 1  # no sample is repeated before the others were drawn


def test_balanced_epochs_are_a_pure_function_of_seed_and_epoch():
    first = balanced_order(RARE, seed=1, epoch=2)
    np.testing.assert_array_equal(first, balanced_order(RARE, seed=1, epoch=2))
    orders = [first, *(balanced_order(RARE, seed=seed, epoch=epoch) for seed, epoch in ((1, 3), (2, 2)))]
    assert len({tuple(order) for order in orders}) == 3
    # Over the epochs, each image of the common class comes, and the class that gets one more draw changes.
    many = [balanced_order(RARE, seed=1, epoch=epoch) for epoch in range(30)]
    assert set(np.concatenate(many)) == set(range(100))
    assert {int(np.bincount(RARE[order]).argmax()) for order in many} == {0, 1, 2}


def test_repeated_images_of_a_balanced_epoch_are_augmented_differently():
    split = replace(numbered_split(100), labels=RARE)
    plain = batches(split, sampling="balanced")
    samples = np.concatenate([numbers(batch) for batch in plain])
    np.testing.assert_array_equal(samples, balanced_order(RARE, seed=0, epoch=0))
    np.testing.assert_array_equal(np.concatenate([batch.labels for batch in plain]), RARE[samples])
    seen = batches(split, sampling="balanced", augmentation=replace(AUGMENTATION, color_jitter=0.5))
    repeated = samples == 99
    rows = np.concatenate([batch.parameters for batch in seen])[repeated]
    images = np.concatenate([batch.images for batch in seen])[repeated]
    assert len(rows) > 1
    assert len(np.unique(rows, axis=0)) == len(rows)
    assert len(np.unique(images[:, 0, 0], axis=0)) > len(images) / 2  # other images may agree by rounding


@pytest.mark.parametrize("sampling", ["shuffled", "balanced"])
def test_the_parts_of_all_workers_are_the_whole_batches_with_their_augmentation(sampling):
    split = numbered_split(100)
    augmentation = replace(PIXELS, mixup=0.2)
    settings = {"augmentation": augmentation, "sampling": sampling, "epoch": 3, "seen": 32}
    whole = batches(split, **settings)
    parts = [batches(split, part=Part(rank, 3), **settings) for rank in range(3)]
    assert len(whole) == 3
    for batch, *pieces in zip(whole, *parts, strict=True):
        np.testing.assert_array_equal(np.concatenate([piece.images for piece in pieces]), batch.images)
        np.testing.assert_array_equal(np.concatenate([piece.labels for piece in pieces]), batch.labels)
        np.testing.assert_array_equal(np.concatenate([piece.parameters for piece in pieces]), batch.parameters)
        for piece in pieces:
            assert piece.position == batch.position
            np.testing.assert_array_equal(piece.mixing, batch.mixing)
