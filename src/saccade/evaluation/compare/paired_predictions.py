"""Paired predictions: the predictions of several runs for the same images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saccade.errors import EvaluationError
from saccade.runs.predictions import Predictions
from saccade.runs.run import Run


@dataclass(frozen=True, eq=False)
class PairedPredictions:
    """Predictions of several runs for the n images that all runs predicted.

    Attributes:
        hashes: content hashes of the images, hexadecimal, in the order of the first run.
        labels: true classes, int64 [n].
        probabilities: probabilities from each run, float32 [n, classes].
        num_predicted: number of images that each run predicted, including images that other runs did not predict.
    """

    hashes: tuple[str, ...]
    labels: NDArray[np.int64]
    probabilities: tuple[NDArray[np.float32], ...]
    num_predicted: tuple[int, ...]

    def correct(self, run: int) -> NDArray[np.bool_]:
        """Return the mask of the correct predictions of the run at an index, bool [n]."""
        return np.asarray(self.probabilities[run].argmax(axis=1) == self.labels)


def pair_predictions(runs: Sequence[Run], predictions: Sequence[Predictions]) -> PairedPredictions:
    """Pair the predictions of several runs by the content hashes of the images.

    Args:
        runs: runs, at least one.
        predictions: predictions of each run for its own images.

    Raises:
        EvaluationError: the runs have fewer than two images in common, or different true classes for
            an image.
    """
    positions = [_positions(prediction) for prediction in predictions]
    common = [key for key in positions[0] if all(key in others for others in positions[1:])]
    if len(common) < 2:
        raise EvaluationError(
            "these runs have no predictions for the same images and can't be compared",
            expected="at least two images that all runs predicted",
            found=", ".join(
                f"'{run.name}' {len(prediction.labels):,}" for run, prediction in zip(runs, predictions, strict=True)
            )
            + f" images of '{runs[0].data_name}' and others; {len(common)} in common",
            remedy="name data for all runs with --data DATA",
        )
    rows = [np.array([of_run[key] for key in common]) for of_run in positions]
    labels = predictions[0].labels[rows[0]]
    for run, prediction, row in zip(runs, predictions, rows, strict=True):
        if not np.array_equal(prediction.labels[row], labels):
            raise EvaluationError(
                "the same images have different true classes in the data of the runs",
                found=f"{int((prediction.labels[row] != labels).sum())} such images in '{run.name}'",
                remedy="name the data with the correct classes: --data DATA",
            )
    return PairedPredictions(
        hashes=tuple(content.hex() for content, _ in common),
        labels=labels,
        probabilities=tuple(prediction.probabilities[row] for prediction, row in zip(predictions, rows, strict=True)),
        num_predicted=tuple(len(prediction.labels) for prediction in predictions),
    )


def require_same_classes(runs: Sequence[Run]) -> None:
    """Require that runs have the same classes.

    Raises:
        EvaluationError: a run has other classes than the first run.
    """
    first = runs[0]
    for run in runs[1:]:
        if run.class_names != first.class_names:
            raise EvaluationError(
                "these runs have different classes and can't be compared",
                expected=f"the {len(first.class_names)} classes of '{first.name}': {_first_names(first.class_names)}",
                found=f"the {len(run.class_names)} classes of '{run.name}': {_first_names(run.class_names)}",
                remedy="compare runs that were trained on the same classes",
            )


def _positions(predictions: Predictions) -> dict[tuple[bytes, int], int]:
    """Return the position of each image by content hash and a count, which distinguishes duplicates of an image."""
    counts: Counter[bytes] = Counter()
    positions = {}
    for position, row in enumerate(predictions.hashes):
        content = row.tobytes()
        positions[content, counts[content]] = position
        counts[content] += 1
    return positions


def _first_names(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
