"""Duplicates of images, exact and near, within and across splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from saccade.auditing.all_images import AuditedImages
from saccade.auditing.findings import Finding, FindingImage, Severity
from saccade.data.near_duplicates.near_duplicates import Duplicates, find_near_duplicates
from saccade.sanitize import counted

_KEPT_FIRST = {"test": 0, "validation": 1, "train": 2}
_DROP = "choose which to keep in audit.html, save fixes.csv, and use it: saccade train DATA --fixes fixes.csv"


def find_duplicates(images: AuditedImages) -> Duplicates:
    """Finds duplicates among the images of all splits."""
    return find_near_duplicates(images.all.store, images.all.rows, images.all.hashes)


def duplicate_findings(images: AuditedImages, duplicates: Duplicates) -> list[Finding]:
    """Findings on duplicates: leaks between splits, different labels, and duplicates within a split."""
    by_kind: dict[str, list[list[FindingImage]]] = defaultdict(list)
    for members in groups_of(duplicates.near):
        near = len(np.unique(duplicates.exact[members])) > 1
        by_kind[_kind(images, members, near)].append(_group(images, members))
    return [_finding(kind, groups) for kind, groups in sorted(by_kind.items())]


def groups_of(numbers: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The positions that share a number, for each number that more than one position has."""
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
    """The copies, what to keep first: one, or all of the test split, since test data should not change."""
    group = sorted((images.image(member) for member in members), key=lambda one: _KEPT_FIRST[one.split])
    if len({image.class_name for image in group}) > 1:
        return group
    leak = group[0].split != group[-1].split
    kept = sum(one.split == group[0].split for one in group) if leak else 1
    return [replace(one, suggestion="keep" if place < kept else "drop") for place, one in enumerate(group)]


def _finding(kind: str, groups: list[list[FindingImage]]) -> Finding:
    n, many = sum(map(len, groups)), counted(len(groups), "group")
    conflicts = sum(len({image.class_name for image in group}) > 1 for group in groups)
    also = f"; in {conflicts:,} of them the labels differ as well" if conflicts and kind.endswith("leak") else ""
    severity: Severity = "error" if kind == "leak" else "warning"
    summary = {
        "leak": f"{many} of identical files stand in more than one split{also}: what is measured on them is memory",
        "near-leak": f"{many} of near-identical images stand in more than one split{also}: the test is too easy",
        "conflicting-duplicates": f"{many} of duplicates have different labels: at most one label can be right",
        "near-duplicates": f"{many} of near-identical images within a split, {counted(n, 'image')} in all",
        "duplicates": f"{many} of identical files within a split, {counted(n, 'file')} in all",
    }[kind]
    return Finding(kind, severity, summary, _DROP, groups)
