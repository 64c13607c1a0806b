"""Steps of a labeling: what is asked next, when the labels are frozen, and which labels by the model stand."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saccade.errors import DataError
from saccade.labeling.agreement import Agreement, agreement_of, repeated_images
from saccade.labeling.embedded_data import EmbeddedData
from saccade.labeling.labels_file import LabeledImage
from saccade.labeling.learning import ModelLabels, Question, first_questions, learn, next_questions, reduced
from saccade.labeling.promise import Kept, Promise, best_sample, kept_labels, smallest_sample
from saccade.labeling.session import MEANTIME, WITHOUT_LABEL, FrozenLabel, Session
from saccade.labeling.summary import summarize
from saccade.training.transfer_learning.features import Features

_FIRST = 20  # images of the first round, at least
_ROUND = 0.02  # fraction of the heap that is asked in a round
_MIN_ROUND = 10
_PATIENCE = 4  # rounds without fewer expected answers, after which the learning ends; with this many answers at least:
_LEAST_PATIENCE = 70
_GAIN = 0.003  # fraction of the heap by which the expected answers must fall
_MOST = 0.5  # fraction of the heap that the learning asks at most
_REPEATED = 50  # images of the sample that are asked a second time
# A further attempt is made if fewer answers than this fraction of the missing ones are expected of it.
_WORTH = 0.7
_MAX_ATTEMPTS = 4


@dataclass(frozen=True)
class Labeling:
    """State of a labeling after a step.

    Attributes:
        phase: "learn", "sample" or "threshold" while answers are missing; "done" with all labels.
        attempt: number of the attempt to keep the promise, from 1.
        num_images: number of images of the heap.
        num_answered: number of images that a person has answered.
        questions: path and reason of each image that a person is to answer next.
        least_answers: smallest number of answers with which any label by the model may stand.
        expected_answers: estimated number of answers in all, no promise; None before the first fit.
        num_in_groups: number of labels that a person gave to several images at once, when it is done.
        num_by_model: number of labels by the model, when it is done.
        allowed_mistakes: number of wrong images of the sample before which the model's labels stand; None before.
        num_sample: number of images of the sample; None before.
        num_without_label: number of images that have no label, since the person was not sure or no class fits.
        self_agreement: agreement of answers of one person for the same images; None without such answers.
        agreement: agreement of two persons; None without such answers.
        summary: method and promise in words, when it is done; else empty.
        notes: messages on how the data was read.
    """

    phase: str
    attempt: int
    num_images: int
    num_answered: int
    questions: tuple[tuple[str, str], ...]
    least_answers: int
    expected_answers: float | None
    num_in_groups: int
    num_by_model: int
    allowed_mistakes: int | None
    num_sample: int | None
    num_without_label: int
    self_agreement: Agreement | None
    agreement: Agreement | None
    summary: str
    notes: tuple[str, ...]


class LabelingSteps:
    """Steps of a labeling: learning, sample, threshold.

    Args:
        found: images of the heap, with their features.
        session: state of the labeling.
        repeats: whether images of the sample are asked a second time. A file of answers would only repeat itself.
        progress: whether to show progress on standard error.
        components: result of `components` of other steps of the same images; None computes it when it is needed.
    """

    def __init__(
        self,
        found: EmbeddedData,
        session: Session,
        *,
        repeats: bool,
        progress: bool,
        components: Features | None = None,
    ) -> None:
        self._found, self._session, self._repeats, self._progress = found, session, repeats, progress
        self._components = components

    @property
    def _size(self) -> int:
        return len(self._found.images)

    @property
    def _attempt(self) -> int:
        return int(self._session.setting("attempt"))

    def go_on(self) -> bool:
        """Do the next step, with an answer to every question; return False where there is none."""
        phase = self._session.setting("phase")
        step = {"learn": self._learn, "sample": self._after_sample, "threshold": self._decide}.get(phase)
        if step is None:
            return False
        step()
        return True

    def components(self) -> Features:
        """Return the principal components of the features of all images, float32 [n, d]."""
        if self._components is None:
            features = self._found.features(progress=self._progress)
            self._components = reduced(features, seed=self._session.setting("seed"))
        return self._components

    def _rng(self, number: int) -> np.random.Generator:
        return np.random.default_rng([self._session.setting("seed"), self._attempt, number])

    def _learn(self) -> None:
        """Ask the first images; or fit the head, and ask the next ones, or freeze the labels and draw the sample."""
        session, round_number = self._session, self._session.setting("round", 0)
        size = max(_MIN_ROUND, round(_ROUND * self._size))
        answers = session.answers()
        groups = {place: name for place, name in session.group_labels().items() if place not in answers}
        classes = sorted({*answers.values(), *groups.values()} - set(WITHOUT_LABEL))
        asked = np.array(sorted(answers), np.int64)
        left = np.setdiff1d(np.arange(self._size), asked)
        if not len(left):
            session.keep_setting("phase", "threshold")  # all images have an answer
            return
        if len(classes) < 2:
            drawn = self._rng(round_number).permutation(left)[:size]
            questions = [Question(int(position), "random") for position in drawn]
            if round_number == 0:
                found = first_questions(self.components(), min(self._size, max(_FIRST, size)), self._rng(0))
                questions = [question for question in found if question.position not in answers] or questions
            with session.transaction():
                session.keep_setting("round", round_number + 1)
                self._ask(questions, "learn")
            return
        model_labels = self._fit(answers, groups, classes)
        order = left[np.argsort(model_labels.probability_wrong[left], kind="stable")]
        sample, expected = best_sample(
            self._promise(), heap=self._size, probability_wrong=model_labels.probability_wrong[order]
        )
        totals = [*session.setting("expected", []), len(asked) + expected]
        goes_on = _goes_on(totals, self._size) and len(asked) < _MOST * self._size
        chosen: list[Question] = []
        if goes_on and not session.setting("freeze_at_once", False):
            known = np.union1d(asked, np.array(list(groups), np.int64))
            chosen = next_questions(self.components(), model_labels, known, size, self._rng(round_number))
        with session.transaction():
            session.keep_setting("round", round_number + 1)
            session.keep_setting("expected", totals)
            if chosen:
                taken = session.asked()  # random images may have been asked during the fit
                self._ask([question for question in chosen if question.position not in taken], "learn")
            else:
                self._freeze(order, model_labels, classes, groups, sample)

    def _fit(self, answers: Mapping[int, str], groups: Mapping[int, str], classes: Sequence[str]) -> ModelLabels:
        """Return the labels of all images by a head on the answers; images of a group have the label of the group."""
        known = {place: name for place, name in {**groups, **answers}.items() if name not in WITHOUT_LABEL}
        places = np.array(sorted(known), np.int64)
        number = {name: position for position, name in enumerate(classes)}
        labels = np.array([number[known[int(place)]] for place in places], np.int64)
        model_labels = learn(self.components(), places, labels, classes=len(classes))
        for place, name in groups.items():
            if model_labels.labels[place] != number[name]:
                model_labels.labels[place] = number[name]
                model_labels.probability_wrong[place] = 1 - model_labels.probability_wrong[place]
        return model_labels

    def _promise(self, attempt: int | None = None) -> Promise:
        session = self._session
        number = self._attempt if attempt is None else attempt
        return Promise(session.setting("max_error"), session.setting("confidence"), number)

    def _freeze(
        self,
        order: NDArray[np.int64],
        model_labels: ModelLabels,
        classes: Sequence[str],
        groups: Mapping[int, str],
        sample: int,
    ) -> None:
        """Freeze the labels and their order, record their hash, and only then draw the sample."""
        session, attempt = self._session, self._attempt
        session.close_open_questions()
        session.freeze(
            attempt,
            [
                FrozenLabel(
                    place,
                    classes[int(model_labels.labels[place])],
                    float(model_labels.probability_wrong[place]),
                    "group" if place in groups else "model",
                )
                for place in order.tolist()
            ],
        )
        session.keep_setting("frozen", {"sha256": _hash_of(session.frozen(attempt)), "sample": sample})
        drawn = self._rng(10**6).permutation(len(order))[:sample]
        probability = sample / len(order)
        questions = [Question(int(order[rank]), "sample", probability) for rank in drawn]
        session.keep_setting("phase", "sample")
        self._ask(questions, "sample")

    def _after_sample(self) -> None:
        """Ask images of the sample a second time, and those with two different answers once more; then decide."""
        session, attempt = self._session, self._attempt
        if self._repeats and attempt == 1 and not session.questions("repeat", attempt):
            sample = session.questions("sample", attempt)
            chosen = self._rng(10**6 + 1).permutation(len(sample))[:_REPEATED]
            self._ask([Question(sample[number], "repeat") for number in chosen], "repeat")
            if len(chosen):
                return
        compared = set(session.questions("compare", attempt))
        different = [image.first.position for image in repeated_images(session) if not image.is_equal]
        missing = [position for position in different if position not in compared]
        if missing:
            self._ask([Question(position, "compare") for position in missing], "compare")
            return
        self._decide()

    def num_repeats_later(self) -> int:
        """Return the number of images of the sample that will be asked a second time, but are not asked yet."""
        session, attempt = self._session, self._attempt
        if not self._repeats or attempt > 1 or session.questions("repeat", attempt):
            return 0
        return min(_REPEATED, len(session.questions("sample", attempt)))

    def _decide(self) -> None:
        """Find the images whose frozen labels stand, and ask the images after them, or begin another attempt."""
        session, answers = self._session, self._session.answers()
        missing: list[int] = []
        if session.setting("frozen") is not None:
            frozen = session.frozen(self._attempt)
            kept = self._kept(frozen)
            missing = [label.position for label in frozen[kept.first :] if label.position not in answers]
            if session.setting("phase") == "sample" and self._is_worth_another_attempt(len(missing)):
                self.begin_attempt(freeze_at_once=True)
                return
        with session.transaction():
            session.keep_setting("phase", "threshold" if missing else "done")
            self._ask([Question(position, "threshold") for position in missing], "threshold")
            if not missing:
                session.close_open_questions(also_claimed=True)  # those of a fit, for which nobody waits

    def _kept(self, frozen: Sequence[FrozenLabel]) -> Kept:
        """Return how many of the frozen labels stand, and keep it.

        Raises:
            DataError: the frozen labels were changed.
        """
        session, answers = self._session, self._session.answers("sample", self._attempt)
        if _hash_of(frozen) != session.setting("frozen")["sha256"]:
            raise DataError(f"the labeling in '{session.path}' was changed after it was frozen")
        ranks = np.array([rank for rank, label in enumerate(frozen) if label.position in answers], np.int64)
        wrong = np.array([answers[frozen[rank].position] != frozen[rank].label for rank in ranks], np.bool_)
        kept = kept_labels(self._promise(), heap=self._size, left=len(frozen), positions=ranks, wrong=wrong)
        session.keep_setting("kept", {"first": kept.first, "allowed": kept.allowed, "found": int(wrong.sum())})
        return kept

    def _is_worth_another_attempt(self, missing: int) -> bool:
        """Return whether a fit to all answers, and a fresh sample, are expected to need far fewer answers."""
        session, answers = self._session, self._session.answers()
        classes = sorted(set(answers.values()) - set(WITHOUT_LABEL))
        if not missing or self._attempt == _MAX_ATTEMPTS or len(classes) < 2:
            return False
        groups = {place: name for place, name in session.group_labels().items() if place not in answers}
        fitted = self._fit(answers, groups, sorted({*classes, *groups.values()}))
        left = np.setdiff1d(np.arange(self._size), np.array(sorted(answers), np.int64))
        promise = self._promise(self._attempt + 1)
        _, expected = best_sample(promise, heap=self._size, probability_wrong=np.sort(fitted.probability_wrong[left]))
        return expected < _WORTH * missing

    def begin_attempt(self, *, freeze_at_once: bool) -> None:
        """Give up the promise of this attempt, and learn from all answers for the next one, which has a fresh sample.

        Args:
            freeze_at_once: whether the next labels are frozen without further questions.
        """
        session = self._session
        changed = {"attempt": self._attempt + 1, "phase": "learn", "expected": [], "kept": None}
        with session.transaction():
            session.close_open_questions()
            for name, value in {**changed, "freeze_at_once": freeze_at_once}.items():
                session.keep_setting(name, value)

    def ask_more(self, count: int) -> None:
        """Ask random images, so that a person need not wait for the fit of the head or for other persons."""
        taken = set(self._session.asked())
        rng = self._rng(2 * 10**6 + len(taken))
        left = np.setdiff1d(np.arange(self._size), np.array(sorted(taken), np.int64))
        self._ask([Question(int(position), MEANTIME) for position in rng.permutation(left)[:count]], "learn")

    def _ask(self, questions: Sequence[Question], phase: str) -> None:
        self._session.ask(questions, attempt=self._attempt, phase=phase)

    def labels(self) -> list[LabeledImage]:
        """Return the label of each image; images that have none are left out."""
        with self._session.transaction():  # no other thread records anything between two reads
            return self._labels()

    def _labels(self) -> list[LabeledImage]:
        session, images = self._session, self._found.images
        answers, asked = session.answers(), session.asked()
        frozen = {label.position: label for label in session.frozen(self._attempt)}
        labeled = []
        for position, (path, content) in enumerate(zip(images.names, images.hashes, strict=True)):
            if position not in answers:
                label = frozen[position]
                sampled = session.setting("frozen")["sample"] / len(frozen)
                confidence = round(1 - label.probability_wrong, 6)
                labeled.append(LabeledImage(path, label.label, label.who, confidence, round(sampled, 6), content))
            elif answers[position] not in WITHOUT_LABEL:
                probability = round(asked[position][2], 6)
                labeled.append(LabeledImage(path, answers[position], "person", None, probability, content))
        return labeled

    def labeling(self) -> Labeling:
        """Return the state."""
        with self._session.transaction():
            return self._labeling()

    def _labeling(self) -> Labeling:
        session = self._session
        asked, answers = session.asked(), session.answers()
        frozen, kept = session.setting("frozen", {}), session.setting("kept") or {}
        totals, phase = session.setting("expected", []), session.setting("phase")
        names = self._found.images.names
        by_group = 0
        if phase == "done":
            by_group = sum(
                label.who == "group" for label in session.frozen(self._attempt) if label.position not in answers
            )
        repeated = repeated_images(session)
        return Labeling(
            phase=phase,
            attempt=self._attempt,
            num_images=self._size,
            num_answered=len(answers),
            questions=tuple((names[place], asked[place][1]) for place in session.open_questions().values()),
            least_answers=smallest_sample(self._promise(), heap=self._size),
            expected_answers=totals[-1] if totals else None,
            num_in_groups=by_group,
            num_by_model=self._size - len(answers) - by_group if phase == "done" else 0,
            allowed_mistakes=kept.get("allowed"),
            num_sample=frozen.get("sample"),
            num_without_label=sum(answer in WITHOUT_LABEL for answer in answers.values()),
            self_agreement=agreement_of(repeated, same_person=True),
            agreement=agreement_of(repeated, same_person=False),
            summary=summarize(session, self._promise(), self._size) if phase == "done" else "",
            notes=(*self._found.notes, *self._found.notes_on_unreadable()),
        )


def _goes_on(totals: Sequence[float], size: int) -> bool:
    """Return whether the expected number of answers has fallen clearly in one of the last rounds."""
    patience = max(_PATIENCE, round(_LEAST_PATIENCE / max(_MIN_ROUND, _ROUND * size)))
    best, last = np.inf, 0
    for number, total in enumerate(totals):
        if total < best - _GAIN * size:
            best, last = total, number
    return len(totals) - 1 - last < patience


def _hash_of(frozen: Sequence[FrozenLabel]) -> str:
    """Return the SHA-256 of frozen labels in their order."""
    lines = [f"{label.position}\0{label.label}\0{label.probability_wrong!r}\0{label.who}\n" for label in frozen]
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()
