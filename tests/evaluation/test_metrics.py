"""Metrics against cases computed by hand, scikit-learn, SciPy and float64 arithmetic."""

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import binomtest
from sklearn.metrics import balanced_accuracy_score, classification_report, top_k_accuracy_score

from saccade.evaluation.metrics import (
    expected_calibration_error,
    measure,
    reliability_bins,
    top_k_accuracy,
)
from saccade.evaluation.wilson_interval import wilson_interval


def _random_case(n=400, classes=6, seed=0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, n)
    logits = random.normal(size=(n, classes)) + 1.5 * np.eye(classes)[labels]
    return labels, softmax(logits, axis=1).astype(np.float32)


@pytest.mark.parametrize(("correct", "n"), [(0, 1), (1, 1), (0, 7), (7, 7), (1, 10), (37, 50), (9310, 10_000)])
def test_the_wilson_interval_is_that_of_scipy(correct, n):
    expected = binomtest(correct, n).proportion_ci(confidence_level=0.95, method="wilson")

    low, high = wilson_interval(correct, n)

    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= low <= correct / n <= high <= 1


def test_the_ends_of_the_wilson_interval_are_exact_for_all_or_no_successes():
    assert wilson_interval(0, 13)[0] == 0.0
    assert wilson_interval(13, 13)[1] == 1.0


def test_metrics_of_a_case_computed_by_hand():
    labels = np.array([0, 0, 1, 1, 1, 2])
    predicted = np.array([0, 1, 1, 1, 0, 2])
    probabilities = np.where(np.eye(3)[predicted] == 1, 0.8, 0.1).astype(np.float32)

    metrics = measure(labels, probabilities)

    assert metrics.accuracy == pytest.approx(4 / 6)
    assert metrics.balanced_accuracy == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)
    assert metrics.top3_accuracy == 1.0
    assert metrics.log_loss == pytest.approx(-(4 * np.log(0.8) + 2 * np.log(0.1)) / 6, abs=1e-6)
    assert metrics.expected_calibration_error == pytest.approx(0.8 - 4 / 6, abs=1e-6)
    assert metrics.confusion_matrix.tolist() == [[1, 1, 0], [1, 2, 0], [0, 0, 1]]
    assert metrics.confusion_matrix.dtype == np.int64
    assert [scores.precision for scores in metrics.per_class] == pytest.approx([1 / 2, 2 / 3, 1])
    assert [scores.recall for scores in metrics.per_class] == pytest.approx([1 / 2, 2 / 3, 1])
    assert [scores.f1 for scores in metrics.per_class] == pytest.approx([1 / 2, 2 / 3, 1])
    assert [scores.num_images for scores in metrics.per_class] == [2, 3, 1]
    assert metrics.macro_average.f1 == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)
    assert metrics.weighted_average.f1 == pytest.approx((2 * 1 / 2 + 3 * 2 / 3 + 1) / 6)


def test_the_averages_are_those_of_scikit_learn():
    labels, probabilities = _random_case()
    predicted = probabilities.argmax(axis=1)
    reference = classification_report(labels, predicted, output_dict=True)

    metrics = measure(labels, probabilities)

    for ours, theirs in ((metrics.macro_average, "macro avg"), (metrics.weighted_average, "weighted avg")):
        assert ours.precision == pytest.approx(reference[theirs]["precision"])
        assert ours.recall == pytest.approx(reference[theirs]["recall"])
        assert ours.f1 == pytest.approx(reference[theirs]["f1-score"])
        assert ours.num_images == len(labels)
    assert metrics.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert metrics.top3_accuracy == pytest.approx(top_k_accuracy_score(labels, probabilities, k=3))


def test_the_log_loss_is_that_of_float64_arithmetic():
    labels, probabilities = _random_case(classes=100)
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)

    expected = -np.log(exact[np.arange(len(labels)), labels]).mean()

    assert measure(labels, probabilities).log_loss == pytest.approx(expected, rel=1e-12)


def test_the_log_loss_of_a_certain_error_is_finite():
    probabilities = np.array([[1, 0], [0, 1]], np.float32)

    metrics = measure(np.array([1, 0]), probabilities)

    assert 30 < metrics.log_loss < 40
    assert metrics.accuracy == 0.0
    assert metrics.expected_calibration_error == 1.0


def test_metrics_of_perfect_predictions():
    labels = np.array([0, 1, 2, 1])

    metrics = measure(labels, np.eye(3, dtype=np.float32)[labels])

    assert metrics.accuracy == metrics.balanced_accuracy == metrics.macro_average.f1 == 1.0
    assert metrics.accuracy_interval[1] == 1.0
    assert metrics.log_loss == pytest.approx(0, abs=1e-12)
    assert metrics.expected_calibration_error == 0.0


def test_a_class_without_images_is_in_no_average():
    labels = np.array([0, 0, 2, 2])
    predicted = np.array([0, 0, 2, 1])

    metrics = measure(labels, np.eye(4, dtype=np.float32)[predicted])

    assert metrics.balanced_accuracy == metrics.macro_average.recall == pytest.approx((1 + 1 / 2) / 2)
    assert metrics.macro_average.precision == 1.0
    assert [scores.num_images for scores in metrics.per_class] == [2, 0, 2, 0]
    assert metrics.per_class[1].recall == metrics.per_class[3].precision == 0.0
    assert metrics.confusion_matrix.shape == (4, 4)
    assert metrics.confusion_matrix[2, 1] == 1


def test_metrics_of_one_image():
    metrics = measure(np.array([1]), np.array([[0.4, 0.6]], np.float32))

    assert metrics.accuracy == metrics.top3_accuracy == 1.0
    assert metrics.confusion_matrix.tolist() == [[0, 0], [0, 1]]


def test_on_a_tie_the_first_class_is_predicted_and_ranked_first():
    labels = np.array([0, 1, 2, 3, 4])
    probabilities = np.full((5, 5), 0.2)

    metrics = measure(labels, probabilities)

    assert metrics.accuracy == 1 / 5
    assert metrics.confusion_matrix[:, 0].tolist() == [1] * 5
    assert [top_k_accuracy(labels, probabilities, k) for k in (1, 2, 3, 9)] == [1 / 5, 2 / 5, 3 / 5, 1.0]


def test_the_expected_calibration_error_of_a_case_computed_by_hand():
    confidences = np.array([0.35, 0.36, 0.95, 0.95])
    correct = np.array([True, False, True, True])

    gap = abs((0.35 + 0.36) / 2 - 1 / 2) * 2 / 4 + (1 - 0.95) * 2 / 4

    assert expected_calibration_error(confidences, correct) == pytest.approx(gap)


def test_bins_of_confidence_include_their_upper_edge():
    # 6/15 is in the sixth bin and the next larger number in the seventh bin, so that the gaps do not cancel.
    edge = 6 / 15
    confidences = np.array([edge, np.nextafter(edge, 1)])

    assert expected_calibration_error(confidences, np.array([True, False])) == pytest.approx((0.6 + 0.4) / 2)
    assert expected_calibration_error(np.full(2, edge), np.array([True, False])) == pytest.approx(0.1)


def test_a_confidence_of_1_is_in_the_last_bin():
    assert expected_calibration_error(np.array([1.0, 0.99]), np.array([True, True])) == pytest.approx(0.005)


def test_reliability_bins_have_mean_confidence_accuracy_and_wilson_interval():
    confidences = np.repeat([0.55, 0.94, 0.96], [20, 10, 10])
    correct = np.concatenate([np.arange(20) < 5, np.arange(20) < 19])

    first, second = reliability_bins(confidences, correct)

    assert (first[0], second[0]) == pytest.approx((0.55, 0.95))
    assert first[1:] == (0.25, wilson_interval(5, 20))
    assert second[1:] == (0.95, wilson_interval(19, 20))
