"""Predictions of a run for unlabeled images, and how far these images lie from the run's training images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Split, slices_of
from saccade.errors import SaccadeError
from saccade.inference.classifier import load_classifier, load_ood_detector
from saccade.inference.ood_detector import OodDetector
from saccade.progress import counting
from saccade.runs.run import Run
from saccade.runs.run_split import load_run_split

NUM_FARTHEST = 20
"""Number of images that are listed as the farthest ones."""

_TEST_SHARE = 0.05  # of the test split, beyond the limit
_CHUNK = 250  # images whose pixels are in memory at once


@dataclass(frozen=True)
class OodShare:
    """Out-of-distribution share of images, by a limit for the p-value that few images of the test split are below.

    Attributes:
        test_share: fraction of the images of the run's test split that lie beyond the limit, at most 0.05.
        share: fraction of the images that lie beyond the limit, 0 to 1.
        num_beyond: number of images that lie beyond the limit.
        farthest: names of the images with the smallest p-values, the smallest first, at most `NUM_FARTHEST`.
    """

    test_share: float
    share: float
    num_beyond: int
    farthest: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class PredictedData:
    """Predictions of a run for images.

    Attributes:
        classes: predicted class of each image, int64 [n].
        probability_wrong: 1 - confidence of each prediction, 0 to 1, float64 [n].
        ood: out-of-distribution share; None where it can't be computed.
        notes: reasons why it can't be computed.
    """

    classes: NDArray[np.int64]
    probability_wrong: NDArray[np.float64]
    ood: OodShare | None
    notes: tuple[str, ...]


def predict_data(run: Run, images: Split, *, progress: bool = False) -> PredictedData:
    """Predict the classes of images, and compute their out-of-distribution share.

    Args:
        run: run that predicts.
        images: images with the run's preprocessing.
        progress: whether to show progress on standard error.

    Raises:
        RunError: the run has no weights, or they are damaged.
    """
    try:
        test = load_run_split(run, "test", progress=progress).images
        detector = load_ood_detector(run, len(test) + len(images))
    except SaccadeError as error:
        # Such as data of the training that is gone: the estimate needs neither.
        probabilities = load_classifier(run, len(images)).probabilities_of(images, progress=progress)
        return PredictedData(
            *_of_probabilities(probabilities), None, (f"no out-of-distribution share: {error.problem}",)
        )
    _, of_test = _scores(detector, test, progress=progress)
    probabilities, p_values = _scores(detector, images, progress=progress)
    classes, wrong = _of_probabilities(probabilities)
    limit = limit_of(of_test)
    if limit is None:
        reason = "more than 5% of the test split have the smallest possible p-value; it needs more validation images"
        return PredictedData(classes, wrong, None, (f"no out-of-distribution share: {reason}",))
    beyond = p_values <= limit
    order = np.lexsort((np.arange(len(images)), -wrong, p_values))[:NUM_FARTHEST]
    farthest = tuple(images.names[position] for position in order.tolist())
    share = OodShare(float((of_test <= limit).mean()), float(beyond.mean()), int(beyond.sum()), farthest)
    return PredictedData(classes, wrong, share, ())


def _of_probabilities(probabilities: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return predicted classes, int64 [n], and 1 - confidence, float64 [n]."""
    wrong = np.clip(1 - probabilities.max(axis=1).astype(np.float64), 0, 1)
    return probabilities.argmax(axis=1).astype(np.int64), wrong


def limit_of(p_values: NDArray[np.float64]) -> float | None:
    """Return the largest p-value that is not above more than 5% of these; None if the smallest one is too frequent."""
    values, counts = np.unique(p_values, return_counts=True)
    allowed = np.flatnonzero(np.cumsum(counts) <= _TEST_SHARE * len(p_values) + 1e-9)
    return float(values[allowed[-1]]) if len(allowed) else None


def _scores(detector: OodDetector, images: Split, *, progress: bool) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return class probabilities, float32 [n, classes], and OOD p-values, float64 [n]."""
    chunks = []
    with counting("scoring", total=len(images), unit="images", shown=progress) as bar:
        for pixels in images.batches(slices_of(len(images), _CHUNK)):
            chunks.append(detector(pixels))
            bar.update(len(pixels))
    probabilities, p_values = zip(*chunks, strict=True)
    return np.concatenate(probabilities), np.concatenate(p_values)
