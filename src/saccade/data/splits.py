"""Splits made by Saccade: the test split of data without one, and the validation split of a training.

Exact duplicates and near-duplicates of an image stay in one split. Content hashes choose the split, so the choice is
independent of names and of the order of the files, and changes little when files are added or removed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Dataset, Split, SplitName

TEST_FRACTION = 0.2
"""Fraction of the images in the test split of data without a test split."""

TEST_NOTE = "the data has no test split: a fifth of its images, chosen by a hash of their contents, is the test split"


@dataclass(frozen=True)
class _Group:
    """Group of duplicates, which stay in one split.

    Attributes:
        members: positions of the images.
        label: label of the image with the lowest content hash.
        content: the lowest content hash; for several different contents, the hash of the lowest content hash.
        is_divisible: whether a class of this group alone may be divided.
    """

    members: NDArray[np.int64]
    label: int
    content: str
    is_divisible: bool


def choose_test(hashes: Sequence[str], labels: Sequence[int], duplicate_groups: Sequence[int]) -> NDArray[np.bool_]:
    """Return the mask of the test images of data without a test split, array of shape [n], bool.

    An image is a test image if its content hash, read as a fraction from 0 to 1, is below `TEST_FRACTION`. For a group
    of near-duplicates the hash of the lowest content hash decides. So an image changes its split only when duplicates
    of the image are added. Exception: in a class without a test image, or without a training image, the image with the
    lowest, or the highest, hash changes its split, if the class has two different images.

    Args:
        hashes: n content hashes, hexadecimal and of equal length.
        labels: n labels.
        duplicate_groups: n numbers, equal for duplicates.
    """
    chosen = np.zeros(len(hashes), np.bool_)
    by_label = _by_label(hashes, np.asarray(labels, np.int64), np.asarray(duplicate_groups, np.int64))
    for groups in by_label:
        in_test = [is_test_by_hash(group.content) for group in groups]
        if all(in_test):
            in_test[max(range(len(groups)), key=lambda number: groups[number].content)] = False
        elif len(groups) > 1 and not any(in_test):
            in_test[min(range(len(groups)), key=lambda number: groups[number].content)] = True
        for group, is_test in zip(groups, in_test, strict=True):
            chosen[group.members] = is_test
    _keep_classes([group for groups in by_label for group in groups], np.asarray(labels, np.int64), chosen, needed=True)
    return chosen


def _keep_classes(
    groups: Sequence[_Group], labels: NDArray[np.int64], chosen: NDArray[np.bool_], *, needed: bool
) -> None:
    """Change the choice of groups of the data, such as cameras, so that every class keeps training images.

    A group of the data may hold images of several classes, of which only one was seen when the group was chosen.

    Args:
        groups: all groups.
        labels: labels, array of shape [n], int64.
        chosen: mask of the images that are not for training, array of shape [n], bool; changed in place.
        needed: whether a group is chosen where none is.
    """
    if all(group.is_divisible for group in groups):
        return
    ordered = sorted(groups, key=lambda group: group.content)
    for label in np.unique(labels):
        of_label = [group for group in ordered if (labels[group.members] == label).any()]
        if of_label and chosen[labels == label].all():
            chosen[of_label[-1].members] = False
    for group in ordered if needed else ():
        if chosen.any():
            return
        others = np.delete(labels, group.members)
        chosen[group.members] = np.isin(labels, others).all()


def is_test_by_hash(content: str) -> bool:
    """Return whether an image belongs to the test split by its content hash alone; the empty hash does not.

    The content hash also gives the split of an image that can't be decoded. The hash of an unreadable file is empty.
    """
    return bool(content) and int(content, 16) / float(1 << 4 * len(content)) < TEST_FRACTION


def hold_out(
    split: Split, fraction: float, seed: int, previous_split: Mapping[str, SplitName] | None = None
) -> tuple[Split, Split]:
    """Split a training split into a training split and a validation split, stratified by class.

    Of each class the images with the lowest hashes of seed and contents are held out: the given fraction, rounded, but
    at least one image of a class with two different images. So about a hundredth of the images of a class change their
    split when the class grows by a tenth. Duplicates stay in one split.

    Args:
        split: training split.
        fraction: fraction of the images to hold out, 0 or more and below 1.
        seed: non-negative seed.
        previous_split: split by content hash in a previous training. These images, and duplicates of them, keep their
            split.

    Returns:
        Training split and validation split, each in the order of `split`.
    """
    held_out = np.zeros(len(split), np.bool_)
    previous = [(previous_split or {}).get(content) for content in split.hashes]
    if fraction > 0 or previous_split:
        all_groups: list[_Group] = []
        for groups in _by_label(split.hashes, split.labels, split.duplicate_groups):
            new_groups = []
            for group in groups:
                splits = {previous[member] for member in group.members} - {None}
                if not splits:
                    new_groups.append(group)
                for member in group.members:
                    held_out[member] = (previous[member] or min(splits, default="train")) == "validation"
            n = sum(len(group.members) for group in groups)
            num_held_out = sum(int(held_out[group.members].sum()) for group in groups)
            for group in _draw(new_groups, fraction, seed, n, num_held_out):
                held_out[group.members] = True
            all_groups += new_groups
        _keep_classes(all_groups, split.labels, held_out, needed=fraction > 0)
    return split.subset(np.flatnonzero(~held_out)), split.subset(np.flatnonzero(held_out))


def second_half(split: Split) -> NDArray[np.bool_]:
    """Return the mask of the second of two halves of a split, chosen by content hashes, array of shape [n], bool.

    Duplicates stay in one half. So the second half may be smaller, and is empty if all images are duplicates.
    """
    chosen, remaining = np.zeros(len(split), np.bool_), len(split) // 2
    for group in sorted(_groups(split.hashes, split.labels, split.duplicate_groups), key=_half_key):
        if len(group.members) <= remaining:
            chosen[group.members] = True
            remaining -= len(group.members)
    return chosen


def _draw(groups: list[_Group], fraction: float, seed: int, n: int, num_held_out: int) -> list[_Group]:
    """Draw the groups to hold out of a class of n images, of which `num_held_out` are held out already."""
    if fraction == 0 or not groups or (len(groups) == 1 and not num_held_out and len(groups[0].members) == n):
        return []
    target = min(max(round(fraction * n), 1), n - 1)
    drawn = []
    for group in sorted(groups, key=lambda group: _seeded_key(group, seed)):
        if num_held_out + len(group.members) <= target:
            drawn.append(group)
            num_held_out += len(group.members)
    return drawn if num_held_out else [min(groups, key=lambda group: len(group.members))]


def _seeded_key(group: _Group, seed: int) -> bytes:
    return hashlib.sha256(f"{seed} {group.content}".encode()).digest()


def _half_key(group: _Group) -> bytes:
    """Return a sort key independent of `_seeded_key`, which has chosen the validation images."""
    return hashlib.sha256(f"half {group.content}".encode()).digest()


def _by_label(
    hashes: Sequence[str], labels: NDArray[np.int64], duplicate_groups: NDArray[np.int64]
) -> list[list[_Group]]:
    """Return the groups of each class; a class of a single group is split into groups of exact duplicates."""
    by_label: dict[int, list[_Group]] = {}
    for group in _groups(hashes, labels, duplicate_groups):
        by_label.setdefault(group.label, []).append(group)
    for label, groups in by_label.items():
        if len(groups) == 1 and groups[0].is_divisible:
            members = groups[0].members
            contents = np.unique([hashes[member] for member in members], return_inverse=True)[1]
            by_label[label] = [
                _group(hashes, labels, members[contents == number], True) for number in range(contents.max() + 1)
            ]
    return [by_label[label] for label in sorted(by_label)]


def _groups(hashes: Sequence[str], labels: NDArray[np.int64], duplicate_groups: NDArray[np.int64]) -> list[_Group]:
    order = np.argsort(duplicate_groups, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(duplicate_groups[order])) + 1) if len(order) else []
    return [_group(hashes, labels, members, bool(duplicate_groups[members[0]] >= 0)) for members in groups]


def join_groups(duplicate_groups: NDArray[np.int64], groups: Sequence[int]) -> NDArray[np.int64]:
    """Join groups of duplicates with groups of the data, such as patients.

    Args:
        duplicate_groups: number of the group of duplicates of each image, 0 or more, array of shape [n], int64.
        groups: n numbers of groups of the data; -1 for an image without a group.

    Returns:
        Array of shape [n], int64: equal for images that are connected by either kind of group; negative for images
        that are connected with a group of the data.
    """
    of_data = np.asarray(groups, np.int64)
    members = np.flatnonzero(of_data >= 0)
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(duplicate_groups)
    _, duplicates = np.unique(duplicate_groups, return_inverse=True)
    # A graph of images, groups of duplicates and groups of the data; its connected components are the joined groups.
    rows = np.concatenate([np.arange(n), members])
    columns = np.concatenate([n + duplicates, 2 * n + of_data[members]])
    size = 2 * n + int(of_data.max(initial=0)) + 1
    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(size, size))
    component = connected_components(graph, directed=False)[1][:n]
    joined = np.unique(component, return_inverse=True)[1].astype(np.int64)
    return np.where(np.isin(joined, joined[members]), -1 - joined, joined)


def _group(hashes: Sequence[str], labels: NDArray[np.int64], members: NDArray[np.int64], is_divisible: bool) -> _Group:
    first = min(members, key=lambda member: hashes[member])
    content = hashes[first]
    if any(hashes[member] != content for member in members):
        content = hashlib.sha256(content.encode()).hexdigest()[: len(content)]
    return _Group(members, int(labels[first]), content, is_divisible)


def splits_of(
    dataset: Dataset, *, validation_split: float, seed: int, previous_split: Mapping[str, SplitName] | None = None
) -> dict[SplitName, Split]:
    """Return the splits of a dataset, with a validation split held out of the training split if the data has none.

    Args:
        dataset: dataset with or without a validation split.
        validation_split: fraction of the training images to hold out, 0 to 1; unused if the data has a validation
            split.
        seed: seed of the draw.
        previous_split: split by content hash, as recorded by a run. These images keep their split where Saccade, and
            not the data, makes the splits; only other images are drawn.

    Returns:
        "train", "validation" and "test", with no image in two splits. "validation" is empty where `validation_split` is
        0, or where the previous training was trained on the data's validation split.
    """
    training, test = dataset.splits["train"], dataset.splits["test"]
    if dataset.test_is_made and previous_split:
        training, test = _restore_test_split(training, test, previous_split)
    if "validation" in dataset.splits:
        validation = dataset.splits["validation"]
        if previous_split and "validation" not in previous_split.values():
            # The previous training was a cross-validation, whose final training used all these images.
            empty = validation.subset(np.empty(0, np.int64))
            return {"train": in_order([training, validation]), "validation": empty, "test": test}
        return {"train": training, "validation": validation, "test": test}
    training, held_out = hold_out(training, validation_split, seed, previous_split)
    return {"train": training, "validation": held_out, "test": test}


def in_order(splits: Sequence[Split]) -> Split:
    """Join splits of one dataset, with the images in the order of the data."""
    joined = Split.joined(splits)
    return joined.subset(np.argsort(joined.rows, kind="stable"))


def with_whole_data(dataset: Dataset, name: SplitName) -> Dataset:
    """Return a dataset with one split of all images, for a dataset whose test split Saccade made."""
    return replace(
        dataset,
        splits={name: in_order([dataset.splits["train"], dataset.splits["test"]])},
        test_is_made=False,
        notes=tuple(note for note in dataset.notes if note != TEST_NOTE),
    )


def _restore_test_split(training: Split, test: Split, previous_split: Mapping[str, SplitName]) -> tuple[Split, Split]:
    """Return both splits with known images in their previous split, and new duplicates in the split of known ones."""
    both = in_order([training, test])
    was_test, was_other = (
        np.array([previous_split.get(content) in splits for content in both.hashes], np.bool_)
        for splits in (("test",), ("train", "validation"))
    )
    _, group = np.unique(both.duplicate_groups, return_inverse=True)
    with_test, with_other = (np.bincount(group, known).astype(bool)[group] for known in (was_test, was_other))
    is_test = was_test | (~was_other & (with_test | (np.isin(both.rows, test.rows) & ~with_other)))
    return both.subset(np.flatnonzero(~is_test)), both.subset(np.flatnonzero(is_test))
