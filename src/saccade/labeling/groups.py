"""Groups of similar images, so that a person can name several images at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saccade.training.transfer_learning.features import Features

MAX_SHOWN = 48
"""Number of images of a group, at most: a person names what he or she has seen."""

_GROUP_SIZE = 40  # images in a group, in the mean
_MAX_GROUPS = 60
# Smallest cosine of the angle between the components of two images that are shown as one.
_MIN_COSINE = 0.985


@dataclass(frozen=True)
class Group:
    """Similar images.

    Attributes:
        images: positions of images that are shown as one, for each of the shown images; the first of them is shown. The
            image nearest to the center of the group comes first.
    """

    images: tuple[tuple[int, ...], ...]

    @property
    def positions(self) -> set[int]:
        """Positions of all images of the group."""
        return {position for duplicates in self.images for position in duplicates}


def group_similar(components: Features, positions: Sequence[int], *, seed: int) -> list[Group]:
    """Return groups of similar images by k-means, the most similar ones first.

    Args:
        components: principal components of all images, float32 [N, d].
        positions: positions of the images to group.
        seed: seed of the first centers.
    """
    from sklearn.cluster import KMeans

    places = np.array(sorted(positions), np.int64)
    if not len(places):
        return []
    count = int(np.clip(len(places) // _GROUP_SIZE, 1, _MAX_GROUPS))
    values = components[places]
    means = KMeans(count, n_init=1, max_iter=50, random_state=seed).fit(values)
    distances = ((values - means.cluster_centers_[means.labels_]) ** 2).sum(axis=1)
    groups = []
    for number in range(count):
        own = np.flatnonzero(means.labels_ == number)
        nearest = own[np.argsort(distances[own], kind="stable")][: 2 * MAX_SHOWN]
        if len(nearest):
            groups.append((float(distances[nearest].mean()), places[nearest]))
    groups.sort(key=lambda group: group[0])
    return [Group(_with_duplicates(components, chosen)[:MAX_SHOWN]) for _, chosen in groups]


def _with_duplicates(components: Features, positions: NDArray[np.int64]) -> tuple[tuple[int, ...], ...]:
    """Return the positions, each together with those of images with nearly equal components."""
    values = components[positions].astype(np.float64)
    values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    equal = values @ values.T >= _MIN_COSINE
    taken: set[int] = set()
    shown = []
    for row, position in enumerate(positions.tolist()):
        if position in taken:
            continue
        duplicates = [
            other for column, other in enumerate(positions.tolist()) if other not in taken and equal[row, column]
        ]
        taken.update(duplicates)
        shown.append((position, *(other for other in duplicates if other != position)))
    return tuple(shown)
