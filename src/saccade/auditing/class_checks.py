"""What is wrong with the classes: their names, their numbers, the splits they stand in, the folders inside them."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from saccade.auditing.all_images import AuditedImages
from saccade.auditing.findings import Finding, FindingImage
from saccade.data.dataset import Dataset
from saccade.data.sources.folder_names import normalize_class_name, split_of_folder
from saccade.sanitize import counted

_TINY = 20  # training images
_IMBALANCED = 10.0
_MOST_NAMED = 5


def class_findings(dataset: Dataset, images: AuditedImages) -> list[Finding]:
    """All of them."""
    checks = (_alike(dataset), _missing(dataset), _tiny(dataset), _imbalanced(dataset))
    return [*(finding for finding in checks if finding), *_nested(images), *_left_out(dataset), *_unreadable(dataset)]


def _alike(dataset: Dataset) -> Finding | None:
    """Class names that differ in case, white space or separators only."""
    by_key: dict[str, list[str]] = defaultdict(list)
    for name in dataset.class_names:
        by_key[normalize_class_name(name)].append(name)
    alike = [names for names in by_key.values() if len(names) > 1]
    if not alike:
        return None
    listed = "; ".join(" and ".join(map(repr, names)) for names in alike[:_MOST_NAMED])
    advice = "; ".join(f"move the images of {names[1]!r} into {names[0]!r}" for names in alike[:_MOST_NAMED])
    return Finding("class-names-alike", "warning", f"class names that differ in spelling only: {listed}", advice)


def _missing(dataset: Dataset) -> Finding | None:
    absent = [
        f"{dataset.class_names[label]!r} in {split}"
        for split, own in dataset.splits.items()
        for label in np.flatnonzero(np.bincount(own.labels, minlength=len(dataset.class_names)) == 0)
    ]
    if not absent:
        return None
    summary = f"classes without a readable image: {_named(absent)}; nothing can be said of them there"
    return Finding("class-missing", "error", summary, "add images of them to that split, or remove the class in all")


def _tiny(dataset: Dataset) -> Finding | None:
    counts = np.bincount(dataset.splits["train"].labels, minlength=len(dataset.class_names))
    tiny = [f"{dataset.class_names[label]!r} ({counts[label]})" for label in np.flatnonzero(counts < _TINY)]
    if not tiny:
        return None
    summary = f"classes with fewer than {_TINY} training images: {_named(tiny)}"
    return Finding("tiny-class", "warning", summary, "add images to them, or merge or remove these classes")


def _imbalanced(dataset: Dataset) -> Finding | None:
    counts = np.bincount(dataset.splits["train"].labels, minlength=len(dataset.class_names))
    least, most = int(counts.argmin()), int(counts.argmax())
    if counts[least] == 0 or counts[most] < _IMBALANCED * counts[least]:
        return None
    names = dataset.class_names
    summary = (
        f"the largest class, {names[most]!r}, has {counts[most]:,} training images, the smallest, "
        f"{names[least]!r}, only {counts[least]:,}: {counts[most] / counts[least]:.0f} times as many"
    )
    fix = "weigh the classes, saccade train DATA --set class_weights=true, and look at the balanced accuracy"
    return Finding("imbalance", "warning", summary, fix)


def _nested(images: AuditedImages) -> list[Finding]:
    """Images in folders inside class folders."""
    inner: dict[str, list[FindingImage]] = defaultdict(list)
    inner_names: set[str] = set()
    for position, name in enumerate(images.all.names):
        parts = name.split("/")
        start = 1 if parts[0] == images.class_names[images.all.labels[position]] else 2
        if len(parts) > start + 1:
            inner["/".join(parts[: start + 1])].append(images.image(position))
            inner_names.add(parts[start])
    if not inner:
        return []
    n, folders = sum(map(len, inner.values())), _named(sorted(inner))
    if all(map(split_of_folder, inner_names)):
        summary = f"splits stand inside the classes: {folders}; all {n:,} images there were taken as one"
        fix = "put the splits outside: train/CLASS/image and test/CLASS/image"
        return [Finding("splits-inside-classes", "error", summary, fix)]
    summary = f"{counted(n, 'image')} in folders inside class folders, counted to the outer class: {folders}"
    fix = "if the inner folders are classes of their own, move them up a level; if not, move their images up"
    return [Finding("nested-folders", "warning", summary, fix)]


def _left_out(dataset: Dataset) -> list[Finding]:
    notes = [note for note in dataset.notes if note.startswith("left out:") and " beside " in note]
    fix = "move them into class folders if they belong to the data; else there is nothing to do"
    return [Finding("left-out", "warning", note, fix) for note in notes]


def _unreadable(dataset: Dataset) -> list[Finding]:
    if not dataset.unreadable:
        return []
    groups = [[FindingImage(one.path, one.split, "")] for one in dataset.unreadable]
    first = dataset.unreadable[0]
    summary = f"{counted(len(groups), 'file')} can't be read, such as {first.path}: {first.reason}"
    fix = "mend or remove them; trainings leave them out (all with their reasons: saccade explore DATA --json)"
    return [Finding("unreadable", "warning", summary, fix, groups)]


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
