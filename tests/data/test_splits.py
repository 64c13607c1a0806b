import hashlib

import numpy as np
import pytest

from saccade.data.dataset import Split
from saccade.data.splits import choose_test, hold_out


def content(number):
    return hashlib.sha256(str(number).encode()).hexdigest()[:32]


def split_of(labels, hashes=None):
    n = len(labels)
    return Split(
        store=np.zeros((n, 1, 1, 3), np.uint8),
        rows=np.arange(n),
        labels=np.array(labels, np.int64),
        names=[str(i) for i in range(n)],
        hashes=hashes or [content(i) for i in range(n)],
        sizes=np.ones((n, 2), np.int32),
        modes=["RGB"] * n,
        formats=["PNG"] * n,
    )


def test_about_a_fifth_of_each_class_is_kept_for_testing():
    labels = [number % 4 for number in range(8000)]
    chosen = choose_test([content(number) for number in range(8000)], labels)
    for label in range(4):
        assert 0.17 < chosen[np.array(labels) == label].mean() < 0.23


def test_no_picture_moves_when_others_are_added():
    hashes = [content(number) for number in range(1000)]
    before = choose_test(hashes[:500], [number % 2 for number in range(500)])
    after = choose_test(hashes, [number % 2 for number in range(1000)])
    np.testing.assert_array_equal(after[:500], before)


def test_identical_pictures_are_kept_together():
    hashes = [content(number % 50) for number in range(200)]
    chosen = choose_test(hashes, [0] * 200)
    np.testing.assert_array_equal(chosen, np.tile(chosen[:50], 4))


@pytest.mark.parametrize("first_digit", ["0", "f"])
def test_a_small_class_gets_at_least_one_picture_on_each_side(first_digit):
    hashes = [first_digit + content(number)[1:] for number in range(3)]
    chosen = choose_test(hashes, [0, 0, 0])
    assert 1 <= chosen.sum() <= 2
    extreme = max(hashes) if first_digit == "0" else min(hashes)
    assert bool(chosen[hashes.index(extreme)]) == (first_digit == "f")


def test_a_class_with_one_picture_is_trained_with():
    assert choose_test(["00ff", "00ff", "0001"], [0, 0, 1]).tolist() == [False, False, False]


def test_held_out_pictures_are_a_tenth_of_each_class_and_no_others():
    split = split_of([0] * 100 + [1] * 55 + [2] * 2 + [3])
    training, validation = hold_out(split, 0.1, seed=0)
    assert np.bincount(validation.labels, minlength=4).tolist() == [10, 6, 1, 0]
    assert sorted([*training.names, *validation.names], key=int) == split.names
    assert list(training.names) == sorted(training.names, key=int)


def test_the_same_seed_holds_out_the_same_pictures_and_another_one_others():
    split = split_of([number % 5 for number in range(500)])
    first, again, other = (set(hold_out(split, 0.2, seed)[1].names) for seed in (7, 7, 8))
    assert first == again
    assert first != other
    # The generator is specified to the bit, so what a seed means must never change.
    few = split_of([0, 1] * 10)
    assert hold_out(few, 0.2, seed=1)[1].names == ["0", "1", "2", "19"]


def test_which_pictures_are_held_out_does_not_depend_on_what_they_show():
    labels = [number % 3 for number in range(90)]
    one = hold_out(split_of(labels), 0.1, seed=3)[1]
    other = hold_out(split_of(labels, [content(f"other {number}") for number in range(90)]), 0.1, seed=3)[1]
    assert one.names == other.names


def test_identical_pictures_are_never_on_both_sides():
    split = split_of([0] * 60, [content(number // 3) for number in range(60)])
    training, validation = hold_out(split, 0.25, seed=0)
    assert len(validation) == 15
    assert not set(training.hashes) & set(validation.hashes)


def test_nothing_is_held_out_where_nothing_is_asked_for():
    training, validation = hold_out(split_of([0, 0, 1, 1]), 0.0, seed=0)
    assert (len(training), len(validation)) == (4, 0)


def test_at_least_one_picture_of_a_class_stays_for_training():
    training, validation = hold_out(split_of([0, 0, 1, 1]), 0.99, seed=0)
    assert np.bincount(training.labels).tolist() == [1, 1]
    assert np.bincount(validation.labels).tolist() == [1, 1]
