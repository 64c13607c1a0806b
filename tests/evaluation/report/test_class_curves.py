import numpy as np
import pytest
from sklearn.metrics import auc, average_precision_score, roc_auc_score

from saccade.evaluation.report.class_curves import class_curves


def scored(classes, n=200):
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, n)
    scores = rng.random((n, classes)) + np.eye(classes)[labels]
    return labels, scores / scores.sum(axis=1, keepdims=True)


def test_the_areas_are_those_of_scikit_learn_over_all_classes():
    labels, probabilities = scored(4)
    precision_recall, roc = class_curves(labels, probabilities, tuple("abcd"))
    assert [curve.class_name for curve in roc] == list("abcd")
    one_hot = np.eye(4)[labels]
    assert [curve.area for curve in roc] == pytest.approx(roc_auc_score(one_hot, probabilities, average=None))
    areas = average_precision_score(one_hot, probabilities, average=None)
    assert [curve.area for curve in precision_recall] == pytest.approx(areas)
    for curve in roc:
        assert auc(curve.x, curve.y) == pytest.approx(curve.area)


def test_two_classes_have_the_curves_of_the_second():
    labels, probabilities = scored(2)
    precision_recall, roc = class_curves(labels, probabilities, ("healthy", "ill"))
    assert [curve.class_name for curve in (*precision_recall, *roc)] == ["ill", "ill"]


def test_a_class_without_images_has_no_curve():
    labels, probabilities = scored(3)
    labels[labels == 1] = 0
    precision_recall, roc = class_curves(labels, probabilities, tuple("abc"))
    assert [curve.class_name for curve in roc] == [curve.class_name for curve in precision_recall] == ["a", "c"]
    labels[:] = 2
    assert class_curves(labels, probabilities, tuple("abc")) == ([], [])
