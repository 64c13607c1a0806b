"""Outliers by features: images that are far from all other images.

The score is the mean distance to the k nearest neighbors: F. Angiulli, C. Pizzuti, "Fast outlier detection in high
dimensional spaces", PKDD 2002.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saccade.auditing.all_images import AuditedImages
from saccade.auditing.findings import Finding
from saccade.auditing.neighbors import nearest_neighbors
from saccade.sanitize import counted, plural
from saccade.training.transfer_learning.features import Features, unit_features

# Chosen by benchmarks/feature_audit.py.
_NEIGHBORS = 20
_LIMIT = 3.0  # standard deviations above the median distance
_NORMAL_TENTH = 1.2816  # standard deviations between the median and the 90th percentile of a normal distribution


def neighbor_distances(features: Features) -> NDArray[np.float32]:
    """Return the mean cosine distance of each image to its 20 nearest neighbors, float32 [n].

    Args:
        features: features, float32 [n, d], n at least 2.
    """
    count = min(_NEIGHBORS, len(features) - 1)
    _, similarities = nearest_neighbors(unit_features(features), count)
    return np.asarray(1 - similarities.mean(axis=1), np.float32)


def outlier_limit(distances: NDArray[np.float32]) -> float:
    """Return the largest usual distance: three standard deviations above the median.

    The distance from the median to the 90th percentile stands for the standard deviation, so that outliers have no
    influence as long as they are less than a tenth of the images.
    """
    median, tenth = np.quantile(distances, [0.5, 0.9])
    return float(median + _LIMIT * (tenth - median) / _NORMAL_TENTH)


def feature_outlier_findings(images: AuditedImages, features: Features) -> list[Finding]:
    """Return a finding on images that are far from all other images, the farthest first."""
    if len(images) <= _NEIGHBORS:
        return []
    distances = neighbor_distances(features)
    order = np.argsort(-distances, kind="stable")
    positions = order[distances[order] > outlier_limit(distances)]
    if not len(positions):
        return []
    summary = (
        f"{counted(len(positions), 'image')} may not belong to the data: by {plural(len(positions), 'its', 'their')} "
        "features far less similar to other images than is usual here"
    )
    fix = "look at the images in audit.html, drop images that do not belong to the data, and save fixes.csv"
    return [Finding("outliers", "note", summary, fix, images.singletons(positions, distances))]
