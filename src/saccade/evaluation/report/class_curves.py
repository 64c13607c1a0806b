"""Precision-recall and ROC curves of each class against all others, by scikit-learn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from saccade.plotting.curve_plots import ClassCurve


def class_curves(
    labels: NDArray[np.int64], probabilities: NDArray[np.floating], class_names: tuple[str, ...]
) -> tuple[list[ClassCurve], list[ClassCurve]]:
    """Compute the precision-recall curve and the ROC curve of each class that has images, and is not the only one.

    Of two classes, only the curves of the second are computed: those of the first hold the same information.

    Args:
        labels: true classes, int64 [n].
        probabilities: float [n, classes].
        class_names: names of the classes.

    Returns:
        Precision-recall curves and ROC curves.
    """
    classes = range(1, 2) if len(class_names) == 2 else range(len(class_names))
    precision_recall, roc = [], []
    for label in classes:
        is_class, scores = labels == label, probabilities[:, label]
        if not is_class.any() or is_class.all():
            continue
        precision, recall, _ = precision_recall_curve(is_class, scores)
        area = float(average_precision_score(is_class, scores))
        precision_recall.append(ClassCurve(class_names[label], recall, precision, area))
        false_positives, true_positives, _ = roc_curve(is_class, scores)
        auc = float(roc_auc_score(is_class, scores))
        roc.append(ClassCurve(class_names[label], false_positives, true_positives, auc))
    return precision_recall, roc
