"""Checks of the classes: names, numbers of images, splits, and nested folders."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from saccade.auditing.all_images import AuditedImages
from saccade.auditing.findings import Finding, FindingImage
from saccade.data.dataset import Dataset
from saccade.data.sources.folder_layout import CLASS_FIRST
from saccade.data.sources.folder_names import (
    class_name_of_folder,
    normalize_class_name,
    split_folder_name,
    split_of_folder,
)
from saccade.sanitize import counted

_MIN_TRAINING_IMAGES = 20  # training images
_MIN_IMBALANCE = 10.0
_MAX_NAMES = 5


def class_findings(dataset: Dataset, images: AuditedImages) -> list[Finding]:
    """Return the findings on classes and folders."""
    checks = (_similar_names(dataset), _missing(dataset), _tiny(dataset), _imbalanced(dataset))
    found = [finding for finding in checks if finding]
    return [*found, *_nested(dataset, images), *_left_out(dataset), *_unreadable(dataset)]


def _similar_names(dataset: Dataset) -> Finding | None:
    """Find class names that differ only in case, white space or separators."""
    by_key: dict[str, list[str]] = defaultdict(list)
    for name in dataset.class_names:
        by_key[normalize_class_name(name)].append(name)
    similar = [names for names in by_key.values() if len(names) > 1]
    if not similar:
        return None
    listed = "; ".join(" and ".join(map(repr, names)) for names in similar[:_MAX_NAMES])
    advice = "; ".join(f"move the images of {names[1]!r} into {names[0]!r}" for names in similar[:_MAX_NAMES])
    return Finding("class-names-alike", "warning", f"class names that differ only in spelling: {listed}", advice)


def _missing(dataset: Dataset) -> Finding | None:
    absent = [
        f"{dataset.class_names[label]!r} in {split}"
        for split, images in dataset.splits.items()
        for label in np.flatnonzero(np.bincount(images.labels, minlength=len(dataset.class_names)) == 0)
    ]
    if not absent:
        return None
    summary = f"classes without a readable image: {_join(absent)}; there are no metrics of these classes"
    return Finding(
        "class-missing", "warning", summary, "add images of the class to the split, or remove the class from all splits"
    )


def _tiny(dataset: Dataset) -> Finding | None:
    counts = np.bincount(dataset.splits["train"].labels, minlength=len(dataset.class_names))
    tiny = [
        f"{dataset.class_names[label]!r} ({counts[label]})" for label in np.flatnonzero(counts < _MIN_TRAINING_IMAGES)
    ]
    if not tiny:
        return None
    summary = f"classes with fewer than {_MIN_TRAINING_IMAGES} training images: {_join(tiny)}"
    return Finding("tiny-class", "warning", summary, "add images to these classes, or merge or remove the classes")


def _imbalanced(dataset: Dataset) -> Finding | None:
    counts = np.bincount(dataset.splits["train"].labels, minlength=len(dataset.class_names))
    smallest, largest = int(counts.argmin()), int(counts.argmax())
    if counts[smallest] == 0 or counts[largest] < _MIN_IMBALANCE * counts[smallest]:
        return None
    names = dataset.class_names
    summary = (
        f"the largest class, {names[largest]!r}, has {counts[largest]:,} training images, and the smallest class, "
        f"{names[smallest]!r}, has {counts[smallest]:,}: a ratio of {counts[largest] / counts[smallest]:.0f}"
    )
    fix = "use class weights (saccade train DATA --set class_weights=true) and the balanced accuracy"
    return Finding("imbalance", "warning", summary, fix)


def _nested(dataset: Dataset, images: AuditedImages) -> list[Finding]:
    """Find images in folders inside class folders."""
    if dataset.layout == CLASS_FIRST:
        return []
    inner: dict[str, list[FindingImage]] = defaultdict(list)
    inner_names: set[str] = set()
    for position, name in enumerate(images.all.names):
        folders = name.split("/")[:-1]
        start = _after_class(folders, images.class_names[images.all.labels[position]])
        if len(folders) > start:
            inner["/".join(folders[: start + 1])].append(images.image(position))
            inner_names.add(folders[start])
    if not inner:
        return []
    n, listed = sum(map(len, inner.values())), _join(sorted(inner))
    if all(map(split_of_folder, inner_names)):
        summary = f"split folders are inside class folders: {listed}; all {n:,} images there are in one split"
        fix = "put the class folders inside split folders: train/CLASS/image and test/CLASS/image"
        return [Finding("splits-inside-classes", "error", summary, fix)]
    summary = f"{counted(n, 'image')} in folders inside class folders, labeled with the outer class: {listed}"
    fix = "if the inner folders are classes, move them up one level; otherwise move their images up"
    return [Finding("nested-folders", "warning", summary, fix)]


def _after_class(folders: list[str], class_name: str) -> int:
    """Return the index after the class folder in the folders of a path, which may begin with the folder of a split.

    The result is the number of folders where no folder has the name of the class.
    """
    is_class = [class_name_of_folder(folder) == class_name for folder in folders]
    first = 1 if any(is_class[1:]) and split_folder_name(folders[0]) else 0
    return is_class.index(True, first) + 1 if any(is_class[first:]) else len(folders)


def _left_out(dataset: Dataset) -> list[Finding]:
    fix = "move them into class folders if they belong to the data; otherwise ignore this finding"
    return [Finding("left-out", "warning", note, fix) for note in dataset.strays]


def _unreadable(dataset: Dataset) -> list[Finding]:
    if not dataset.unreadable:
        return []
    groups = [[FindingImage(one.path, one.split, "")] for one in dataset.unreadable]
    first = dataset.unreadable[0]
    summary = f"{counted(len(groups), 'file')} can't be read, such as {first.path}: {first.reason}"
    fix = "repair or remove the files; trainings skip them (list with reasons: saccade explore DATA --json)"
    return [Finding("unreadable", "warning", summary, fix, groups)]


def _join(names: list[str]) -> str:
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(names[:_MAX_NAMES]) + more
