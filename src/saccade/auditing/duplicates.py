"""Exact duplicates and near-duplicates of images, within and across splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from saccade.auditing.all_images import AuditedImages
from saccade.auditing.findings import Finding, FindingImage, Severity
from saccade.data.decoding.fit import content_boxes
from saccade.data.near_duplicates.near_duplicates import Duplicates, find_near_duplicates
from saccade.sanitize import counted

_KEEP_ORDER = {"test": 0, "validation": 1, "train": 2}
_FIX = "choose the images to keep in audit.html, save fixes.csv, and use it: saccade train DATA --fixes fixes.csv"


def find_duplicates(images: AuditedImages) -> Duplicates:
    """Find duplicates among the images of all splits."""
    boxes = content_boxes(images.all.sizes, images.preprocessing)
    return find_near_duplicates(images.all.store, images.all.rows, images.all.hashes, boxes=boxes)


def duplicate_findings(images: AuditedImages, duplicates: Duplicates) -> list[Finding]:
    """Return findings on leaks between splits, conflicting labels, and duplicates within a split."""
    by_kind: dict[str, list[list[FindingImage]]] = defaultdict(list)
    for members in groups_of(duplicates.near):
        near = len(np.unique(duplicates.exact[members])) > 1
        by_kind[_kind(images, members, near)].append(_group(images, members))
    return [_finding(kind, groups) for kind, groups in sorted(by_kind.items())]


def groups_of(numbers: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the positions of each group with at least two members; equal numbers are one group."""
    order = np.argsort(numbers, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)
    return [np.sort(group) for group in groups if len(group) > 1]


def _kind(images: AuditedImages, members: Sequence[int] | NDArray[np.int64], near: bool) -> str:
    if len({images.splits[member] for member in members}) > 1:
        return "near-leak" if near else "leak"
    if len({int(images.all.labels[member]) for member in members}) > 1:
        return "conflicting-duplicates"
    return "near-duplicates" if near else "duplicates"


def _group(images: AuditedImages, members: Iterable[int]) -> list[FindingImage]:
    """Return a group of duplicates, in the order in which they are kept.

    One image is kept; in a leak, all images of the test split are kept, because test data should not change.
    """
    group = sorted((images.image(member) for member in members), key=lambda one: _KEEP_ORDER[one.split])
    if len({image.class_name for image in group}) > 1:
        return group
    leak = group[0].split != group[-1].split
    num_kept = sum(one.split == group[0].split for one in group) if leak else 1
    return [replace(one, suggestion="keep" if rank < num_kept else "drop") for rank, one in enumerate(group)]


def _finding(kind: str, groups: list[list[FindingImage]]) -> Finding:
    n, num_groups = sum(map(len, groups)), counted(len(groups), "group")
    conflicts = sum(len({image.class_name for image in group}) > 1 for group in groups)
    conflict_note = f" ({conflicts:,} of them with different labels)" if conflicts and kind.endswith("leak") else ""
    severity: Severity = "error" if kind == "leak" else "warning"
    summary = {
        "leak": f"{num_groups} of identical files in more than one split{conflict_note}: the test is invalid",
        "near-leak": f"{num_groups} of near-duplicates in more than one split{conflict_note}: the test is too easy",
        "conflicting-duplicates": f"{num_groups} of duplicates with different labels: at most one label is correct",
        "near-duplicates": f"{num_groups} of near-duplicates within a split, {counted(n, 'image')} in total",
        "duplicates": f"{num_groups} of identical files within a split, {counted(n, 'file')} in total",
    }[kind]
    return Finding(kind, severity, summary, _FIX, groups)
