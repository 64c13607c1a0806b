"""Report: the most frequent confusions."""

from pathlib import Path

import numpy as np

from saccade.evaluation.metrics import measure
from saccade.evaluation.result import Confusion, Report


def _report(labels, predicted):
    names = ("cat", "deer", "dog")
    probabilities = np.eye(3, dtype=np.float32)[predicted]
    return Report(
        run=Path("/runs/a"),
        data_name="animals",
        data_source="/data/animals",
        data_root="/data/animals",
        data_fingerprint="f",
        weights="w",
        split="test",
        n=len(labels),
        unreadable=(),
        class_names=names,
        tta_views=1,
        without_tta=None,
        temperature=1.0,
        calibration=None,
        metrics=measure(np.array(labels), probabilities),
        notes=(),
        files=(),
        names=[str(number) for number in range(len(labels))],
        labels=np.array(labels),
        probabilities=probabilities,
    )


def test_the_most_frequent_confusion_is_first():
    report = _report([0, 0, 0, 1, 1, 2], [2, 2, 0, 0, 1, 2])

    assert report.most_confused() == [Confusion("cat", "dog", 2), Confusion("deer", "cat", 1)]
    assert report.most_confused(1) == [Confusion("cat", "dog", 2)]


def test_perfect_predictions_have_no_confusions():
    assert _report([0, 1, 2], [0, 1, 2]).most_confused() == []
