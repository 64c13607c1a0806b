import numpy as np
import pytest

from saccade.augmentation.augmentation import Augmentation, sample_augmentation
from saccade.augmentation.batches import epoch_batches
from saccade.augmentation.sample_order import sample_order
from saccade.data.dataset import Split

AUGMENTATION = Augmentation(translate=0.1, horizontal_flip=True, rotation=5, integer_translate=False)


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
    arguments = {"batch_size": 32, "seed": 0, "epoch": 0, "augmentation": None} | changes
    return list(epoch_batches(split, **arguments))


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


@pytest.mark.parametrize("done", [1, 3])
def test_the_rest_of_a_resumed_epoch_equals_the_uninterrupted_epoch(done):
    whole = batches(numbered_split(50), batch_size=16, augmentation=AUGMENTATION)
    left = batches(numbered_split(50), batch_size=16, augmentation=AUGMENTATION, seen=16 * done)
    assert len(left) == len(whole) - done
    for one, other in zip(left, whole[done:], strict=True):
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(one.parameters, other.parameters)


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
    assert all(batch.parameters is None for batch in batches(numbered_split(10)))
