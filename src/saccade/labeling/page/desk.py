"""The desk of a labeling: it gives questions to browsers, records their answers, and starts the steps between them.

All methods of `Desk` run in one thread. The steps, which may fit a head for seconds, run in another thread with a
connection of its own to the state, so that a person need not wait for them.
"""

from __future__ import annotations

import logging
import statistics
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from saccade.errors import SaccadeError
from saccade.labeling.agreement import Agreement
from saccade.labeling.embedded_data import EmbeddedData
from saccade.labeling.groups import Group, group_similar
from saccade.labeling.session import NO_CLASS, NOT_SURE, WITHOUT_LABEL, Answer, Session
from saccade.labeling.steps import LabelingSteps
from saccade.training.transfer_learning.features import Features

CLAIM_SECONDS = 40.0
"""Time after which a question that a silent browser got is given to another one; the page asks every 15 seconds."""

_MEANTIME_QUESTIONS = 5
_USUAL_SECONDS = 3.0  # for an answer, until enough answers were timed
_TIMED_ANSWERS = 10
_LONGEST_SECONDS = 60.0  # between two answers without a break
_ON_A_PAGE = 60  # decisions
_IN_WORDS = {NOT_SURE: "not sure", NO_CLASS: "none of these", None: "withdrawn"}  # for the search
_log = logging.getLogger("saccade.labeling")


class Desk:
    """Questions and answers of all browsers.

    Args:
        found: images of the heap.
        path: path of the state.
        components: principal components of the features of the images, float32 [N, d].
        publish: function that writes the results of a labeling that is done.
    """

    def __init__(
        self, found: EmbeddedData, path: Path, components: Features, publish: Callable[[LabelingSteps, Session], None]
    ) -> None:
        self._found, self._path, self._components, self._publish = found, path, components, publish
        self._session = Session(path)
        self._steps = self._steps_of(self._session)
        self._step_thread = ThreadPoolExecutor(1)
        self._stepping = threading.Event()
        self._problem = ""
        self._groups: list[Group] = []
        self._group_of: dict[str, Group] = {}

    def _steps_of(self, session: Session) -> LabelingSteps:
        return LabelingSteps(self._found, session, repeats=True, progress=False, components=self._components)

    def close(self) -> None:
        """Finish the current step, and close the state."""
        self._step_thread.shutdown(wait=True)
        self._session.close()

    def next_questions(self, client: str, person: str, count: int, skipped: Iterable[int]) -> list[dict[str, Any]]:
        """Return the next questions for a browser, which no other browser gets.

        Args:
            client: identifier of the browser.
            person: name of the person.
            count: number of questions, at most.
            skipped: numbers of questions that the person wants to see last.
        """
        session = self._session
        if not session.waits():
            self._start_steps()
        answers = session.current()
        own = {answer.position for answer in answers if answer.phase == "sample" and answer.who == person}
        repeats = [
            number
            for number, position in session.open_questions().items()
            if position in own  # another person is asked a second time rather than the same one
        ]
        labels: dict[int, set[str]] = {}
        for answer in answers:
            labels.setdefault(answer.position, set()).add(str(answer.label))
        last = [*repeats, *skipped]
        claimed = session.claim(client, count, seconds=CLAIM_SECONDS, avoid=last)
        if not claimed and session.setting("phase") == "learn":
            self._steps.ask_more(_MEANTIME_QUESTIONS)
            claimed = session.claim(client, count, seconds=CLAIM_SECONDS, avoid=last)
        compared = set(session.questions("compare", session.setting("attempt")))
        return [
            {
                "question": number,
                "image": position,
                "options": sorted(labels.get(position, ())) if position in compared else [],
            }
            for number, position in claimed
        ]

    def answer(self, question: int, label: str | None, *, client: str, person: str, replaces: int | None) -> int:
        """Record an answer, and return its number; errors as for `Session.answer_once`.

        Raises:
            KeyError: there is no such class.
        """
        if label is not None and label not in WITHOUT_LABEL and label not in self._session.class_names():
            raise KeyError(label)
        number = self._session.answer_once(question, label, client=client, who=person, replaces=replaces)
        if self._session.setting("phase") == "done":
            self._session.keep_setting("phase", "threshold")  # the labels are found and written again
            self._start_steps()
        return number

    def release(self, client: str) -> None:
        """Give the questions and the group of a browser back, whose page was closed."""
        self._session.release(client)
        self._group_of.pop(client, None)

    def class_names(self) -> list[str]:
        """Return the names of the classes, in the order of their keys."""
        return self._session.class_names()

    def add_class(self, name: str, *, begins_attempt: bool, client: str, person: str, question: int | None) -> bool:
        """Add a class, and return True; return False where labels are frozen and the person does not agree.

        Args:
            name: name of the class.
            begins_attempt: whether the person agrees to another attempt, which a class after the freeze begins.
            client: identifier of the browser.
            person: name of the person.
            question: number of the question which the class answers; None for a class without an image.

        Raises:
            AnsweredError: the question was answered meanwhile, or is closed.
        """
        session = self._session
        is_frozen = session.setting("phase") != "learn" and session.setting("frozen") is not None
        if name in session.class_names():
            return True
        if is_frozen and not begins_attempt:
            return False
        self._step_thread.submit(lambda: None).result()  # a step that is running must not write into the new attempt
        with session.transaction():
            session.add_classes([name])
            if question is not None:
                session.answer_once(question, name, client=client, who=person, replaces=None)
            if is_frozen:
                self._steps.begin_attempt(freeze_at_once=False)
        return True

    def remove_class(self, name: str) -> bool:
        """Remove a class that no image has; return whether it was removed."""
        return self._session.remove_class(name)

    def next_group(self, client: str) -> dict[str, Any] | None:
        """Return the next group of similar images without a label; None where there is none, or labels are frozen."""
        session = self._session
        if session.setting("phase") != "learn":
            return None
        known = {*session.answers(), *session.group_labels()}
        others = [group for other, group in self._group_of.items() if other != client]
        taken = known.union(*(group.positions for group in others))
        if not any(not group.positions & taken for group in self._groups):
            free = set(range(len(self._found.images))) - taken
            seed = session.setting("seed") + len(known)
            self._groups = group_similar(self._components, sorted(free), seed=seed)
        group = next((group for group in self._groups if not group.positions & taken), None)
        if group is None:
            return None
        self._group_of[client] = group
        return {
            "images": [list(duplicates) for duplicates in group.images],
            "left": len(self._found.images) - len(known),
        }

    def skip_group(self, client: str) -> None:
        """Put the group of a browser to the end."""
        group = self._group_of.pop(client, None)
        if group in self._groups:
            self._groups.remove(group)
            self._groups.append(group)

    def label_group(self, positions: Iterable[int], label: str | None, *, client: str, person: str) -> int:
        """Record the label of several images of a group; return their number.

        Images that have an answer, or that another person labeled in a group, keep their labels.

        Raises:
            KeyError: there is no such class.
            ValueError: the labels are frozen, or an image is not in the heap.
        """
        session = self._session
        if label is not None and label not in session.class_names():
            raise KeyError(label)
        wanted = set(positions)
        if session.setting("phase") != "learn" or not wanted <= set(range(len(self._found.images))):
            raise ValueError
        labeled = session.group_labels()
        free = wanted - set(session.answers())
        free = free & set(labeled) if label is None else free - set(labeled)
        session.label_group(sorted(free), label, who=person)
        self._group_of.pop(client, None)
        return len(free)

    def decisions(self, search: str, offset: int) -> dict[str, Any]:
        """Return a page of decisions, the latest first, with their history.

        Args:
            search: text that is in a label, the path or the name of the person; "" for all.
            offset: number of decisions before the page.
        """
        names = self._found.images.names
        history: dict[int, list[Answer]] = {}
        for answer in self._session.history():
            history.setdefault(answer.position, []).append(answer)
        current = {answer.number for answer in self._session.current()}
        rows = []
        for position, answers in history.items():
            last = next((answer for answer in reversed(answers) if answer.number in current), None)
            if last is None:
                continue
            labels = [_IN_WORDS.get(answer.label, answer.label) for answer in answers]
            text = "\n".join([*map(str, labels), str(last.label), names[position], last.who])
            if search.casefold() in text.casefold():
                rows.append((last, answers))
        rows.sort(key=lambda row: -row[0].number)
        return {
            "total": len(rows),
            "decisions": [
                {
                    "question": last.question,
                    "answer": last.number,
                    "image": last.position,
                    "path": names[last.position],
                    "label": last.label,
                    "who": last.who,
                    "time": last.time,
                    "history": [[answer.label, answer.who, answer.time] for answer in answers],
                }
                for last, answers in rows[offset : offset + _ON_A_PAGE]
            ],
        }

    def state(self) -> dict[str, Any]:
        """Return the state of the labeling, for the page."""
        with self._session.transaction():  # the thread of the steps records nothing between two reads
            return self._state()

    def _state(self) -> dict[str, Any]:
        session, labeling = self._session, self._steps.labeling()
        history = session.history()
        expected = max(labeling.least_answers, labeling.expected_answers or 0.0)
        seconds = _seconds_per_answer(history)
        left = max(0.0, min(expected, labeling.num_images) - labeling.num_answered)
        open_phases = session.open_phases()
        later = 0
        if labeling.phase in ("sample", "threshold"):
            later = self._steps.num_repeats_later()
            left = float(len(open_phases) + later)
        is_writing = labeling.phase == "done" and self._stepping.is_set()
        return {
            "phase": "writing" if is_writing else labeling.phase,
            "attempt": labeling.attempt,
            "images": labeling.num_images,
            "answered": labeling.num_answered,
            "in_groups": len(session.group_labels()),
            "open": len(open_phases),
            "later": later,
            "repeats": bool(open_phases) and set(open_phases) <= {"repeat", "compare"},
            "least": labeling.least_answers,
            "expected": labeling.expected_answers,
            "minutes_left": left * (_USUAL_SECONDS if seconds is None else seconds) / 60,
            "seconds_per_answer": seconds,
            "max_error": session.setting("max_error"),
            "confidence": session.setting("confidence"),
            "classes": session.class_names(),
            "unused": [name for name, uses in session.num_uses().items() if not uses],
            "frozen": labeling.phase != "learn" and session.setting("frozen") is not None,
            "fitting": self._stepping.is_set(),
            "persons": sorted({answer.who for answer in history}),
            "self_agreement": _agreement(labeling.self_agreement),
            "agreement": _agreement(labeling.agreement),
            "summary": labeling.summary,
            "results": session.setting("result_names", []) if labeling.phase == "done" else [],
            "problem": self._problem,
        }

    def _start_steps(self) -> None:
        if not self._stepping.is_set() and not self._problem and self._session.setting("phase") != "done":
            self._stepping.set()
            self._step_thread.submit(self._go_on)

    def _go_on(self) -> None:
        """Do steps until there are questions, in the thread of the steps."""
        try:
            with Session(self._path) as session:
                steps = self._steps_of(session)
                while not session.waits() and steps.go_on():
                    pass
                if session.setting("phase") == "done":
                    self._publish(steps, session)
        except SaccadeError as error:
            self._problem = str(error)
        except Exception:
            self._problem = "an error of the program itself; its log has the details"
            _log.exception("a step of the labeling failed")
        finally:
            self._stepping.clear()


def _seconds_per_answer(history: Iterable[Answer]) -> float | None:
    """Return the median time between two answers of a person without a break; None for few answers."""
    last: dict[str, float] = {}
    seconds = []
    for answer in history:
        if answer.who in last and answer.time - last[answer.who] < _LONGEST_SECONDS:
            seconds.append(answer.time - last[answer.who])
        last[answer.who] = answer.time
    return statistics.median(seconds) if len(seconds) >= _TIMED_ANSWERS else None


def _agreement(agreement: Agreement | None) -> dict[str, Any] | None:
    if agreement is None:
        return None
    low, high = agreement.interval
    return {
        "images": agreement.num_images,
        "equal": agreement.num_equal,
        "low": low,
        "high": high,
        "kappa": agreement.kappa,
    }
