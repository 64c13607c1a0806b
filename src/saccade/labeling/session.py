"""State of a labeling in one SQLite file: settings, images, questions, answers, and what was frozen for the promise.

An answer is on the disk before the function that records it returns. Answers are never deleted: the last answer for an
image counts, and an answer that was withdrawn makes its question open again.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from saccade.errors import DataError
from saccade.labeling.learning import Question

NOT_SURE = "?"
"""Answer of a person who is not sure. It counts as a mistake of the model."""

NO_CLASS = "-"
"""Answer of a person for whom an image belongs to none of the classes. It counts as a mistake of the model."""

WITHOUT_LABEL = (NOT_SURE, NO_CLASS)
"""Answers with which an image has no label."""

MEANTIME = "meantime"
"""Reason of a random image that is asked while the head is fitted, or while other persons have all questions."""

_VERSION = 2
_SCHEMA = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE images (position INTEGER PRIMARY KEY, path TEXT NOT NULL, hash TEXT NOT NULL);
CREATE TABLE classes (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
-- AUTOINCREMENT: the number of a question that was closed is never that of another one, which a browser may answer.
CREATE TABLE questions (
    number INTEGER PRIMARY KEY AUTOINCREMENT, position INTEGER NOT NULL, attempt INTEGER NOT NULL, phase TEXT NOT NULL,
    reason TEXT NOT NULL, probability REAL NOT NULL
);
CREATE INDEX question_of_image ON questions (position);
CREATE TABLE answers (
    number INTEGER PRIMARY KEY AUTOINCREMENT, question INTEGER NOT NULL REFERENCES questions, label TEXT,
    who TEXT NOT NULL, time REAL NOT NULL
);
CREATE INDEX answer_to_question ON answers (question);
CREATE TABLE group_labels (
    number INTEGER PRIMARY KEY, position INTEGER NOT NULL, label TEXT, who TEXT NOT NULL, time REAL NOT NULL
);
CREATE TABLE claims (question INTEGER PRIMARY KEY, client TEXT NOT NULL, time REAL NOT NULL);
CREATE TABLE frozen (
    attempt INTEGER NOT NULL, rank INTEGER NOT NULL, position INTEGER NOT NULL, label TEXT NOT NULL,
    probability_wrong REAL NOT NULL, who TEXT NOT NULL, PRIMARY KEY (attempt, rank)
);
-- The last answer to each question, if it was not withdrawn.
CREATE VIEW current AS SELECT answers.* FROM answers
    JOIN (SELECT max(number) AS latest FROM answers GROUP BY question) ON number = latest WHERE label IS NOT NULL;
"""


@dataclass(frozen=True)
class Answer:
    """An answer to a question.

    Attributes:
        number: number of the answer; later answers have larger numbers.
        question: number of the question.
        position: position of the image in the heap.
        phase: phase of the question.
        label: class name, or one of `WITHOUT_LABEL`; None for an answer that was withdrawn.
        who: name of the person.
        time: seconds since 1970.
    """

    number: int
    question: int
    position: int
    phase: str
    label: str | None
    who: str
    time: float


@dataclass(frozen=True)
class FrozenLabel:
    """Label of an image before the sample is drawn.

    Attributes:
        position: position of the image in the heap.
        label: class name.
        probability_wrong: estimated probability that the label is wrong.
        who: "model", or "group" for a label that a person gave to several images at once.
    """

    position: int
    label: str
    probability_wrong: float
    who: str


class AnsweredError(Exception):
    """A question was answered, or closed, meanwhile.

    Args:
        answer: last answer to the question; None for a question that was closed.
    """

    def __init__(self, answer: Answer | None) -> None:
        super().__init__()
        self.answer = answer


class Session:
    """State of a labeling. Threads may use it one after the other, not at the same time.

    Args:
        path: path of the file, which `create` made.

    Raises:
        DataError: the file is missing, damaged, or of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise DataError(f"there is no state of a labeling at '{path}'")
        try:
            # A second connection of the same process, which fits the head, waits for the first one.
            self._database = sqlite3.connect(path, isolation_level=None, timeout=60, check_same_thread=False)
            self._database.execute("PRAGMA synchronous = FULL")
            version = self._setting("version")
        except sqlite3.DatabaseError:
            raise DataError(
                f"'{path}' is no state of a labeling, or is damaged", remedy="name another file with --state"
            ) from None
        if version != _VERSION:
            raise DataError(f"'{path}' is the state of another version of Saccade", found=f"version {version}")

    @classmethod
    def create(cls, path: Path, settings: Mapping[str, Any], paths: Sequence[str], hashes: Sequence[str]) -> Session:
        """Create the file of a labeling, and open it.

        Args:
            path: path of the new file.
            settings: settings by name, as values that JSON can hold.
            paths: path of each image of the heap.
            hashes: content hash of each image of the heap.

        Raises:
            DataError: the file can't be written.
        """
        temporary = path.with_name(f".tmp-{path.name}")
        try:
            temporary.unlink(missing_ok=True)
            with closing(sqlite3.connect(temporary)) as database:
                database.executescript(_SCHEMA)
                rows = [(name, json.dumps(value)) for name, value in {**settings, "version": _VERSION}.items()]
                database.executemany("INSERT INTO settings VALUES (?, ?)", rows)
                images = [(position, *image) for position, image in enumerate(zip(paths, hashes, strict=True))]
                database.executemany("INSERT INTO images VALUES (?, ?, ?)", images)
                database.commit()
            temporary.replace(path)
        except (OSError, sqlite3.Error) as error:
            raise DataError(f"the state of the labeling can't be written to '{path}'", found=str(error)) from None
        return cls(path)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def setting(self, name: str, default: Any = None) -> Any:
        """Return a setting; the default if there is none of this name."""
        found = self._setting(name)
        return default if found is None else found

    def keep_setting(self, name: str, value: Any) -> None:
        """Keep a setting."""
        self._database.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, json.dumps(value)))

    def _setting(self, name: str) -> Any:
        row = self._database.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def hashes(self) -> list[str]:
        """Return the content hash of each image of the heap, by position."""
        return [row[0] for row in self._database.execute("SELECT hash FROM images ORDER BY position")]

    def paths(self) -> list[str]:
        """Return the path of each image of the heap, by position."""
        return [row[0] for row in self._database.execute("SELECT path FROM images ORDER BY position")]

    def class_names(self) -> list[str]:
        """Return the class names of this labeling, in the order in which they were added."""
        return [row[0] for row in self._database.execute("SELECT name FROM classes ORDER BY number")]

    def add_classes(self, names: Iterable[str]) -> None:
        """Add class names that are not there yet."""
        with self.transaction():
            self._add_classes(names)

    def _add_classes(self, names: Iterable[str]) -> None:
        rows = [(name,) for name in names if name not in WITHOUT_LABEL]
        self._database.executemany("INSERT OR IGNORE INTO classes (name) VALUES (?)", rows)

    def ask(self, questions: Iterable[Question], *, attempt: int, phase: str) -> None:
        """Add questions. An open question on the same image becomes the new one, since a page may show it.

        Args:
            questions: images to ask, in the order in which a person sees them.
            attempt: number of the attempt, from 1.
            phase: "learn", "sample", "repeat", "compare" or "threshold".
        """
        with self.transaction():
            already = {position: number for number, position in self.open_questions().items()}
            for question in questions:
                values = (attempt, phase, question.reason, question.probability)
                if question.position in already:
                    self._database.execute(
                        "UPDATE questions SET attempt = ?, phase = ?, reason = ?, probability = ? WHERE number = ?",
                        (*values, already[question.position]),
                    )
                else:
                    self._database.execute(
                        "INSERT INTO questions (position, attempt, phase, reason, probability) VALUES (?, ?, ?, ?, ?)",
                        (question.position, *values),
                    )

    def questions(self, phase: str, attempt: int) -> list[int]:
        """Return the position of the image of each question of a phase of an attempt, in order."""
        rows = self._database.execute(
            "SELECT position FROM questions WHERE phase = ? AND attempt = ? ORDER BY number", (phase, attempt)
        )
        return [row[0] for row in rows]

    def close_open_questions(self, *, also_claimed: bool = False) -> None:
        """Delete all questions without an answer.

        Args:
            also_claimed: whether to delete questions that a client has claimed, too. A page may show these, and an
                answer to them is kept.
        """
        with self.transaction():
            self._database.execute(
                "DELETE FROM questions WHERE number NOT IN (SELECT question FROM answers) "
                "AND (? OR number NOT IN (SELECT question FROM claims))",
                (also_claimed,),
            )
            self._database.execute("DELETE FROM claims WHERE question NOT IN (SELECT number FROM questions)")

    def answer(self, answers: Mapping[int, str], *, who: str = "person") -> None:
        """Record the answers to questions, by the number of the question: class names, or one of `WITHOUT_LABEL`."""
        now = time.time()
        with self.transaction():
            self._database.executemany(
                "INSERT INTO answers (question, label, who, time) VALUES (?, ?, ?, ?)",
                [(number, label, who, now) for number, label in answers.items()],
            )
            self._add_classes(answers.values())

    def answer_once(self, question: int, label: str | None, *, client: str, who: str, replaces: int | None) -> int:
        """Record an answer if no other answer came in between, and return its number.

        Args:
            question: number of the question.
            label: class name, or one of `WITHOUT_LABEL`; None withdraws the answer, and the client claims the question.
            client: identifier of the client of the person.
            who: name of the person.
            replaces: number of the answer that the person saw, and replaces; None for a question without an answer.

        Raises:
            AnsweredError: another answer is the last one, or there is no such question.
        """
        with self.transaction():
            history = self.history(question)
            last = history[-1] if history and history[-1].label is not None else None
            known = self._database.execute("SELECT 1 FROM questions WHERE number = ?", (question,)).fetchone()
            if not known or (last.number if last else None) != replaces:
                raise AnsweredError(last)
            number = self._database.execute(
                "INSERT INTO answers (question, label, who, time) VALUES (?, ?, ?, ?)",
                (question, label, who, time.time()),
            ).lastrowid
            if label is None:
                row = (question, client, time.time())
                self._database.execute("INSERT OR REPLACE INTO claims VALUES (?, ?, ?)", row)
            else:
                self._add_classes([label])
        return int(number or 0)

    def change(self, labels: Mapping[int, str], *, who: str = "person") -> int:
        """Replace the last answer for images that have another one, by position; return the number of changes."""
        last = {answer.position: answer for answer in sorted(self.current(), key=lambda answer: answer.number)}
        changed = {
            last[position].question: label
            for position, label in labels.items()
            if position in last and last[position].label != label
        }
        self.answer(changed, who=who)
        return len(changed)

    def release(self, client: str) -> None:
        """End the claims of a client."""
        with self.transaction():
            self._database.execute("DELETE FROM claims WHERE client = ?", (client,))

    def num_uses(self) -> dict[str, int]:
        """Return the number of answers, labels of groups and frozen labels of each class."""
        rows = self._database.execute(
            "SELECT name, (SELECT count(*) FROM current WHERE label = name) "
            "+ (SELECT count(*) FROM group_labels WHERE label = name) "
            "+ (SELECT count(*) FROM frozen WHERE label = name) FROM classes ORDER BY number"
        )
        return dict(rows)

    def remove_class(self, name: str) -> bool:
        """Remove a class without any use; return whether it was removed."""
        with self.transaction():
            if self.num_uses().get(name) != 0:
                return False
            self._database.execute("DELETE FROM classes WHERE name = ?", (name,))
        return True

    def history(self, question: int | None = None) -> list[Answer]:
        """Return all answers to a question, or to all questions for None, the last one at the end."""
        rows = self._database.execute(
            "SELECT answers.number, question, position, phase, label, who, time FROM answers "
            "JOIN questions ON questions.number = question WHERE ?1 IS NULL OR question = ?1 ORDER BY answers.number",
            (question,),
        )
        return [Answer(*row) for row in rows]

    def open_questions(self) -> dict[int, int]:
        """Return the position of the image of each question without an answer, by its number, in order."""
        rows = self._database.execute(
            "SELECT number, position FROM questions WHERE number NOT IN (SELECT question FROM current) ORDER BY number"
        )
        return dict(rows)

    def open_phases(self) -> list[str]:
        """Return the phase of each question without an answer."""
        rows = self._database.execute("SELECT phase FROM questions WHERE number NOT IN (SELECT question FROM current)")
        return [row[0] for row in rows]

    def waits(self) -> bool:
        """Return whether a question is open, apart from those that are asked in the meantime of a fit."""
        row = self._database.execute(
            "SELECT 1 FROM questions WHERE reason != ? AND number NOT IN (SELECT question FROM current) LIMIT 1",
            (MEANTIME,),
        ).fetchone()
        return row is not None

    def claim(self, client: str, count: int, *, seconds: float, avoid: Iterable[int] = ()) -> list[tuple[int, int]]:
        """Claim open questions for a client, so that no other client gets them.

        Args:
            client: identifier of the client.
            count: number of claims of the client afterwards, at most.
            seconds: time after which a claim of another client ends.
            avoid: numbers of questions that the client gets last.

        Returns:
            Number and position of each claimed question, in order.
        """
        now, last = time.time(), set(avoid)
        with self.transaction():
            self._database.execute("DELETE FROM claims WHERE client != ? AND time < ?", (client, now - seconds))
            claimed = dict(self._database.execute("SELECT question, client FROM claims"))
            questions = [
                (number, position)
                for number, position in self.open_questions().items()
                if claimed.get(number, client) == client
            ]
            # Claimed ones first, in order; those that the client avoids last.
            questions.sort(key=lambda one: (one[0] in last, claimed.get(one[0]) != client, one[0]))
            chosen = questions[:count]
            self._database.execute("DELETE FROM claims WHERE client = ?", (client,))
            rows = [(number, client, now) for number, _ in chosen]
            self._database.executemany("INSERT INTO claims VALUES (?, ?, ?)", rows)
        return chosen

    def answers(self, phase: str | None = None, attempt: int | None = None) -> dict[int, str]:
        """Return the last answer for each image that was asked, by its position.

        Args:
            phase: phase of the questions that asked the images; None: all phases.
            attempt: number of the attempt; None: all attempts.
        """
        rows = self._database.execute(
            "SELECT position, current.label FROM current JOIN questions ON questions.number = question "
            "WHERE position IN (SELECT position FROM questions WHERE (?1 IS NULL OR phase = ?1) "
            "AND (?2 IS NULL OR attempt = ?2)) ORDER BY current.number",
            (phase, attempt),
        )
        return dict(rows)

    def current(self) -> list[Answer]:
        """Return the current answer to each question that has one, in the order of the questions."""
        rows = self._database.execute(
            "SELECT current.number, question, position, phase, label, who, time FROM current "
            "JOIN questions ON questions.number = question ORDER BY question"
        )
        return [Answer(*row) for row in rows]

    def asked(self) -> dict[int, tuple[str, str, float]]:
        """Return phase, reason and probability of the first question on each image, by its position."""
        rows = self._database.execute("SELECT position, phase, reason, probability FROM questions ORDER BY number DESC")
        return {position: (phase, reason, probability) for position, phase, reason, probability in rows}

    def label_group(self, positions: Iterable[int], label: str | None, *, who: str) -> None:
        """Record the label that a person gave to several images at once; None withdraws it."""
        now = time.time()
        with self.transaction():
            self._database.executemany(
                "INSERT INTO group_labels (position, label, who, time) VALUES (?, ?, ?, ?)",
                [(position, label, who, now) for position in positions],
            )
            if label is not None:
                self._add_classes([label])

    def group_labels(self) -> dict[int, str]:
        """Return the last label that an image got with a group, by its position, apart from withdrawn ones."""
        rows = self._database.execute("SELECT position, label FROM group_labels ORDER BY number")
        return {position: label for position, label in dict(rows).items() if label is not None}

    def freeze(self, attempt: int, labels: Sequence[FrozenLabel]) -> None:
        """Record frozen labels in their order, from the most certain one.

        Args:
            attempt: number of the attempt.
            labels: label of each image that no person has labeled.
        """
        rows = [(attempt, rank, *astuple(label)) for rank, label in enumerate(labels)]
        with self.transaction():
            self._database.executemany("INSERT INTO frozen VALUES (?, ?, ?, ?, ?, ?)", rows)

    def frozen(self, attempt: int) -> list[FrozenLabel]:
        """Return the frozen labels of an attempt, in their order."""
        rows = self._database.execute(
            "SELECT position, label, probability_wrong, who FROM frozen WHERE attempt = ? ORDER BY rank", (attempt,)
        )
        return [FrozenLabel(*row) for row in rows]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Record everything within the block at once, or nothing after an exception; blocks may be nested."""
        if self._database.in_transaction:
            yield
            return
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")
