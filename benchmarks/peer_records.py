"""Predictions of the methods of `photo_peers.py`: the files that keep them, and paired differences of accuracies."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.atomic_io import write_json
from saccade.errors import SaccadeError

_QUANTILE = 1.959964  # of the normal distribution, for 95% intervals


@dataclass(frozen=True)
class Task:
    """A training to measure.

    Attributes:
        data: name of the data set.
        minutes: time budget, in minutes.
        method: "saccade", or name of the peer.
        number: seed of the training, or number of the draw of the test split.
    """

    data: str
    minutes: float
    method: str
    number: int

    def path(self, work: Path) -> Path:
        """Return the file that keeps the record of this task."""
        return work / "records" / self.data / f"{self.minutes:g}-minutes" / f"{self.method}-{self.number}.json"


@dataclass(frozen=True)
class Record:
    """A finished training and its predictions for the n test images.

    Attributes:
        seconds: wall-clock time from the start of the process to the end of the training.
        class_names: names of the classes.
        names: paths of the test images below the folder "test"; the folder of each is its class.
        groups: duplicate group of each test image.
        probabilities: predicted probabilities of each test image, [n, classes].
        processor: processor of the machine.
        notes: remarks on the training, such as its number of epochs.
        packages: versions of the packages of the environment, by name.
    """

    seconds: float
    class_names: tuple[str, ...]
    names: tuple[str, ...]
    groups: tuple[int, ...]
    probabilities: tuple[tuple[float, ...], ...]
    processor: str
    notes: dict[str, Any] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)

    @property
    def labels(self) -> NDArray[np.int64]:
        """True class of each test image, int64 [n]."""
        return np.array([self.class_names.index(name.partition("/")[0]) for name in self.names])

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each prediction is correct, bool [n]."""
        correct: NDArray[np.bool_] = np.array(self.probabilities).argmax(axis=1) == self.labels
        return correct

    @property
    def log_loss(self) -> float:
        """Mean negative log-probability of the true classes, in nats, with probabilities of at least 1e-7."""
        true = np.array(self.probabilities)[np.arange(len(self.names)), self.labels]
        return float(-np.log(np.maximum(true, 1e-7)).mean())

    def write(self, path: Path) -> None:
        """Write the record whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> Record | None:
        """Read a record; None if the task has none yet."""
        if not path.exists():
            return None
        values = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{name: _frozen(value) for name, value in values.items()})


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


@dataclass(frozen=True)
class PairedDifference:
    """Difference of two accuracies on the same test images, second minus first, -1 to 1, with its 95% interval."""

    difference: float
    low: float
    high: float

    @property
    def note(self) -> str:
        """The difference and its interval as a note for a result."""
        return f"mean {self.difference:+.4f}, 95% {self.low:+.4f} to {self.high:+.4f}"


def paired_difference(first: Sequence[Record], second: Sequence[Record]) -> PairedDifference:
    """Compare the accuracies of two methods, each the mean over the same trials.

    The interval is that of the normal approximation over images: the variance of the difference of correctness, with
    all images of a duplicate group, in all trials, as one cluster. It holds for other test images, and for the
    trainings that took place; the variance between seeds is not added.

    Args:
        first: records of one method, one for each trial.
        second: records of the other method, of the same trials in the same order.

    Raises:
        SaccadeError: the records are not of the same test images.
    """
    differences, weights, groups = [], [], []
    for one, other in zip(first, second, strict=True):
        positions = {name: position for position, name in enumerate(other.names)}
        if set(positions) != set(one.names):
            raise SaccadeError("two methods predicted different test images", remedy="remove their records")
        order = [positions[name] for name in one.names]
        differences.append(other.correct[order].astype(float) - one.correct)
        weights.append(np.full(len(one.names), 1 / len(one.names) / len(first)))
        groups.append(one.groups)
    difference, error = clustered_mean(np.concatenate(differences), np.concatenate(weights), np.concatenate(groups))
    half = _QUANTILE * error
    return PairedDifference(difference, difference - half, difference + half)


def clustered_mean(
    values: NDArray[np.floating[Any]], weights: NDArray[np.floating[Any]], groups: NDArray[np.integer[Any]]
) -> tuple[float, float]:
    """Return the weighted mean of n values, and its standard error, with the values of a group as one cluster.

    Args:
        values: values, float [n].
        weights: weights, float [n], of sum 1.
        groups: group of each value, int [n].
    """
    mean = float(values @ weights)
    _, clusters = np.unique(groups, return_inverse=True)
    sums = np.bincount(clusters, weights * (values - mean))
    return mean, math.sqrt(len(sums) / (len(sums) - 1) * float(sums @ sums))
