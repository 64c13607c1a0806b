"""The answers of several runs to the same images, side by side."""

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
    """What each of several runs said of the images that all of them answered.

    Attributes:
        hashes: content hashes, hexadecimal, in the first run's order.
        labels: the true classes, int64 [n].
        probabilities: of each run, float32 [n, classes].
        predicted: images that each run answered, those that others did not included.
    """

    hashes: tuple[str, ...]
    labels: NDArray[np.int64]
    probabilities: tuple[NDArray[np.float32], ...]
    predicted: tuple[int, ...]

    def correct(self, run: int) -> NDArray[np.bool_]:
        """Which images a run, by its place, was right on, bool [n]; the first class on a tie, as everywhere."""
        return np.asarray(self.probabilities[run].argmax(axis=1) == self.labels)


def pair_predictions(runs: Sequence[Run], predictions: Sequence[Predictions]) -> PairedPredictions:
    """Pairs answers image by image, by the images' contents.

    Args:
        runs: at least one.
        predictions: of each, to its own images.

    Raises:
        EvaluationError: the runs have other classes, no two images in common, or other true classes for an image.
    """
    _require_same_classes(runs)
    places = [_places(prediction) for prediction in predictions]
    common = [key for key in places[0] if all(key in others for others in places[1:])]
    if len(common) < 2:
        raise EvaluationError(
            "these runs have not answered the same images, so that they can't be compared",
            expected="at least two images that all of them answered",
            found=", ".join(
                f"'{run.name}' {len(prediction.labels):,}" for run, prediction in zip(runs, predictions, strict=True)
            )
            + f" images of '{runs[0].data_name}' and others; {len(common)} in common",
            remedy="name data that all of them can answer: --data DATA",
        )
    rows = [np.array([place[key] for key in common]) for place in places]
    labels = predictions[0].labels[rows[0]]
    for run, prediction, row in zip(runs, predictions, rows, strict=True):
        if not np.array_equal(prediction.labels[row], labels):
            raise EvaluationError(
                "the same images have other true classes in the runs' data",
                found=f"{int((prediction.labels[row] != labels).sum())} such images in '{run.name}'",
                remedy="name the data whose classes are right: --data DATA",
            )
    return PairedPredictions(
        hashes=tuple(image.hex() for image, _ in common),
        labels=labels,
        probabilities=tuple(prediction.probabilities[row] for prediction, row in zip(predictions, rows, strict=True)),
        predicted=tuple(len(prediction.labels) for prediction in predictions),
    )


def _require_same_classes(runs: Sequence[Run]) -> None:
    first = runs[0]
    for run in runs[1:]:
        if run.class_names != first.class_names:
            raise EvaluationError(
                "these runs know other classes, so that their answers can't be compared",
                expected=f"the {len(first.class_names)} classes of '{first.name}': {_few(first.class_names)}",
                found=f"the {len(run.class_names)} classes of '{run.name}': {_few(run.class_names)}",
                remedy="compare runs that were trained on the same classes",
            )


def _places(predictions: Predictions) -> dict[tuple[bytes, int], int]:
    """Where each image stands. An image that stands there twice is told from itself by a count."""
    seen: Counter[bytes] = Counter()
    places = {}
    for place, row in enumerate(predictions.hashes):
        image = row.tobytes()
        places[image, seen[image]] = place
        seen[image] += 1
    return places


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
