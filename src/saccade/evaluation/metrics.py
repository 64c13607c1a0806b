"""Metrics of a classifier, computed from labels and probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support

from saccade.evaluation.wilson_interval import wilson_interval

CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Scores:
    """Precision, recall and F1 of one class, or averaged over classes.

    Attributes:
        precision: fraction of correct predictions among the predictions of the class, 0 to 1; 0 without predictions.
        recall: fraction of correct predictions among the images of the class, 0 to 1; 0 without images.
        f1: harmonic mean of precision and recall, 0 to 1.
        num_images: number of images of the class; for an average, number of all images.
    """

    precision: float
    recall: float
    f1: float
    num_images: int


@dataclass(frozen=True, eq=False)
class Metrics:
    """Metrics of an evaluation.

    The predicted class is the class with the largest probability; on a tie, the first of these classes.

    Attributes:
        accuracy: fraction of the images whose predicted class is the true class, 0 to 1.
        accuracy_interval: 95% Wilson interval of the accuracy.
        balanced_accuracy: mean recall over the classes that have images, 0 to 1.
        top3_accuracy: fraction of the images whose true class is among the three most probable classes, 0 to 1.
        log_loss: mean negative natural logarithm of the true class's probability, in nats; probabilities are clipped
            at 2e-16, as in scikit-learn.
        expected_calibration_error: mean gap between confidence and accuracy over 15 bins of confidence, 0 to 1.
        per_class: scores of each class, in the order of the labels.
        macro_average: mean scores over the classes that have images.
        weighted_average: mean scores over the classes, weighted by their numbers of images.
        confusion_matrix: numbers of images by true class (row) and predicted class (column), int64 [classes, classes].
    """

    accuracy: float
    accuracy_interval: tuple[float, float]
    balanced_accuracy: float
    top3_accuracy: float
    log_loss: float
    expected_calibration_error: float
    per_class: tuple[Scores, ...]
    macro_average: Scores
    weighted_average: Scores
    confusion_matrix: NDArray[np.int64]


def measure(labels: NDArray[np.int64], probabilities: NDArray[np.floating]) -> Metrics:
    """Compute the metrics of predicted probabilities.

    Args:
        labels: true classes, int64 [n], each in [0, classes); n at least 1. Classes without an image are allowed.
        probabilities: float [n, classes], finite, not negative; each row sums to 1 up to rounding.
    """
    # The sums of float32 rows differ from 1 by about 1e-6, and scikit-learn warns of the difference.
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    classes = np.arange(exact.shape[1])
    predicted = exact.argmax(axis=1)
    correct = predicted == labels
    present = np.unique(labels)
    macro = _averaged_scores(labels, predicted, present, "macro")
    return Metrics(
        accuracy=float(correct.mean()),
        accuracy_interval=wilson_interval(int(correct.sum()), len(labels)),
        balanced_accuracy=macro.recall,
        top3_accuracy=top_k_accuracy(labels, exact, 3),
        log_loss=float(log_loss(labels, exact, labels=classes)),
        expected_calibration_error=expected_calibration_error(exact.max(axis=1), correct),
        per_class=_scores_per_class(labels, predicted, classes),
        macro_average=macro,
        weighted_average=_averaged_scores(labels, predicted, present, "weighted"),
        confusion_matrix=confusion_matrix(labels, predicted, labels=classes).astype(np.int64),
    )


def top_k_accuracy(labels: NDArray[np.int64], probabilities: NDArray[np.float64], k: int) -> float:
    """Compute the top-k accuracy: the fraction of images whose true class is among the k most probable classes.

    On a tie the first class has the higher rank. (In scikit-learn the last class has the higher rank, so that
    scikit-learn's top-1 accuracy can be lower than the accuracy.)

    Args:
        labels: true classes, int64 [n].
        probabilities: float64 [n, classes]. The result is 1 for k classes or fewer.
        k: number of classes.
    """
    ranked = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float((ranked == labels[:, None]).any(axis=1).mean())


def expected_calibration_error(confidences: NDArray[np.float64], correct: NDArray[np.bool_]) -> float:
    """Compute the expected calibration error (ECE).

    The ECE is the mean gap between confidence and accuracy over bins of confidence, weighted by numbers of images.

    Source: C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On calibration of modern neural networks", ICML 2017: 15 bins
    of equal width, each open below and closed above.

    Args:
        confidences: probabilities of the predicted classes, float64 [n].
        correct: correct predictions, bool [n].
    """
    gaps = np.bincount(_calibration_bins(confidences), weights=confidences - correct)
    return float(np.abs(gaps).sum() / len(confidences))


def reliability_bins(
    confidences: NDArray[np.floating], correct: NDArray[np.bool_]
) -> list[tuple[float, float, tuple[float, float]]]:
    """Compute the points of a reliability diagram, one for each bin that has images.

    Args:
        confidences: probabilities of the predicted classes, float [n].
        correct: correct predictions, bool [n].

    Returns:
        For each bin: mean confidence, accuracy, and the 95% Wilson interval of the accuracy.
    """
    bins = _calibration_bins(confidences)
    members = [bins == number for number in np.unique(bins)]
    return [
        (
            float(confidences[member].mean()),
            float(correct[member].mean()),
            wilson_interval(int(correct[member].sum()), int(member.sum())),
        )
        for member in members
    ]


def _calibration_bins(confidences: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return the number of each confidence's bin, from 0."""
    inner_edges = np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS
    return np.asarray(np.digitize(confidences, inner_edges, right=True), np.intp)


def _scores_per_class(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: NDArray[np.int64]
) -> tuple[Scores, ...]:
    columns = precision_recall_fscore_support(labels, predicted, labels=classes, zero_division=0)
    return tuple(
        Scores(float(precision), float(recall), float(f1), int(images))
        for precision, recall, f1, images in zip(*columns, strict=True)
    )


def _averaged_scores(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], present: NDArray[np.int64], average: str
) -> Scores:
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, predicted, labels=present, average=average, zero_division=0
    )
    return Scores(float(precision), float(recall), float(f1), len(labels))
