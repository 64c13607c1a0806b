"""Predictions of a run for unlabeled images, and how far these images lie from the run's training images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Split
from saccade.errors import SaccadeError
from saccade.inference.ood_detector import OodDetector
from saccade.inference.predictor import Predictor
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
    predictor = Predictor.from_run(run)
    probabilities = predictor.probabilities_of(images, progress=progress)
    classes = probabilities.argmax(axis=1).astype(np.int64)
    wrong = np.clip(1 - probabilities.max(axis=1).astype(np.float64), 0, 1)
    try:
        detector = OodDetector(run, predictor)
        test = load_run_split(run, "test", progress=progress).images
    except SaccadeError as error:
        # Such as data of the training that is gone: the estimate needs neither.
        return PredictedData(classes, wrong, None, (f"no out-of-distribution share: {error.problem}",))
    of_test = _p_values(detector, test, predictor.probabilities_of(test, progress=progress), progress=progress)
    p_values = _p_values(detector, images, probabilities, progress=progress)
    limit = limit_of(of_test)
    if limit is None:
        reason = "more than 5% of the test split have the smallest possible p-value; it needs more validation images"
        return PredictedData(classes, wrong, None, (f"no out-of-distribution share: {reason}",))
    beyond = p_values <= limit
    order = np.lexsort((np.arange(len(images)), -wrong, p_values))[:NUM_FARTHEST]
    farthest = tuple(images.names[position] for position in order.tolist())
    share = OodShare(float((of_test <= limit).mean()), float(beyond.mean()), int(beyond.sum()), farthest)
    return PredictedData(classes, wrong, share, ())


def limit_of(p_values: NDArray[np.float64]) -> float | None:
    """Return the largest p-value that is not above more than 5% of these; None if the smallest one is too frequent."""
    values, counts = np.unique(p_values, return_counts=True)
    allowed = np.flatnonzero(np.cumsum(counts) <= _TEST_SHARE * len(p_values) + 1e-9)
    return float(values[allowed[-1]]) if len(allowed) else None


def _p_values(
    detector: OodDetector, images: Split, probabilities: NDArray[np.float32], *, progress: bool
) -> NDArray[np.float64]:
    """Return the out-of-distribution p-value of each image, float64 [n]."""
    found = [np.empty(0)]
    with counting("OOD p-values", total=len(images), unit="images", shown=progress) as bar:
        for start in range(0, len(images), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            found.append(detector(images.take(chunk), probabilities[chunk]))
            bar.update(len(found[-1]))
    return np.concatenate(found)
