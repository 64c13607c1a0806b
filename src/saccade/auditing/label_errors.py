"""Label errors and outliers, from out-of-fold probabilities, by confident learning.

Source: C. Northcutt, L. Jiang, I. Chuang, "Confident learning: estimating uncertainty in dataset labels", JAIR 70
(2021), in the implementation of cleanlab.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from saccade.auditing.all_images import AuditedImages
from saccade.auditing.findings import Finding, Severity
from saccade.sanitize import counted

# Below this fraction the finding is a note: confident learning also finds a few correct labels.
_WARNING_FRACTION = 0.01
_MAX_OUTLIER_FRACTION = 0.005
_MAX_OUTLIER_SCORE = 0.25


def label_quality(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute the label quality scores (normalized margin), float64 [n], 0 to 1; low for probable label errors.

    Args:
        labels: labels, int64 [n].
        probabilities: out-of-fold probabilities, float32 [n, classes].
    """
    from cleanlab.rank import get_label_quality_scores

    return np.asarray(get_label_quality_scores(labels, probabilities, method="normalized_margin"), np.float64)


def label_findings(images: AuditedImages, probabilities: NDArray[np.float32]) -> list[Finding]:
    """Return a finding on probable label errors, in ascending label quality, with proposed classes."""
    from cleanlab.filter import find_label_issues

    labels = images.all.labels
    errors = find_label_issues(labels, probabilities, filter_by="confident_learning", n_jobs=1)
    if not errors.any():
        return []
    quality = label_quality(labels, probabilities)
    positions = np.flatnonzero(errors)[np.argsort(quality[errors], kind="stable")]
    proposed = [images.class_names[label] for label in probabilities[positions].argmax(axis=1)]
    groups = [
        [replace(group[0], proposed=name, suggestion="relabel")]
        for group, name in zip(images.singletons(positions, quality), proposed, strict=True)
    ]
    severity: Severity = "warning" if len(positions) >= _WARNING_FRACTION * len(images) else "note"
    summary = (
        f"{counted(len(positions), 'label')} of {len(images):,} are probably incorrect: networks that were trained "
        "without these images predict other classes"
    )
    fix = "keep, relabel or drop each image in audit.html, and use fixes.csv: saccade train DATA --fixes fixes.csv"
    return [Finding("label-errors", severity, summary, fix, groups)]


def outlier_findings(images: AuditedImages, probabilities: NDArray[np.float32]) -> list[Finding]:
    """Return a finding on outliers: images that may belong to no class."""
    from cleanlab.outlier import OutOfDistribution

    scores = OutOfDistribution().fit_score(pred_probs=probabilities, labels=images.all.labels, verbose=False)
    scores = np.asarray(scores, np.float64)
    limit = int(_MAX_OUTLIER_FRACTION * len(scores))
    positions = np.argsort(scores, kind="stable")[:limit]
    positions = positions[scores[positions] < _MAX_OUTLIER_SCORE]
    if not len(positions):
        return []
    summary = f"{counted(len(positions), 'image')} may belong to no class: the out-of-fold predictions are uncertain"
    fix = "look at the images in audit.html, drop images that belong to no class, and save fixes.csv"
    return [Finding("outliers", "note", summary, fix, images.singletons(positions, scores))]
