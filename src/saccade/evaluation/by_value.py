"""Accuracy for each value of a column of a label file, such as the camera, and which values differ beyond chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import fisher_exact

from saccade.data.load import column_values
from saccade.data.reading_options import ReadingOptions
from saccade.data.sources.label_files.label_file import absolute_path
from saccade.evaluation.multiple_comparisons import holm
from saccade.evaluation.result import Report
from saccade.evaluation.wilson_interval import wilson_interval

LEVEL = 0.05


@dataclass(frozen=True)
class ValueScore:
    """Accuracy on the images with one value of a column.

    Attributes:
        value: value of the column; "" for images without a value.
        n: number of images.
        num_correct: number of correct predictions.
        accuracy: fraction of correct predictions, 0 to 1.
        accuracy_interval: 95% Wilson interval of the accuracy.
        others_accuracy: accuracy on all other images; None if there are none.
        adjusted_p: p-value of the difference to the other images, by Fisher's exact test, adjusted for the number of
            values by Holm's method; 1 if there are no other images.
        differs: whether the accuracy differs beyond chance: `adjusted_p` is below 0.05.
    """

    value: str
    n: int
    num_correct: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    others_accuracy: float | None
    adjusted_p: float
    differs: bool


def score_by_value(values: Sequence[str], correct: NDArray[np.bool_]) -> tuple[ValueScore, ...]:
    """Compute the accuracy for each value, and compare it with the accuracy on all other images.

    The probability that any value is found to differ where none does is at most 5%.

    Sources: R. A. Fisher, "On the interpretation of chi-squared from contingency tables, and the calculation of P",
    Journal of the Royal Statistical Society 85 (1922); S. Holm, as for `holm`.

    Args:
        values: n values, one for each image.
        correct: correct predictions, bool [n].

    Returns:
        Scores in the order of the values.
    """
    column = np.asarray(values, dtype=np.str_)
    names = sorted(set(values))
    counts = [(int((column == name).sum()), int(correct[column == name].sum())) for name in names]
    total, total_correct = len(column), int(correct.sum())
    p_values = [_p_value(n, hits, total - n, total_correct - hits) for n, hits in counts]
    adjusted = holm(p_values)
    return tuple(
        ValueScore(
            value=name,
            n=n,
            num_correct=hits,
            accuracy=hits / n,
            accuracy_interval=wilson_interval(hits, n),
            others_accuracy=(total_correct - hits) / (total - n) if total > n else None,
            adjusted_p=p,
            differs=p < LEVEL,
        )
        for name, (n, hits), p in zip(names, counts, adjusted, strict=True)
    )


def score_by_column(report: Report, column: str, reading: ReadingOptions | None = None) -> tuple[ValueScore, ...]:
    """Compute the accuracy for each value of a column of the label file that names the images of a report.

    Args:
        report: report of an evaluation on images that a label file names.
        column: name of the column.
        reading: options with which the data was read; None: the default options.

    Raises:
        DataError: the data has no label file, or the label file has no such column.
    """
    values = column_values(report.data_source, column, reading)
    paths = [absolute_path(report.data_root, name) for name in report.names]
    return score_by_value([values.get(path, "") for path in paths], report.correct)


def _p_value(n: int, correct: int, other_n: int, other_correct: int) -> float:
    """Return the two-sided p-value of Fisher's exact test; 1 without other images."""
    if not other_n:
        return 1.0
    return float(fisher_exact([[correct, n - correct], [other_correct, other_n - other_correct]]).pvalue)
