import numpy as np

from saccade.experiments.fold_assignment import assign_folds, nested_subset_order


def test_folds_are_stratified_and_keep_groups_together():
    labels = np.repeat(np.arange(5), [100, 60, 40, 13, 7])
    groups = np.arange(220)
    groups[[3, 5, 150]] = 3
    folds = assign_folds(labels, groups, 4)
    assert len(set(folds[[3, 5, 150]])) == 1
    for label in range(3):
        counts = np.bincount(folds[labels == label], minlength=4)
        assert counts.max() - counts.min() <= 3
    assert np.bincount(folds).max() - np.bincount(folds).min() <= 3
    np.testing.assert_array_equal(folds, assign_folds(labels, groups, 4))
    assert (folds != assign_folds(labels, groups, 4, seed=1)).any()


def test_every_nested_subset_is_stratified():
    labels = np.repeat(np.arange(4), [200, 100, 60, 40])
    order = nested_subset_order(labels, np.arange(400), seed=0, repeat=0)
    assert sorted(order) == list(range(400))
    for size in range(1, 401):
        counts = np.bincount(labels[order[:size]], minlength=4)
        assert np.abs(counts - size * np.array([0.5, 0.25, 0.15, 0.1])).max() <= 2
    assert (order == nested_subset_order(labels, np.arange(400), seed=0, repeat=0)).all()
    for other in (
        nested_subset_order(labels, np.arange(400), seed=1, repeat=0),
        nested_subset_order(labels, np.arange(400), seed=0, repeat=1),
    ):
        assert len(np.intersect1d(order[:40], other[:40])) < 20


def test_duplicates_are_adjacent_in_the_order_of_nested_subsets():
    labels = np.repeat(np.arange(3), 40)
    duplicate_groups = np.arange(120)
    duplicate_groups[[1, 7, 30]] = 1
    duplicate_groups[[50, 60]] = 50
    order = nested_subset_order(labels, duplicate_groups, seed=3, repeat=2).tolist()
    for group in ([1, 7, 30], [50, 60]):
        places = sorted(order.index(position) for position in group)
        assert places == list(range(places[0], places[0] + len(group)))
