import hashlib

import numpy as np
import pytest

from saccade.data.dataset import Dataset, Preprocessing, Split, SplitName
from saccade.data.splits import choose_test, hold_out, second_half, splits_of


def content(number):
    return hashlib.sha256(str(number).encode()).hexdigest()[:32]


def split_of(labels, hashes=None, duplicate_groups=None):
    n = len(labels)
    hashes = hashes or [content(i) for i in range(n)]
    return Split(
        store=np.zeros((n, 1, 1, 3), np.uint8),
        rows=np.arange(n),
        labels=np.array(labels, np.int64),
        names=[str(i) for i in range(n)],
        hashes=hashes,
        sizes=np.ones((n, 2), np.int32),
        modes=["RGB"] * n,
        formats=["PNG"] * n,
        duplicate_groups=np.unique(hashes if duplicate_groups is None else duplicate_groups, return_inverse=True)[1],
    )


def mask_of_test_split(hashes, labels, duplicate_groups=None):
    return choose_test(
        hashes,
        labels,
        np.unique(hashes if duplicate_groups is None else duplicate_groups, return_inverse=True)[1].tolist(),
    )


def recorded_split(training: Split, validation: Split) -> dict[str, SplitName]:
    return {**dict.fromkeys(training.hashes, "train"), **dict.fromkeys(validation.hashes, "validation")}


def test_about_a_fifth_of_each_class_is_in_the_test_split():
    labels = [number % 4 for number in range(8000)]
    chosen = mask_of_test_split([content(number) for number in range(8000)], labels)
    for label in range(4):
        assert 0.17 < chosen[np.array(labels) == label].mean() < 0.23


def test_added_images_do_not_change_the_split_of_other_images():
    hashes = [content(number) for number in range(1000)]
    before = mask_of_test_split(hashes[:500], [number % 2 for number in range(500)])
    after = mask_of_test_split(hashes, [number % 2 for number in range(1000)])
    np.testing.assert_array_equal(after[:500], before)


def test_identical_images_are_in_one_split():
    hashes = [content(number % 50) for number in range(200)]
    chosen = mask_of_test_split(hashes, [0] * 200)
    np.testing.assert_array_equal(chosen, np.tile(chosen[:50], 4))


@pytest.mark.parametrize("first_digit", ["0", "f"])
def test_a_small_class_has_at_least_one_image_in_each_split(first_digit):
    hashes = [first_digit + content(number)[1:] for number in range(3)]
    chosen = mask_of_test_split(hashes, [0, 0, 0])
    assert 1 <= chosen.sum() <= 2
    extreme = max(hashes) if first_digit == "0" else min(hashes)
    assert bool(chosen[hashes.index(extreme)]) == (first_digit == "f")


def test_the_only_image_of_a_class_is_a_training_image():
    assert mask_of_test_split(["00ff", "00ff", "0001"], [0, 0, 1]).tolist() == [False, False, False]


def test_the_validation_split_holds_a_tenth_of_each_class():
    split = split_of([0] * 100 + [1] * 55 + [2] * 2 + [3])
    training, validation = hold_out(split, 0.1, seed=0)
    assert np.bincount(validation.labels, minlength=4).tolist() == [10, 6, 1, 0]
    assert sorted([*training.names, *validation.names], key=int) == split.names
    assert list(training.names) == sorted(training.names, key=int)


def test_the_seed_decides_which_images_are_held_out():
    split = split_of([number % 5 for number in range(500)])
    first, again, other = (set(hold_out(split, 0.2, seed)[1].names) for seed in (7, 7, 8))
    assert first == again
    assert first != other
    # SHA-256 decides, so the result for a seed must never change.
    few = split_of([0, 1] * 10)
    assert hold_out(few, 0.2, seed=1)[1].names == ["2", "5", "10", "19"]


def test_held_out_images_are_independent_of_names_and_order():
    split = split_of([number % 3 for number in range(90)])
    shuffled = split.subset(np.random.default_rng(0).permutation(90))
    one, other = (set(hold_out(images, 0.1, seed=3)[1].hashes) for images in (split, shuffled))
    assert one == other


def test_few_images_change_their_split_when_images_are_added():
    labels = [number % 2 for number in range(2200)]
    before = set(hold_out(split_of(labels[:2000]), 0.1, seed=0)[1].hashes)
    after = set(hold_out(split_of(labels), 0.1, seed=0)[1].hashes)
    assert len(after) == 220
    assert len(before - after) <= 10


def test_images_of_a_previous_training_keep_their_split():
    labels = [number % 2 for number in range(300)]
    training, validation = hold_out(split_of(labels[:200]), 0.1, seed=0)
    previous_split = recorded_split(training, validation)
    now_training, now_validation = hold_out(split_of(labels), 0.1, seed=5, previous_split=previous_split)
    assert set(training.hashes) <= set(now_training.hashes)
    assert set(validation.hashes) <= set(now_validation.hashes)
    assert np.bincount(now_validation.labels).tolist() == [15, 15]


def test_a_new_duplicate_joins_the_split_of_the_known_image():
    duplicate_groups = [number % 40 for number in range(80)]
    split = split_of([0] * 80, duplicate_groups=duplicate_groups)
    first = split.subset(np.arange(40))
    training, validation = hold_out(first, 0.25, seed=0)
    previous_split = recorded_split(training, validation)
    now_training, now_validation = hold_out(split, 0.25, seed=0, previous_split=previous_split)
    assert len(now_validation) == 20
    assert not set(now_training.duplicate_groups) & set(now_validation.duplicate_groups)


def test_near_duplicates_are_in_one_split():
    duplicate_groups = [number // 4 for number in range(400)]
    split = split_of([0] * 400, duplicate_groups=duplicate_groups)
    training, validation = hold_out(split, 0.1, seed=0)
    assert len(validation) == 40
    assert not set(training.duplicate_groups) & set(validation.duplicate_groups)
    chosen = mask_of_test_split(
        [content(number) for number in range(4000)], [0] * 4000, [number // 4 for number in range(4000)]
    )
    assert 0.15 < chosen.mean() < 0.25
    np.testing.assert_array_equal(chosen[::4], chosen[3::4])


def test_a_class_of_near_duplicates_only_is_split():
    split = split_of([0] * 20 + [1] * 20, duplicate_groups=[0] * 20 + list(range(1, 21)))
    validation = hold_out(split, 0.1, seed=0)[1]
    assert np.bincount(validation.labels).tolist() == [2, 2]
    chosen = mask_of_test_split(split.hashes, split.labels, split.duplicate_groups)
    assert 0 < chosen[:20].sum() < 20


def test_a_large_group_of_duplicates_does_not_enlarge_the_validation_split():
    split = split_of([0] * 100, duplicate_groups=[0] * 60 + list(range(1, 41)))
    for seed in range(5):
        assert len(hold_out(split, 0.1, seed=seed)[1]) == 10


def test_identical_images_are_in_one_split_of_a_training():
    split = split_of([0] * 60, [content(number // 3) for number in range(60)])
    training, validation = hold_out(split, 0.25, seed=0)
    assert len(validation) == 15
    assert not set(training.hashes) & set(validation.hashes)


def test_a_fraction_of_zero_holds_out_no_image():
    training, validation = hold_out(split_of([0, 0, 1, 1]), 0.0, seed=0)
    assert (len(training), len(validation)) == (4, 0)


def test_at_least_one_image_of_a_class_is_a_training_image():
    training, validation = hold_out(split_of([0, 0, 1, 1]), 0.99, seed=0)
    assert np.bincount(training.labels).tolist() == [1, 1]
    assert np.bincount(validation.labels).tolist() == [1, 1]


def test_validation_images_of_the_data_that_were_trained_on_stay_training_images():
    whole = split_of([0, 1] * 15)
    training, validation, test = (whole.subset(np.arange(start, 30, 3)) for start in range(3))
    data = Dataset(
        "data",
        "data",
        ("a", "b"),
        {"train": training, "validation": validation, "test": test},
        Preprocessing(1, 1),
        "f",
    )

    def assigned(previous_split):
        splits = splits_of(data, validation_split=0.1, seed=0, previous_split=previous_split)
        return {name: set(held.names) for name, held in splits.items()}

    of_data = {name: set(held.names) for name, held in data.splits.items()}
    assert assigned(None) == assigned(recorded_split(training, validation)) == of_data
    nothing = whole.subset(np.arange(0))
    trained_on_all = recorded_split(Split.joined([training, validation]), nothing) | dict.fromkeys(test.hashes, "test")
    assert assigned(trained_on_all) == of_data | {
        "train": of_data["train"] | of_data["validation"],
        "validation": set(),
    }


def test_halves_are_independent_of_the_order_and_keep_duplicates_together():
    duplicate_groups = [number // 3 if number < 90 else number for number in range(301)]
    split = split_of([number % 4 for number in range(301)], duplicate_groups=duplicate_groups)
    second = second_half(split)
    assert second.sum() == 150
    assert all(len(set(second[split.duplicate_groups == number])) == 1 for number in range(31))
    order = np.random.default_rng(0).permutation(301)
    np.testing.assert_array_equal(second_half(split.subset(order)), second[order])


def test_a_class_with_one_image_may_be_in_either_half():
    halves = {bool(second_half(split_of([0, 1], hashes=[content(seed), content(-1 - seed)]))[0]) for seed in range(40)}
    assert halves == {False, True}


@pytest.mark.parametrize("n", [0, 1, 5])
def test_a_split_of_duplicates_only_has_an_empty_second_half(n):
    assert not second_half(split_of([0] * n, duplicate_groups=[0] * n)).any()
