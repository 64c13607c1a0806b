"""Which pictures are held back: the test split of data that brings none, and the validation part of a training."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Split

TEST_FRACTION = 0.2
"""Of the pictures, where the data brings no test split."""

TEST_NOTE = (
    "the data brings no test split: a fifth of its pictures, chosen by a hash of their contents, is kept for testing"
)


def choose_test(hashes: Sequence[str], labels: Sequence[int]) -> NDArray[np.bool_]:
    """Which pictures are kept for testing where the data does not say so: a bool array of shape [n].

    A picture is one of them when its content hash, read as a fraction from 0 to 1, is below `TEST_FRACTION`. So it
    depends on nothing but the picture, and identical files stay together. Only in a class that would otherwise have
    no test picture, or no training picture, the one with the lowest, or the highest, hash is exchanged, if the class
    has two different pictures at all.

    Args:
        hashes: n content hashes, hexadecimal and of equal length.
        labels: n labels.
    """
    by_class: dict[int, set[str]] = defaultdict(set)
    for content, label in zip(hashes, labels, strict=True):
        by_class[label].add(content)
    chosen = {content for content in set(hashes) if hash_says_test(content)}
    for _, contents in sorted(by_class.items()):
        if contents <= chosen:
            chosen.remove(max(contents))
        elif len(contents) > 1 and chosen.isdisjoint(contents):
            chosen.add(min(contents))
    return np.array([content in chosen for content in hashes], dtype=np.bool_)


def hash_says_test(content: str) -> bool:
    """Whether a content hash alone puts a picture into the test split; one that could not be read has none, "".

    It also says to which split a picture that can't be decoded would have belonged.
    """
    return bool(content) and _fraction(content) < TEST_FRACTION


def hold_out(split: Split, fraction: float, seed: int) -> tuple[Split, Split]:
    """Parts a training split in two: what is trained with, and what validates it.

    Of each class the same fraction is held out, rounded, but at least one picture where the class has two or more.
    Which ones is drawn by the counter-based generator Philox (Salmon et al., 2011) from the seed. Identical pictures
    stay on the same side.

    Args:
        split: the training split.
        fraction: of the pictures to hold out, from 0, which holds out none, to below 1.
        seed: non-negative.

    Returns:
        The training part and the validation part, each in the order of `split`.
    """
    held_out = np.zeros(len(split), dtype=np.bool_)
    if fraction > 0 and len(split):
        _, first, twin_of = np.unique(np.asarray(split.hashes), return_index=True, return_inverse=True)
        order = np.random.Generator(np.random.Philox(seed)).random(len(split))
        drawn = _draw(split.labels[first], order[first], fraction)
        held_out = drawn[twin_of]
    return split.subset(np.flatnonzero(~held_out)), split.subset(np.flatnonzero(held_out))


def _draw(labels: NDArray[np.int64], order: NDArray[np.float64], fraction: float) -> NDArray[np.bool_]:
    drawn = np.zeros(len(labels), dtype=np.bool_)
    for members in _by_label(labels):
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        drawn[members[np.argsort(order[members], kind="stable")[:count]]] = True
    return drawn


def _by_label(labels: NDArray[np.int64]) -> Iterable[NDArray[np.int64]]:
    return (np.flatnonzero(labels == label) for label in np.unique(labels))


def _fraction(content: str) -> float:
    return int(content, 16) / float(1 << 4 * len(content))
