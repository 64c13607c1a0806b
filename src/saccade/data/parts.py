"""The parts that a training uses, from a dataset: training, validation and test."""

from __future__ import annotations

from saccade.data.dataset import Dataset, Split, SplitName
from saccade.data.splits import hold_out


def parts_of(dataset: Dataset, *, validation: float, seed: int) -> dict[SplitName, Split]:
    """The dataset's splits, with a validation part held out of the training split where the data brings none.

    Args:
        dataset: with or without a validation split of its own.
        validation: part of the training pictures to hold out, 0 to 1; not used where the data brings its own.
        seed: that draws the part.

    Returns:
        "train", "validation" (empty where `validation` is 0) and "test", with no picture in two of them.
    """
    training, test = dataset.splits["train"], dataset.splits["test"]
    if "validation" in dataset.splits:
        return {"train": training, "validation": dataset.splits["validation"], "test": test}
    training, held_out = hold_out(training, validation, seed)
    return {"train": training, "validation": held_out, "test": test}
