import numpy as np
import pytest

from saccade.augmentation.augmentation import Augmentation, draw_moves
from saccade.augmentation.batches import epoch_batches
from saccade.augmentation.rng import sample_order
from saccade.data.dataset import Split

MOVING = Augmentation(shift=0.1, flip=True, rotation=5, whole_pixels=False)


def numbered_split(n):
    """Picture i is filled with the value i, and its label is i % 3."""
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
        copies=np.arange(n),
    )


def batches(split, **changes):
    arguments = {"batch_size": 32, "seed": 0, "epoch": 0, "augmentation": None} | changes
    return list(epoch_batches(split, **arguments))


def test_an_epoch_sees_every_picture_once_with_its_own_label():
    split = numbered_split(100)
    seen = batches(split)
    assert [len(batch.labels) for batch in seen] == [32, 32, 32, 4]
    values = np.concatenate([batch.pictures[:, 0, 0, 0] for batch in seen])
    assert sorted(values) == list(range(100))
    np.testing.assert_array_equal(np.concatenate([batch.labels for batch in seen]), values % 3)


def test_the_order_changes_with_seed_and_epoch_only():
    first = sample_order(500, seed=1, epoch=2)
    np.testing.assert_array_equal(first, sample_order(500, seed=1, epoch=2))
    assert not np.array_equal(first, sample_order(500, seed=1, epoch=3))
    assert not np.array_equal(first, sample_order(500, seed=2, epoch=2))


def numbers(batch):
    """Of the pictures in the split, which they show."""
    return batch.pictures[:, 0, 0, 0].astype(int)


@pytest.mark.parametrize("done", [1, 3])
def test_what_is_left_of_an_epoch_is_the_same_as_in_one_that_was_not_stopped(done):
    whole = batches(numbered_split(50), batch_size=16, augmentation=MOVING)
    left = batches(numbered_split(50), batch_size=16, augmentation=MOVING, seen=16 * done)
    assert len(left) == len(whole) - done
    for one, other in zip(left, whole[done:], strict=True):
        np.testing.assert_array_equal(one.pictures, other.pictures)
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(one.moves, other.moves)


def test_a_picture_is_moved_the_same_whatever_the_batch_size():
    moves: dict[int, list[np.ndarray]] = {}
    for size in (7, 60):
        for batch in batches(numbered_split(60), batch_size=size, augmentation=MOVING):
            for sample, move in zip(numbers(batch), batch.moves, strict=True):
                moves.setdefault(int(sample), []).append(move)
    assert len(moves) == 60
    for one, other in moves.values():
        np.testing.assert_array_equal(one, other)


def test_moves_are_what_the_split_s_size_makes_of_the_augmentation():
    drawn = draw_moves(MOVING, 60, (8, 8), seed=2, epoch=3).parameters()
    for batch in batches(numbered_split(60), seed=2, epoch=3, augmentation=MOVING):
        np.testing.assert_array_equal(batch.moves, drawn[numbers(batch)])


def test_epochs_without_augmentation_carry_no_moves():
    assert all(batch.moves is None for batch in batches(numbered_split(10)))
