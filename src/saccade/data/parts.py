"""The parts that a training uses, from a dataset: training, validation and test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from saccade.data.dataset import Dataset, Split, SplitName
from saccade.data.splits import hold_out


def parts_of(
    dataset: Dataset, *, validation: float, seed: int, earlier: Mapping[str, SplitName] | None = None
) -> dict[SplitName, Split]:
    """The dataset's splits, with a validation part held out of the training split where the data brings none.

    Args:
        dataset: with or without a validation split of its own.
        validation: part of the training pictures to hold out, 0 to 1; not used where the data brings its own.
        seed: that draws the part.
        earlier: content hash -> part, as a run has recorded it. Pictures in it keep their part, wherever Saccade and
            not the data decides on it; only pictures that are not in it are drawn.

    Returns:
        "train", "validation" (empty where `validation` is 0, or where the earlier training had none although the data
        brings one) and "test", with no picture in two of them.
    """
    training, test = dataset.splits["train"], dataset.splits["test"]
    if dataset.test_is_made and earlier:
        training, test = _as_before(training, test, earlier)
    if "validation" in dataset.splits:
        own = dataset.splits["validation"]
        if earlier and "validation" not in earlier.values():
            # A training that was cross-validated: it had all of them to train on.
            return {"train": in_order([training, own]), "validation": own.subset(np.empty(0, np.int64)), "test": test}
        return {"train": training, "validation": own, "test": test}
    training, held_out = hold_out(training, validation, seed, earlier)
    return {"train": training, "validation": held_out, "test": test}


def in_order(splits: Sequence[Split]) -> Split:
    """Splits of one dataset as one, its pictures in the order of the data."""
    together = Split.joined(splits)
    return together.subset(np.argsort(together.rows, kind="stable"))


def _as_before(training: Split, test: Split, earlier: Mapping[str, SplitName]) -> tuple[Split, Split]:
    """Both splits, with the pictures exchanged that stood in the other one; new copies go where the known ones are."""
    both = in_order([training, test])
    was_test, was_other = (
        np.array([earlier.get(content) in parts for content in both.hashes], np.bool_)
        for parts in (("test",), ("train", "validation"))
    )
    _, unit = np.unique(both.copies, return_inverse=True)
    beside_test, beside_other = (np.bincount(unit, known).astype(bool)[unit] for known in (was_test, was_other))
    is_test = was_test | (~was_other & (beside_test | (np.isin(both.rows, test.rows) & ~beside_other)))
    return both.subset(np.flatnonzero(~is_test)), both.subset(np.flatnonzero(is_test))
