"""Steps of a labeling: what is asked next, when the labels are frozen, and which labels by the model stand."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.errors import DataError
from saccade.labeling.embedded_data import EmbeddedData
from saccade.labeling.labels_file import LabeledImage
from saccade.labeling.learning import ModelLabels, Question, first_questions, learn, next_questions, reduced
from saccade.labeling.promise import Promise, best_sample, kept_labels, smallest_sample
from saccade.labeling.session import NOT_SURE, Session
from saccade.labeling.summary import summarize
from saccade.training.transfer_learning.features import Features

_FIRST = 20  # images of the first round, at least
_ROUND = 0.02  # fraction of the heap that is asked in a round
_MIN_ROUND = 10
_PATIENCE = 4  # rounds without fewer expected answers, after which the learning ends; with this many answers at least:
_LEAST_PATIENCE = 70
_GAIN = 0.003  # fraction of the heap by which the expected answers must fall
_MOST = 0.5  # fraction of the heap that the learning asks at most


@dataclass(frozen=True)
class Labeling:
    """State of a labeling after a step.

    Attributes:
        phase: "learn", "sample" or "threshold" while answers are missing; "done" with all labels.
        num_images: number of images of the heap.
        num_answered: number of images that a person has answered.
        questions: path and reason of each image that a person is to answer next.
        least_answers: smallest number of answers with which any label by the model may stand.
        expected_answers: estimated number of answers in all, no promise; None before the first fit.
        num_by_model: number of labels by the model, when it is done.
        allowed_mistakes: number of wrong images of the sample before which the model's labels stand; None before.
        num_sample: number of images of the sample; None before.
        num_not_sure: number of images that have no label, since the person was not sure.
        summary: method and promise in words, when it is done; else empty.
        notes: messages on how the data was read.
    """

    phase: str
    num_images: int
    num_answered: int
    questions: tuple[tuple[str, str], ...]
    least_answers: int
    expected_answers: float | None
    num_by_model: int
    allowed_mistakes: int | None
    num_sample: int | None
    num_not_sure: int
    summary: str
    notes: tuple[str, ...]


class LabelingSteps:
    """Steps of a labeling: learning, sample, threshold.

    Args:
        found: images of the heap, with their features.
        session: state of the labeling.
        progress: whether to show progress on standard error.
    """

    def __init__(self, found: EmbeddedData, session: Session, *, progress: bool) -> None:
        self._found, self._session, self._progress = found, session, progress
        self._components: Features | None = None

    @property
    def _size(self) -> int:
        return len(self._found.images)

    def go_on(self) -> bool:
        """Do the next step, with an answer to every question; return False where there is none."""
        phase = self._session.setting("phase")
        step = {"learn": self._learn, "sample": self._decide, "threshold": self._end}.get(phase)
        if step is None:
            return False
        step()
        return True

    def _reduced(self) -> Features:
        if self._components is None:
            features = self._found.features(progress=self._progress)
            self._components = reduced(features, seed=self._session.setting("seed"))
        return self._components

    def _rng(self, number: int) -> np.random.Generator:
        return np.random.default_rng([self._session.setting("seed"), self._session.setting("attempt"), number])

    def _learn(self) -> None:
        """Ask the first images; or fit the head, and ask the next ones, or freeze the labels and draw the sample."""
        session, round_number = self._session, self._session.setting("round", 0)
        size = max(_MIN_ROUND, round(_ROUND * self._size))
        session.keep_setting("round", round_number + 1)
        if round_number == 0:
            count = min(self._size, max(_FIRST, size))
            self._ask(first_questions(self._reduced(), count, self._rng(0)), "learn")
            return
        answers = session.answers("learn")
        classes = sorted({answer for answer in answers.values() if answer != NOT_SURE})
        asked = np.array(sorted(answers), np.int64)
        if len(asked) == self._size:
            session.keep_setting("phase", "threshold")  # all images have an answer
            return
        if len(classes) < 2:
            left = self._rng(round_number).permutation(np.setdiff1d(np.arange(self._size), asked))[:size]
            self._ask([Question(int(position), "random") for position in left], "learn")
            return
        model_labels = self._fit(answers, classes)
        left = np.setdiff1d(np.arange(self._size), asked)
        order = left[np.argsort(model_labels.probability_wrong[left], kind="stable")]
        sample, expected = best_sample(
            self._promise(), heap=self._size, probability_wrong=model_labels.probability_wrong[order]
        )
        totals = [*session.setting("expected", []), len(asked) + expected]
        session.keep_setting("expected", totals)
        if _goes_on(totals, self._size) and len(asked) < _MOST * self._size:
            self._ask(next_questions(self._reduced(), model_labels, asked, size, self._rng(round_number)), "learn")
        else:
            self._freeze(order, model_labels, classes, sample)

    def _fit(self, answers: Mapping[int, str], classes: Sequence[str]) -> ModelLabels:
        sure = np.array(sorted(place for place, answer in answers.items() if answer != NOT_SURE), np.int64)
        number = {name: position for position, name in enumerate(classes)}
        labels = np.array([number[answers[int(position)]] for position in sure], np.int64)
        return learn(self._reduced(), sure, labels, classes=len(classes))

    def _promise(self) -> Promise:
        session = self._session
        return Promise(session.setting("max_error"), session.setting("confidence"), session.setting("attempt"))

    def _freeze(self, order: NDArray[np.int64], model_labels: ModelLabels, classes: Sequence[str], sample: int) -> None:
        """Freeze the labels and their order, record their hash, and only then draw the sample."""
        session, attempt = self._session, self._session.setting("attempt")
        labels = [classes[number] for number in model_labels.labels[order].tolist()]
        session.freeze(attempt, order, labels, model_labels.probability_wrong[order])
        session.keep_setting("frozen", {"sha256": _hash_of(session.frozen(attempt)), "sample": sample})
        drawn = self._rng(10**6).permutation(len(order))[:sample]
        probability = sample / len(order)
        questions = [Question(int(order[rank]), "sample", probability) for rank in drawn]
        session.keep_setting("phase", "sample")
        self._ask(questions, "sample")

    def _decide(self) -> None:
        """Find the images whose labels by the model stand, and ask the images after them."""
        session, attempt = self._session, self._session.setting("attempt")
        frozen, answers = session.frozen(attempt), session.answers("sample", attempt)
        if _hash_of(frozen) != session.setting("frozen")["sha256"]:
            raise DataError(f"the labeling in '{session.path}' was changed after it was frozen")
        ranks = np.array([rank for rank, (position, *_) in enumerate(frozen) if position in answers], np.int64)
        wrong = np.array([answers[frozen[rank][0]] != frozen[rank][1] for rank in ranks], np.bool_)
        kept = kept_labels(self._promise(), heap=self._size, left=len(frozen), positions=ranks, wrong=wrong)
        session.keep_setting("kept", {"first": kept.first, "allowed": kept.allowed, "found": int(wrong.sum())})
        session.keep_setting("phase", "threshold")
        after = [position for position, *_ in frozen[kept.first :] if position not in answers]
        self._ask([Question(position, "threshold") for position in after], "threshold")

    def _end(self) -> None:
        self._session.keep_setting("phase", "done")

    def _ask(self, questions: Sequence[Question], phase: str) -> None:
        self._session.ask(questions, attempt=self._session.setting("attempt"), phase=phase)

    def labels(self) -> list[LabeledImage]:
        """Return the label of each image; images of which the person was not sure are left out."""
        session, images = self._session, self._found.images
        answers, asked = session.answers(), session.asked()
        by_model = {
            position: (name, 1 - probability)
            for position, name, probability in session.frozen(session.setting("attempt"))
        }
        labeled = []
        for position, (path, content) in enumerate(zip(images.names, images.hashes, strict=True)):
            probability = asked[position][2] if position in asked else 0.0
            if position not in answers:
                name, confidence = by_model[position]
                sampled = session.setting("frozen")["sample"] / len(by_model)
                labeled.append(LabeledImage(path, name, "model", round(confidence, 6), round(sampled, 6), content))
            elif answers[position] != NOT_SURE:
                labeled.append(LabeledImage(path, answers[position], "person", None, round(probability, 6), content))
        return labeled

    def labeling(self) -> Labeling:
        """Return the state."""
        session = self._session
        asked, answers = session.asked(), session.answers()
        frozen, kept = session.setting("frozen", {}), session.setting("kept", {})
        totals = session.setting("expected", [])
        phase = session.setting("phase")
        names = self._found.images.names
        return Labeling(
            phase=phase,
            num_images=self._size,
            num_answered=len(answers),
            questions=tuple((names[place], asked[place][1]) for place in session.open_questions().values()),
            least_answers=smallest_sample(self._promise(), heap=self._size),
            expected_answers=totals[-1] if totals else None,
            num_by_model=self._size - len(answers) if phase == "done" else 0,
            allowed_mistakes=kept.get("allowed"),
            num_sample=frozen.get("sample"),
            num_not_sure=sum(answer == NOT_SURE for answer in answers.values()),
            summary=summarize(session, self._promise(), self._size) if phase == "done" else "",
            notes=self._found.notes,
        )


def _goes_on(totals: Sequence[float], size: int) -> bool:
    """Return whether the expected number of answers has fallen clearly in one of the last rounds."""
    patience = max(_PATIENCE, round(_LEAST_PATIENCE / max(_MIN_ROUND, _ROUND * size)))
    best, last = np.inf, 0
    for number, total in enumerate(totals):
        if total < best - _GAIN * size:
            best, last = total, number
    return len(totals) - 1 - last < patience


def _hash_of(frozen: Sequence[tuple[Any, ...]]) -> str:
    """Return the SHA-256 of frozen labels in their order."""
    lines = [f"{position}\0{name}\0{probability!r}\n" for position, name, probability in frozen]
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()
