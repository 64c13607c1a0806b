import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, recall_score

from saccade.errors import EvaluationError
from saccade.evaluation.two_classes import scores_at_threshold
from saccade.evaluation.wilson_interval import wilson_interval


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_the_confusion_at_a_threshold_is_that_of_scikit_learn(threshold):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    positive = np.round(np.clip(0.3 * labels + 0.7 * rng.random(300), 0, 1), 1)  # ties with the threshold
    scores = scores_at_threshold(labels, np.stack([1 - positive, positive], axis=1), ("healthy", "ill"), threshold)
    predicted = (positive >= threshold).astype(int)
    matrix = confusion_matrix(labels, predicted, labels=[0, 1])
    assert [[scores.true_negatives, scores.false_positives], [scores.false_negatives, scores.true_positives]] == (
        matrix.tolist()
    )
    assert scores.sensitivity == pytest.approx(recall_score(labels, predicted))
    assert scores.specificity == pytest.approx(recall_score(labels, predicted, pos_label=0))
    assert scores.sensitivity_interval == wilson_interval(scores.true_positives, int(labels.sum()))
    assert (scores.positive, scores.negative) == ("ill", "healthy")


def test_a_class_without_images_has_no_rate():
    scores = scores_at_threshold(np.zeros(3, np.int64), np.array([[0.2, 0.8]] * 3), ("a", "b"), 0.5)
    assert (scores.sensitivity, scores.sensitivity_interval, scores.specificity) == (None, None, 0.0)


def test_three_classes_are_an_error():
    with pytest.raises(EvaluationError, match="separates two classes only"):
        scores_at_threshold(np.zeros(1, np.int64), np.ones((1, 3)) / 3, ("a", "b", "c"), 0.5)
