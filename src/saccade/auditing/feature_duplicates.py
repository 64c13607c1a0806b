"""Near-duplicates by features: crops, rotated copies, and shots of one scene, which perceptual hashes do not find.

Neighbors by whitened features are candidates: images of one class are similar in the first principal components of the
features, and duplicates are similar in all. H. Jegou, O. Chum, "Negative evidences and co-occurences in image
retrieval: the benefit of PCA and whitening", ECCV 2012. The pixels of a candidate decide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from saccade.auditing.all_images import AuditedImages
from saccade.auditing.duplicates import groups_of
from saccade.auditing.findings import Finding
from saccade.auditing.neighbors import nearest_neighbors
from saccade.data.decoding.fit import content_boxes
from saccade.data.near_duplicates.aligned_correlation import aligned_correlations
from saccade.data.near_duplicates.near_duplicates import Duplicates
from saccade.progress import counting
from saccade.sanitize import counted
from saccade.training.transfer_learning.features import Features, unit_features

_COMPONENTS = 256
_IMAGES_PER_COMPONENT = 4
_NEIGHBORS = 5
_MIN_SIMILARITY = 0.2
# Chosen by benchmarks/feature_audit.py: a pair counts if its pixels agree, or if pixels and features agree less.
_MIN_CORRELATION = 0.85
_MIN_BOTH = (0.75, 0.7)  # correlation and similarity


@dataclass(frozen=True)
class SimilarPairs:
    """Pairs of images with similar features that hashes do not find.

    Attributes:
        pairs: positions of the images, int64 [pairs, 2].
        similarities: cosine similarity of the whitened features of each pair, float32 [pairs].
        correlations: highest correlation of the details of each pair, float32 [pairs], as of `aligned_correlations`.
    """

    pairs: NDArray[np.int64]
    similarities: NDArray[np.float32]
    correlations: NDArray[np.float32]

    @property
    def are_duplicates(self) -> NDArray[np.bool_]:
        """Whether each pair is probably one of near-duplicates, bool [pairs]."""
        correlation, similarity = _MIN_BOTH
        both = (self.correlations >= correlation) & (self.similarities >= similarity)
        return np.asarray((self.correlations >= _MIN_CORRELATION) | both)


def similar_pairs(
    images: AuditedImages, duplicates: Duplicates, features: Features, *, progress: bool = False
) -> SimilarPairs:
    """Compare the pixels of images with similar features; of duplicates that hashes found, one image takes part.

    Args:
        images: images of all splits.
        duplicates: duplicates that hashes found.
        features: features of the images, float32 [n, d].
        progress: show progress on stderr.
    """
    _, first = np.unique(duplicates.near, return_index=True)
    first.sort()
    count = min(_NEIGHBORS, len(first) - 1)
    if count < 1:
        return SimilarPairs(np.zeros((0, 2), np.int64), np.zeros(0, np.float32), np.zeros(0, np.float32))
    neighbors, similarities = nearest_neighbors(whitened(features[first]), count)
    likely = similarities >= _MIN_SIMILARITY
    both = np.column_stack([np.nonzero(likely)[0], neighbors[likely]])
    pairs, index = np.unique(np.sort(both, axis=1), axis=0, return_index=True)
    pairs = first[pairs]
    boxes = content_boxes(images.all.sizes, images.preprocessing)
    with counting("comparing", total=len(pairs), unit="pairs", shown=progress) as bar:
        correlations = aligned_correlations(images.all.store, images.all.rows, pairs, boxes=boxes, progress=bar)
    return SimilarPairs(pairs, similarities[likely][index], correlations)


def whitened(features: Features) -> Features:
    """Return the principal components of features, each with variance 1, as unit vectors, float32 [n, k]."""
    centered = features - features.mean(axis=0, dtype=np.float64)
    variances, directions = np.linalg.eigh(centered.T @ centered)
    count = max(1, min(_COMPONENTS, (len(features) - 1) // _IMAGES_PER_COMPONENT, features.shape[1]))
    largest = np.maximum(variances[::-1][:count], np.finfo(np.float32).tiny)
    return unit_features(np.asarray(centered @ (directions[:, ::-1][:, :count] / np.sqrt(largest)), np.float32))


def feature_duplicate_findings(images: AuditedImages, similar: SimilarPairs) -> list[Finding]:
    """Return a finding on groups of possible near-duplicates, those in more than one split first."""
    found = similar.are_duplicates
    pairs, correlations = similar.pairs[found], similar.correlations[found]
    if not len(pairs):
        return []
    best = np.zeros(len(images), np.float32)
    np.maximum.at(best, pairs, correlations[:, None])
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(len(images), len(images)))
    _, component = connected_components(graph, directed=False)
    groups = [
        [images.image(member, score=round(float(best[member]), 4)) for member in members]
        for members in groups_of(component.astype(np.int64))
    ]
    leaks, conflicts = (
        sum(len({getattr(image, attribute) for image in group}) > 1 for group in groups)
        for attribute in ("split", "class_name")
    )
    groups.sort(key=lambda group: len({image.split for image in group}) == 1)
    summary = (
        f"{counted(len(groups), 'group')} of possible near-duplicates, such as crops, rotated copies or shots of one "
        f"scene, {leaks:,} of them in more than one split and {conflicts:,} with different labels: candidates by "
        "features and pixels, not certain"
    )
    fix = "look at each group in audit.html, drop duplicates, and save fixes.csv"
    return [Finding("possible-near-duplicates", "note", summary, fix, groups)]
