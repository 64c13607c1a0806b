"""How good probabilities are: every number of a report, from labels and probabilities alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support

CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Scores:
    """Precision, recall and F1 of one class, or averaged over classes.

    Attributes:
        precision: right ones among the images taken for the class, 0 to 1; 0 if it was never predicted.
        recall: right ones among the images of the class, 0 to 1; 0 if there are none.
        f1: harmonic mean of precision and recall, 0 to 1.
        num_images: number of images of the class; for an average, of all classes.
    """

    precision: float
    recall: float
    f1: float
    num_images: int


@dataclass(frozen=True, eq=False)
class Metrics:
    """The numbers of an evaluation. What a class means by "predicted" is the largest probability, the first on a tie.

    Attributes:
        accuracy: part of the images whose predicted class is the true one, 0 to 1.
        accuracy_interval: 95% Wilson interval of the accuracy.
        balanced_accuracy: mean recall over the classes that have images, 0 to 1.
        top3_accuracy: part of the images whose true class is among the three most probable, 0 to 1.
        log_loss: mean negative natural logarithm of the true class's probability, in nats; one below 2e-16 counts as
            that, as in scikit-learn.
        expected_calibration_error: mean gap between confidence and accuracy over 15 bins of confidence, 0 to 1.
        per_class: the scores of each class, in the order of the labels.
        macro_average: mean scores over the classes that have images.
        weighted_average: mean scores over the classes, weighted by their numbers of images.
        confusion_matrix: int64 [classes, classes]: images by true class (row) and predicted class (column).
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
    """Measures probabilities against the truth.

    Args:
        labels: int64 [n], each in [0, classes); n at least 1. Classes without an image are allowed.
        probabilities: float [n, classes], finite, not negative, rows summing to 1 up to rounding.
    """
    # float32 rows sum to 1 only to about 1e-6, at which scikit-learn warns.
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


def wilson_interval(correct: float, n: float) -> tuple[float, float]:
    """The 95% score interval of a proportion, which stays inside [0, 1] and holds for small n.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).

    Args:
        correct: successes, 0 to n.
        n: trials, more than 0; parts of one where trials are worth less than independent ones.

    Returns:
        The lower and the upper end.
    """
    z = 1.959963984540054  # the 97.5% point of the normal distribution
    p = correct / n
    center = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # At 0 and at n successes the ends are exactly 0 and 1, which rounding misses.
    return (0.0 if correct == 0 else center - half), (1.0 if correct == n else center + half)


def top_k_accuracy(labels: NDArray[np.int64], probabilities: NDArray[np.float64], k: int) -> float:
    """The part of the images whose true class is among the k most probable; on a tie the first class comes first.

    Not scikit-learn's: that puts the last class first on a tie, so that its top-k accuracy can be below the accuracy.

    Args:
        labels: int64 [n].
        probabilities: float64 [n, classes]. With k classes or fewer the answer is 1.
        k: number of classes that count.
    """
    ranked = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float((ranked == labels[:, None]).any(axis=1).mean())


def expected_calibration_error(confidences: NDArray[np.float64], correct: NDArray[np.bool_]) -> float:
    """The gap between confidence and accuracy, averaged over bins of confidence weighted by their images.

    Source: C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On calibration of modern neural networks", ICML 2017: 15 bins
    of equal width, each open below and closed above.

    Args:
        confidences: float64 [n]: the probability of the predicted class.
        correct: bool [n]: whether the prediction is right.
    """
    inner_edges = np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS
    bins = np.digitize(confidences, inner_edges, right=True)
    gaps = np.bincount(bins, weights=confidences - correct)
    return float(np.abs(gaps).sum() / len(confidences))


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
