"""Copies of pictures, exact and near, within and across splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from saccade.auditing.findings import Finding, Picture, Severity, counted
from saccade.auditing.neighbours import candidate_pairs
from saccade.auditing.pictures import Pictures, thumbnails
from saccade.auditing.verification import detail_correlations

LEAST_DETAIL = 0.72
"""Correlation of details from which on a pair counts as near duplicates; chosen on CIFAR-10, see docs/audit.md."""

# Where most pictures have a look-alike, as handwritten digits do, a copy must be eight times as like as those.
_ALIKE = 0.5
_CLOSER = 8.0
_KEPT_FIRST = {"test": 0, "validation": 1, "train": 2}
_DROP = "choose which to keep in audit.html, save fixes.csv, and use it: saccade train DATA --fixes fixes.csv"


@dataclass(frozen=True)
class Duplicates:
    """Which pictures are copies of each other.

    Attributes:
        exact: int64 [n]: equal numbers for files of equal contents.
        near: int64 [n]: equal numbers for pictures that are joined by pairs of near, or exact, copies.
        strict: whether most pictures have a look-alike, so that a pair must agree better than usual to count.
    """

    exact: NDArray[np.int64]
    near: NDArray[np.int64]
    strict: bool


def find_duplicates(pictures: Pictures) -> Duplicates:
    """Finds exact copies by their hashes, and near ones by descriptors and then pixels."""
    _, first, exact = np.unique(np.asarray(pictures.all.hashes), return_index=True, return_inverse=True)
    pairs, least = near_pairs(thumbnails(pictures)[first])
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(len(first), len(first)))
    _, component = connected_components(graph, directed=False)
    return Duplicates(exact.astype(np.int64), component[exact].astype(np.int64), least > LEAST_DETAIL)


def near_pairs(small: NDArray[np.uint8]) -> tuple[NDArray[np.int64], float]:
    """The pairs of near duplicates among thumbnails, int64 [pairs, 2], and the correlation from which on they count."""
    pairs, mirrored = candidate_pairs(small)
    details = detail_correlations(small, pairs, mirrored)
    least = _threshold(len(small), pairs, details)
    return pairs[details >= least], least


def _threshold(n: int, pairs: NDArray[np.int64], details: NDArray[np.float32]) -> float:
    best = np.zeros(max(n, 1), np.float32)
    for side in (0, 1):
        np.maximum.at(best, pairs[:, side], details)
    usual = float(np.median(best))
    return LEAST_DETAIL if usual < _ALIKE else 1 - (1 - usual) / _CLOSER


def duplicate_findings(pictures: Pictures, duplicates: Duplicates) -> list[Finding]:
    """What the copies mean: leaks between splits, copies with different labels, and copies within a split."""
    by_kind: dict[str, list[list[Picture]]] = defaultdict(list)
    for members in groups_of(duplicates.near):
        near = len(np.unique(duplicates.exact[members])) > 1
        by_kind[_kind(pictures, members, near)].append(_group(pictures, members))
    return [_finding(kind, groups) for kind, groups in sorted(by_kind.items())]


def groups_of(numbers: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The positions that share a number, for each number that more than one position has."""
    order = np.argsort(numbers, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)
    return [np.sort(group) for group in groups if len(group) > 1]


def _kind(pictures: Pictures, members: Sequence[int] | NDArray[np.int64], near: bool) -> str:
    if len({pictures.splits[member] for member in members}) > 1:
        return "near-leak" if near else "leak"
    if len({int(pictures.all.labels[member]) for member in members}) > 1:
        return "conflicting-copies"
    return "near-duplicates" if near else "duplicates"


def _group(pictures: Pictures, members: Iterable[int]) -> list[Picture]:
    """The copies, what to keep first: one, or all of the test split, since test data should not change."""
    group = sorted((pictures.picture(member) for member in members), key=lambda one: _KEPT_FIRST[one.split])
    if len({picture.class_name for picture in group}) > 1:
        return group
    leak = group[0].split != group[-1].split
    kept = sum(one.split == group[0].split for one in group) if leak else 1
    return [replace(one, suggestion="keep" if place < kept else "drop") for place, one in enumerate(group)]


def _finding(kind: str, groups: list[list[Picture]]) -> Finding:
    n, many = sum(map(len, groups)), counted(len(groups), "group")
    conflicts = sum(len({picture.class_name for picture in group}) > 1 for group in groups)
    also = f"; in {conflicts:,} of them the labels differ as well" if conflicts and kind.endswith("leak") else ""
    severity: Severity = "error" if kind == "leak" else "warning"
    sentence = {
        "leak": f"{many} of identical files stand in more than one split{also}: what is measured on them is memory",
        "near-leak": f"{many} of near-identical pictures stand in more than one split{also}: the test is too easy",
        "conflicting-copies": f"{many} of copies have different labels: at most one label can be right",
        "near-duplicates": f"{many} of near-identical pictures within a split, {n:,} pictures in all",
        "duplicates": f"{many} of identical files within a split, {n:,} files in all",
    }[kind]
    return Finding(kind, severity, sentence, _DROP, groups)
