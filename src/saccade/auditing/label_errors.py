"""Probable label errors and outliers, from out-of-fold probabilities, by confident learning.

Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels" (2021), as cleanlab has it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from saccade.auditing.all_images import AuditedImages
from saccade.auditing.findings import Finding, Severity
from saccade.sanitize import counted

# In any data a classifier doubts a few good labels.
_MANY = 0.01
_MOST_OUTLIERS = 0.005
_DOUBTFUL = 0.25


def label_quality(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """How far each label can be believed: float64 [n], 0 to 1, the most doubtful lowest.

    Args:
        labels: int64 [n].
        probabilities: float32 [n, classes], out of fold.
    """
    from cleanlab.rank import get_label_quality_scores

    return np.asarray(get_label_quality_scores(labels, probabilities, method="normalized_margin"), np.float64)


def label_findings(images: AuditedImages, probabilities: NDArray[np.float32]) -> list[Finding]:
    """The probable label errors, the most doubtful first, each with the class that it more probably shows."""
    from cleanlab.filter import find_label_issues

    labels = images.all.labels
    doubtful = find_label_issues(labels, probabilities, filter_by="confident_learning", n_jobs=1)
    if not doubtful.any():
        return []
    quality = label_quality(labels, probabilities)
    positions = np.flatnonzero(doubtful)[np.argsort(quality[doubtful], kind="stable")]
    proposed = [images.class_names[label] for label in probabilities[positions].argmax(axis=1)]
    groups = [
        [replace(group[0], proposed=name, suggestion="relabel")]
        for group, name in zip(images.alone(positions, quality), proposed, strict=True)
    ]
    severity: Severity = "warning" if len(positions) >= _MANY * len(images) else "note"
    summary = (
        f"{counted(len(positions), 'label')} of {len(images):,} are probably wrong: networks that were not trained "
        "on these images say otherwise"
    )
    fix = "keep, relabel or drop each in audit.html, save fixes.csv, and use it: saccade train DATA --fixes fixes.csv"
    return [Finding("label-errors", severity, summary, fix, groups)]


def outlier_findings(images: AuditedImages, probabilities: NDArray[np.float32]) -> list[Finding]:
    """The images of which the networks can say least: perhaps of no class at all."""
    from cleanlab.outlier import OutOfDistribution

    scores = OutOfDistribution().fit_score(pred_probs=probabilities, labels=images.all.labels, verbose=False)
    scores = np.asarray(scores, np.float64)
    most = int(_MOST_OUTLIERS * len(scores))
    positions = np.argsort(scores, kind="stable")[:most]
    positions = positions[scores[positions] < _DOUBTFUL]
    if not len(positions):
        return []
    summary = f"{counted(len(positions), 'image')} may belong to no class: the networks can't tell which"
    fix = "look at them in audit.html; drop there what belongs to no class, and save fixes.csv"
    return [Finding("outliers", "note", summary, fix, images.alone(positions, scores))]
