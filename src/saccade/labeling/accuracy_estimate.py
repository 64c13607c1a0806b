"""Accuracy of a run on a heap of images, as estimated from the answers of a labeling session, with words for it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saccade.labeling.predicted_data import OodShare
from saccade.labeling.session import WITHOUT_LABEL, FrozenLabel, Session
from saccade.labeling.stratified_sample import Interval, interval_of_wrong
from saccade.runs.records import EvaluationRecord
from saccade.runs.run import Run
from saccade.sanitize import counted

MIN_ANSWERS = 20
"""Smallest number of answers for images of a predicted class for which a precision is estimated."""

_CONFIDENCE_OF_TEST = 0.95  # of the interval of the test accuracy that a run records


@dataclass(frozen=True)
class ClassPrecision:
    """Precision of a predicted class: the fraction of the images with this prediction that are of the class.

    Attributes:
        class_name: name of the class.
        num_images: number of images with this prediction.
        num_answered: number of answers for them.
        precision: estimate, 0 to 1; None with fewer than `MIN_ANSWERS` answers.
        interval: interval of the precision; None with fewer than `MIN_ANSWERS` answers.
    """

    class_name: str
    num_images: int
    num_answered: int
    precision: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class AccuracyEstimate:
    """Accuracy of a run on a heap of images, estimated from answers.

    Attributes:
        phase: "sample" while answers are missing, else "done".
        num_images: number of images of the heap.
        num_asked: number of images of the sample.
        num_answered: number of answers.
        questions: path and reason of each image that a person is to answer.
        mean_confidence: mean confidence of the predictions, 0 to 1: the accuracy that the run itself expects.
        confidence: confidence of the intervals, 0 to 1.
        accuracy: estimate, 0 to 1; None while answers are missing.
        interval: interval of the accuracy on exactly these images; None while answers are missing.
        num_incorrect: number of incorrect predictions in the sample; None while answers are missing.
        num_without_label: number of answers "not sure" or "none of the classes", each of which counts as an error.
        test_accuracy: accuracy on the test split, as `evaluate` recorded it; None without a record.
        test_interval: 95% interval of the test accuracy; None without a record.
        classes: precision of each predicted class, in the order of the run; empty while answers are missing.
        ood: out-of-distribution share; None where it can't be computed.
        comparison: comparison with the test accuracy in words; "" while answers are missing.
        summary: method and result in words for a report; "" while answers are missing.
        notes: messages on data and answers.
    """

    phase: str
    num_images: int
    num_asked: int
    num_answered: int
    questions: tuple[tuple[str, str], ...]
    mean_confidence: float
    confidence: float
    accuracy: float | None
    interval: tuple[float, float] | None
    num_incorrect: int | None
    num_without_label: int
    test_accuracy: float | None
    test_interval: tuple[float, float] | None
    classes: tuple[ClassPrecision, ...]
    ood: OodShare | None
    comparison: str
    summary: str
    notes: tuple[str, ...]


class _Answered:
    """Answers of a session beside the predictions and strata of all images."""

    def __init__(self, session: Session) -> None:
        self._frozen: list[FrozenLabel] = session.frozen(1)
        self._answers: Mapping[int, str] = session.answers()
        self._stratum = np.array(session.setting("strata"), np.int64)
        self._predicted = np.array([label.label for label in self._frozen])
        self._places = np.array(sorted(self._answers), np.int64)
        self.wrong = np.array([self._answers[place] != self._predicted[place] for place in self._places.tolist()], bool)

    @property
    def mean_confidence(self) -> float:
        return 1 - math.fsum(label.probability_wrong for label in self._frozen) / len(self._frozen)

    def accuracy(self, confidence: float, class_name: str | None = None) -> tuple[int, int, Interval | None]:
        """Return the numbers of images and of answers, and the accuracy, of the images with a prediction, or of all."""
        chosen: NDArray[np.bool_] = np.ones(len(self._stratum), bool)
        if class_name is not None:
            chosen = self._predicted == class_name
        count = int(self._stratum.max()) + 1
        answered = chosen[self._places]
        sizes = np.bincount(self._stratum[chosen], minlength=count)
        samples = np.bincount(self._stratum[self._places[answered]], minlength=count)
        wrong = np.bincount(self._stratum[self._places[answered & self.wrong]], minlength=count)
        total = int(samples.sum())
        if total < (MIN_ANSWERS if class_name is not None else 1):
            return int(sizes.sum()), total, None
        filled = sizes > 0
        found = interval_of_wrong(sizes[filled], samples[filled], wrong[filled], confidence)
        return int(sizes.sum()), total, Interval(1 - found.estimate, 1 - found.high, 1 - found.low)


def estimate_of(session: Session, run: Run, names: Sequence[str], notes: tuple[str, ...]) -> AccuracyEstimate:
    """Return the estimate of a session, or its state while answers are missing.

    Args:
        session: state of the estimate.
        run: run that predicted the images.
        names: name of each image.
        notes: messages on the data.
    """
    answered, answers = _Answered(session), session.answers()
    asked, open_questions = session.asked(), session.open_questions()
    confidence = float(session.setting("sample")["confidence"])
    record, kept = run.evaluation(), session.setting("ood")
    accuracy = None if open_questions else answered.accuracy(confidence)[2]
    comparison = summary = ""
    classes: tuple[ClassPrecision, ...] = ()
    if accuracy is not None:
        classes = tuple(_precision(answered, name, confidence) for name in run.class_names)
        comparison = compare_with_test(answered.accuracy(_CONFIDENCE_OF_TEST)[2] or accuracy, record)
        summary = _summarize(session, run, accuracy, int(answered.wrong.sum()))
    return AccuracyEstimate(
        phase="sample" if accuracy is None else "done",
        num_images=len(names),
        num_asked=len(asked),
        num_answered=len(answers),
        questions=tuple((names[place], asked[place][1]) for place in open_questions.values()),
        mean_confidence=answered.mean_confidence,
        confidence=confidence,
        accuracy=None if accuracy is None else accuracy.estimate,
        interval=None if accuracy is None else (accuracy.low, accuracy.high),
        num_incorrect=None if accuracy is None else int(answered.wrong.sum()),
        num_without_label=sum(answer in WITHOUT_LABEL for answer in answers.values()),
        test_accuracy=None if record is None else record.accuracy,
        test_interval=None if record is None else record.accuracy_interval,
        classes=classes,
        ood=None if kept is None else OodShare(**{**kept, "farthest": tuple(kept["farthest"])}),
        comparison=comparison,
        summary=summary,
        notes=(*notes, *session.setting("notes"), *_notes_on_answers(answers, run)),
    )


def _precision(answered: _Answered, class_name: str, confidence: float) -> ClassPrecision:
    num_images, num_answered, found = answered.accuracy(confidence, class_name)
    if found is None:
        return ClassPrecision(class_name, num_images, num_answered, None, None)
    return ClassPrecision(class_name, num_images, num_answered, found.estimate, (found.low, found.high))


def difference_interval(first: Interval, second: Interval) -> tuple[float, float]:
    """Return the interval of the difference of two independent fractions, first - second.

    Source: R. G. Newcombe, "Interval estimation for the difference between independent proportions: comparison of
    eleven methods", Statistics in Medicine 17 (1998), method 10, with any intervals of the two fractions, as G. Y. Zou
    and A. Donner, "Construction of confidence limits about effect measures: a general approach", Statistics in
    Medicine 27 (2008).
    """
    difference = first.estimate - second.estimate
    below = math.hypot(first.estimate - first.low, second.high - second.estimate)
    above = math.hypot(first.high - first.estimate, second.estimate - second.low)
    return difference - below, difference + above


def compare_with_test(accuracy: Interval, record: EvaluationRecord | None) -> str:
    """Return the comparison with the test accuracy in words, at a confidence of 95%.

    Args:
        accuracy: estimate on a heap, with its 95% interval.
        record: record of the evaluation on the test split; None without one.
    """
    if record is None:
        return "The run has no test accuracy to compare with: saccade evaluate measures it."
    test = Interval(record.accuracy, *record.accuracy_interval)
    low, high = (100 * end for end in difference_interval(accuracy, test))
    points = 100 * abs(accuracy.estimate - test.estimate)
    of_test = f"the test accuracy of {test.estimate:.1%} ({test.low:.1%} to {test.high:.1%}, n = {record.n:,})"
    if high < 0:
        return f"Lower than {of_test} by {points:.1f} points (95% interval {-high:.1f} to {-low:.1f})."
    if low > 0:
        return f"Higher than {of_test} by {points:.1f} points (95% interval {low:.1f} to {high:.1f})."
    return (
        f"Not distinguishable from {of_test}: the difference lies between {max(0.0, -low):.1f} points lower and "
        f"{max(0.0, high):.1f} points higher."
    )


def _summarize(session: Session, run: Run, accuracy: Interval, num_incorrect: int) -> str:
    answers, sample, heap = session.answers(), session.setting("sample"), len(session.hashes())
    if len(answers) == heap:
        correct = f"{heap - num_incorrect:,} of them, {accuracy.estimate:.1%}"
        return f"A person labeled all {counted(heap, 'image')}; the run '{run.name}' is correct on {correct}."
    strata = len(set(session.setting("strata")))
    kind = f"random sample from {strata} strata of the run's confidence" if strata > 1 else "uniform random sample"
    interval = f"{100 * sample['confidence']:.4g}% interval {accuracy.low:.1%} to {accuracy.high:.1%}"
    method = "stratified estimate, hypergeometric tail probabilities" if strata > 1 else "exact hypergeometric interval"
    return (
        f"On exactly these {counted(heap, 'image')} the accuracy of the run '{run.name}' is estimated as "
        f"{accuracy.estimate:.1%} ({interval}). A person labeled {counted(len(answers), 'image')}, a {kind} with seed "
        f"{sample['seed']}, of which {num_incorrect:,} were predicted incorrectly ({method})."
    )


def _notes_on_answers(answers: Mapping[int, str], run: Run) -> list[str]:
    """Return a note on answers that are no class of the run, since a typing error would count as an error."""
    others = Counter(answer for answer in answers.values() if answer not in (*WITHOUT_LABEL, *run.class_names))
    if not others:
        return []
    listed = ", ".join(f"'{name}' ({count:,})" for name, count in others.most_common(5))
    more = f" and {len(others) - 5:,} other names" if len(others) > 5 else ""
    return [f"these answers are no class of the run, and each counts as an error of the run: {listed}{more}"]
