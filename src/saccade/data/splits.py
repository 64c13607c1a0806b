"""Which images are held back: the test split of data that brings none, and the validation split of a training.

Duplicates of an image, exact and near, stay on one side. Which side is said by content hashes, so that it depends
neither on names nor on the order of the files, and changes little when files are added or removed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Dataset, Split, SplitName

TEST_FRACTION = 0.2
"""Of the images, where the data brings no test split."""

TEST_NOTE = (
    "the data brings no test split: a fifth of its images, chosen by a hash of their contents, is kept for testing"
)


@dataclass(frozen=True)
class _Unit:
    """Images that stay together: duplicates of each other.

    Attributes:
        members: positions of the images.
        label: of the one that stands for it, which has the lowest content hash.
        content: that hash; for several different contents a hash of it.
    """

    members: NDArray[np.int64]
    label: int
    content: str


def choose_test(hashes: Sequence[str], labels: Sequence[int], duplicate_groups: Sequence[int]) -> NDArray[np.bool_]:
    """Which images are kept for testing where the data does not say so: a bool array of shape [n].

    An image is one of them when its content hash, read as a fraction from 0 to 1, is below `TEST_FRACTION`; of several
    near-duplicates the lowest hash, hashed again, decides. So no image moves when others are added that are no copies
    of it. Only in a class that would otherwise have no test image, or no training image, the one with the lowest, or
    the highest, hash is exchanged, if the class has two different images at all.

    Args:
        hashes: n content hashes, hexadecimal and of equal length.
        labels: n labels.
        duplicate_groups: n numbers, equal for duplicates of the same image.
    """
    chosen = np.zeros(len(hashes), np.bool_)
    for units in _by_label(hashes, np.asarray(labels, np.int64), np.asarray(duplicate_groups, np.int64)):
        tested = [is_test_by_hash(unit.content) for unit in units]
        if all(tested):
            tested[max(range(len(units)), key=lambda place: units[place].content)] = False
        elif len(units) > 1 and not any(tested):
            tested[min(range(len(units)), key=lambda place: units[place].content)] = True
        for unit, is_tested in zip(units, tested, strict=True):
            chosen[unit.members] = is_tested
    return chosen


def is_test_by_hash(content: str) -> bool:
    """Whether a content hash alone puts an image into the test split; one that could not be read has none, "".

    It also says to which split an image that can't be decoded would have belonged.
    """
    return bool(content) and int(content, 16) / float(1 << 4 * len(content)) < TEST_FRACTION


def hold_out(
    split: Split, fraction: float, seed: int, previous_split: Mapping[str, SplitName] | None = None
) -> tuple[Split, Split]:
    """Parts a training split in two: what is trained with, and what validates it.

    Of each class the same fraction is held out, rounded, but at least one image where the class has two that differ:
    those whose content hash, hashed with the seed, is lowest. So of a class that grows by a tenth about a hundredth
    of the images change sides. Duplicates stay on the same side.

    Args:
        split: the training split.
        fraction: of the images to hold out, from 0, which holds out none, to below 1.
        seed: non-negative.
        previous_split: content hash -> split, of a previous training. Images in it, and copies of theirs, keep their
            split.

    Returns:
        The training split and the validation split, each in the order of `split`.
    """
    held_out = np.zeros(len(split), np.bool_)
    before = [(previous_split or {}).get(content) for content in split.hashes]
    if fraction > 0 or previous_split:
        for units in _by_label(split.hashes, split.labels, split.duplicate_groups):
            free = []
            for unit in units:
                splits = {before[member] for member in unit.members} - {None}
                if not splits:
                    free.append(unit)
                for member in unit.members:
                    held_out[member] = (before[member] or min(splits, default="train")) == "validation"
            size = sum(len(unit.members) for unit in units)
            done = sum(int(held_out[unit.members].sum()) for unit in units)
            for unit in _drawn(free, fraction, seed, size, done):
                held_out[unit.members] = True
    return split.subset(np.flatnonzero(~held_out)), split.subset(np.flatnonzero(held_out))


def second_half(split: Split) -> NDArray[np.bool_]:
    """Which images are in the second of two halves of a split, by content hashes: bool [n].

    Duplicates stay in one half, so that the second may be smaller, and empty where all images are duplicates of one
    another.
    """
    chosen, room = np.zeros(len(split), np.bool_), len(split) // 2
    for unit in sorted(_units(split.hashes, split.labels, split.duplicate_groups), key=_half_key):
        if len(unit.members) <= room:
            chosen[unit.members] = True
            room -= len(unit.members)
    return chosen


def _drawn(free: list[_Unit], fraction: float, seed: int, n: int, held_out: int) -> list[_Unit]:
    """Of a class of n images, so many of them held out already, the units that are held out beside them."""
    if fraction == 0 or not free or (len(free) == 1 and not held_out and len(free[0].members) == n):
        return []
    wanted = min(max(round(fraction * n), 1), n - 1)
    drawn = []
    for unit in sorted(free, key=lambda unit: _keyed(unit, seed)):
        if held_out + len(unit.members) <= wanted:
            drawn.append(unit)
            held_out += len(unit.members)
    return drawn if held_out else [min(free, key=lambda unit: len(unit.members))]


def _keyed(unit: _Unit, seed: int) -> bytes:
    return hashlib.sha256(f"{seed} {unit.content}".encode()).digest()


def _half_key(unit: _Unit) -> bytes:
    """Orders units independently of `_keyed`, by which the images of a validation split were chosen."""
    return hashlib.sha256(f"half {unit.content}".encode()).digest()


def _by_label(
    hashes: Sequence[str], labels: NDArray[np.int64], duplicate_groups: NDArray[np.int64]
) -> list[list[_Unit]]:
    """All images in units, class by class; where a class would be a single unit, only its exact duplicates are one."""
    units = _units(hashes, labels, duplicate_groups)
    by_label: dict[int, list[_Unit]] = {}
    for unit in units:
        by_label.setdefault(unit.label, []).append(unit)
    for label, own in by_label.items():
        if len(own) == 1:
            members = own[0].members
            contents = np.unique([hashes[member] for member in members], return_inverse=True)[1]
            by_label[label] = [
                _unit(hashes, labels, members[contents == number]) for number in range(contents.max() + 1)
            ]
    return [by_label[label] for label in sorted(by_label)]


def _units(hashes: Sequence[str], labels: NDArray[np.int64], duplicate_groups: NDArray[np.int64]) -> list[_Unit]:
    order = np.argsort(duplicate_groups, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(duplicate_groups[order])) + 1) if len(order) else []
    return [_unit(hashes, labels, members) for members in groups]


def _unit(hashes: Sequence[str], labels: NDArray[np.int64], members: NDArray[np.int64]) -> _Unit:
    first = min(members, key=lambda member: hashes[member])
    content = hashes[first]
    if any(hashes[member] != content for member in members):
        content = hashlib.sha256(content.encode()).hexdigest()[: len(content)]
    return _Unit(members, int(labels[first]), content)


def splits_of(
    dataset: Dataset, *, validation_split: float, seed: int, previous_split: Mapping[str, SplitName] | None = None
) -> dict[SplitName, Split]:
    """The dataset's splits, with a validation split held out of the training split where the data brings none.

    Args:
        dataset: with or without a validation split of its own.
        validation_split: part of the training images to hold out, 0 to 1; not used where the data brings its own.
        seed: that draws the part.
        previous_split: content hash -> split, as a run has recorded it. Images in it keep their split, wherever Saccade
            and not the data decides on it; only images that are not in it are drawn.

    Returns:
        "train", "validation" (empty where `validation_split` is 0, or where the earlier training had none although the
        data brings one) and "test", with no image in two of them.
    """
    training, test = dataset.splits["train"], dataset.splits["test"]
    if dataset.test_is_made and previous_split:
        training, test = _as_before(training, test, previous_split)
    if "validation" in dataset.splits:
        own = dataset.splits["validation"]
        if previous_split and "validation" not in previous_split.values():
            # A training that was cross-validated: it had all of them to train on.
            return {"train": in_order([training, own]), "validation": own.subset(np.empty(0, np.int64)), "test": test}
        return {"train": training, "validation": own, "test": test}
    training, held_out = hold_out(training, validation_split, seed, previous_split)
    return {"train": training, "validation": held_out, "test": test}


def in_order(splits: Sequence[Split]) -> Split:
    """Splits of one dataset as one, its images in the order of the data."""
    together = Split.joined(splits)
    return together.subset(np.argsort(together.rows, kind="stable"))


def _as_before(training: Split, test: Split, previous_split: Mapping[str, SplitName]) -> tuple[Split, Split]:
    """Both splits, with the images exchanged that stood in the other one; new copies go where the known ones are."""
    both = in_order([training, test])
    was_test, was_other = (
        np.array([previous_split.get(content) in splits for content in both.hashes], np.bool_)
        for splits in (("test",), ("train", "validation"))
    )
    _, unit = np.unique(both.duplicate_groups, return_inverse=True)
    beside_test, beside_other = (np.bincount(unit, known).astype(bool)[unit] for known in (was_test, was_other))
    is_test = was_test | (~was_other & (beside_test | (np.isin(both.rows, test.rows) & ~beside_other)))
    return both.subset(np.flatnonzero(~is_test)), both.subset(np.flatnonzero(is_test))
