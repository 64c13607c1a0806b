"""Report: the result of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import SplitName, UnreadableImage
from saccade.evaluation.metrics import Metrics, Scores
from saccade.evaluation.two_classes import ThresholdScores, scores_at_threshold
from saccade.runs.records import Calibration


@dataclass(frozen=True)
class Confusion:
    """Number of images of one class that were predicted as another class.

    Attributes:
        true: name of the true class.
        predicted: name of the predicted class.
        num_images: number of images.
    """

    true: str
    predicted: str
    num_images: int


@dataclass(frozen=True, eq=False)
class Report:
    """Result of an evaluation.

    Attributes:
        run: run directory, or path of the model file.
        data_name: short name of the data.
        data_source: name or absolute path of the data.
        data_root: folder to which the names of the images are relative; empty for data that is no folder of images.
        data_fingerprint: hexadecimal hash of the data's contents.
        weights: fingerprint of the run's weights and temperature.
        split: name of the split.
        n: number of scored images; each image is scored exactly once.
        unreadable: unreadable images of the split.
        class_names: names of the classes, in the order of the labels.
        metrics: metrics of the predictions.
        tta_views: number of views per image in test-time augmentation; 1 without test-time augmentation.
        without_tta: metrics without test-time augmentation; None for a run that does not use test-time augmentation.
        temperature: divisor of the logits (temperature scaling); 1 without calibration.
        calibration: origin of the temperature; None if unknown.
        notes: notes for readers of the numbers.
        files: absolute paths of the written files.
        names: n names of the scored images, as in `Split`.
        labels: true classes of the scored images, int64 [n].
        probabilities: predicted probabilities, float32 [n, classes].
        left_out: number of images of other data that were not scored, by the split "train" or "validation" of the run
            that holds identical images.
    """

    run: Path
    data_name: str
    data_source: str
    data_root: str
    data_fingerprint: str
    weights: str
    split: SplitName
    n: int
    unreadable: tuple[UnreadableImage, ...]
    class_names: tuple[str, ...]
    metrics: Metrics
    tta_views: int
    without_tta: Metrics | None
    temperature: float
    calibration: Calibration | None
    notes: tuple[str, ...]
    files: tuple[Path, ...]
    names: Sequence[str]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    left_out: Mapping[SplitName, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        low, high = self.accuracy_interval
        accuracy = f"accuracy {self.accuracy:.2%} (95% interval {low:.2%} to {high:.2%}, n = {self.scored})"
        return f"<Report of {self.run}, {self.split} split of {self.data_name}: {accuracy}>"

    @property
    def total(self) -> int:
        """Number of images in the split, unreadable images included."""
        return self.n + len(self.unreadable)

    @property
    def scored(self) -> str:
        """Number of scored images as text: "360", or "358 of 360" if two images are unreadable."""
        return f"{self.n:,} of {self.total:,}" if self.unreadable else f"{self.n:,}"

    @property
    def accuracy(self) -> float:
        """Fraction of the images whose predicted class is the true class, 0 to 1."""
        return self.metrics.accuracy

    @property
    def accuracy_interval(self) -> tuple[float, float]:
        """95% Wilson interval of the accuracy."""
        return self.metrics.accuracy_interval

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall over the classes that have images, 0 to 1."""
        return self.metrics.balanced_accuracy

    @property
    def top3_accuracy(self) -> float:
        """Fraction of the images whose true class is among the three most probable classes, 0 to 1."""
        return self.metrics.top3_accuracy

    @property
    def log_loss(self) -> float:
        """Mean negative logarithm of the true class's probability, in nats."""
        return self.metrics.log_loss

    @property
    def expected_calibration_error(self) -> float:
        """Mean gap between confidence and accuracy over 15 bins, 0 to 1."""
        return self.metrics.expected_calibration_error

    @property
    def per_class(self) -> dict[str, Scores]:
        """Precision, recall and F1 by class name."""
        return dict(zip(self.class_names, self.metrics.per_class, strict=True))

    @property
    def averages(self) -> dict[str, Scores]:
        """Precision, recall and F1 averaged over the classes: "macro" and "weighted"."""
        return {"macro": self.metrics.macro_average, "weighted": self.metrics.weighted_average}

    @property
    def confusion_matrix(self) -> NDArray[np.int64]:
        """Numbers of images by true class (row) and predicted class (column), int64 [classes, classes]."""
        return self.metrics.confusion_matrix

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Correct predictions, bool [n]."""
        return np.asarray(self.probabilities.argmax(axis=1) == self.labels, np.bool_)

    def at_threshold(self, threshold: float) -> ThresholdScores:
        """Return the confusion of two classes where the second is predicted from a probability on.

        Args:
            threshold: smallest probability of the second class at which this class is predicted, 0 to 1.

        Raises:
            EvaluationError: there are more than two classes.
        """
        return scores_at_threshold(self.labels, self.probabilities, self.class_names, threshold)

    def most_confused(self, limit: int = 5) -> list[Confusion]:
        """Return the most frequent confusions, in descending order."""
        incorrect = self.confusion_matrix.copy()
        np.fill_diagonal(incorrect, 0)
        order = np.argsort(-incorrect, axis=None, kind="stable")[:limit]
        pairs = [divmod(int(cell), len(self.class_names)) for cell in order if incorrect.flat[cell]]
        return [
            Confusion(self.class_names[true], self.class_names[predicted], int(incorrect[true, predicted]))
            for true, predicted in pairs
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as values that JSON can represent."""
        return {
            "run": str(self.run),
            "data": {"name": self.data_name, "source": self.data_source, "fingerprint": self.data_fingerprint},
            "weights": self.weights,
            "split": self.split,
            "n": self.n,
            "total": self.total,
            "accuracy": self.accuracy,
            "accuracy_interval": list(self.accuracy_interval),
            "balanced_accuracy": self.balanced_accuracy,
            "top3_accuracy": self.top3_accuracy,
            "log_loss": self.log_loss,
            "expected_calibration_error": self.expected_calibration_error,
            "temperature": self.temperature,
            "calibrated_on": self.calibration.num_images if self.calibration else None,
            "tta_views": self.tta_views,
            "accuracy_without_tta": self.without_tta.accuracy if self.without_tta else None,
            "accuracy_interval_without_tta": list(self.without_tta.accuracy_interval) if self.without_tta else None,
            "per_class": {name: asdict(scores) for name, scores in self.per_class.items()},
            "averages": {name: asdict(scores) for name, scores in self.averages.items()},
            "class_names": list(self.class_names),
            "confusion_matrix": self.confusion_matrix.tolist(),
            "unreadable": [asdict(image) for image in self.unreadable],
            "left_out": dict(self.left_out),
            "notes": list(self.notes),
            "files": [str(path) for path in self.files],
        }
