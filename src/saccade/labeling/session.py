"""State of a labeling in one SQLite file: settings, images, questions, answers, and what was frozen for the promise.

An answer is on the disk before the function that records it returns. Answers are never deleted: the last answer to a
question counts.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.errors import DataError
from saccade.labeling.learning import Question

NOT_SURE = "?"
"""Answer of a person who is not sure, or for whom no class fits. It counts as a mistake of the model."""

_VERSION = 1
_SCHEMA = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE images (position INTEGER PRIMARY KEY, path TEXT NOT NULL, hash TEXT NOT NULL);
CREATE TABLE questions (
    number INTEGER PRIMARY KEY, position INTEGER NOT NULL, attempt INTEGER NOT NULL, phase TEXT NOT NULL,
    reason TEXT NOT NULL, probability REAL NOT NULL
);
CREATE TABLE answers (
    number INTEGER PRIMARY KEY, question INTEGER NOT NULL REFERENCES questions, label TEXT NOT NULL, who TEXT NOT NULL,
    time REAL NOT NULL
);
CREATE TABLE frozen (
    attempt INTEGER NOT NULL, rank INTEGER NOT NULL, position INTEGER NOT NULL, label TEXT NOT NULL,
    probability_wrong REAL NOT NULL, PRIMARY KEY (attempt, rank)
);
"""


class Session:
    """State of a labeling.

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
            self._database = sqlite3.connect(path, isolation_level=None)
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

    def ask(self, questions: Iterable[Question], *, attempt: int, phase: str) -> None:
        """Add questions.

        Args:
            questions: images to ask, in the order in which a person sees them.
            attempt: number of the attempt, from 1.
            phase: "learn", "sample" or "threshold".
        """
        rows = [(question.position, attempt, phase, question.reason, question.probability) for question in questions]
        with self._transaction():
            self._database.executemany(
                "INSERT INTO questions (position, attempt, phase, reason, probability) VALUES (?, ?, ?, ?, ?)", rows
            )

    def answer(self, answers: Mapping[int, str], *, who: str = "person") -> None:
        """Record the answers to questions, by the number of the question: class names, or `NOT_SURE`."""
        now = time.time()
        with self._transaction():
            self._database.executemany(
                "INSERT INTO answers (question, label, who, time) VALUES (?, ?, ?, ?)",
                [(number, label, who, now) for number, label in answers.items()],
            )

    def open_questions(self) -> dict[int, int]:
        """Return the position of the image of each question without an answer, by its number, in order."""
        rows = self._database.execute(
            "SELECT number, position FROM questions WHERE number NOT IN (SELECT question FROM answers) ORDER BY number"
        )
        return dict(rows)

    def answers(self, phase: str | None = None, attempt: int | None = None) -> dict[int, str]:
        """Return the last answer for each image that was asked, by its position.

        Args:
            phase: phase of the questions; None: all phases.
            attempt: number of the attempt; None: all attempts.
        """
        rows = self._database.execute(
            "SELECT questions.position, answers.label FROM answers JOIN questions ON questions.number = question "
            "WHERE (?1 IS NULL OR phase = ?1) AND (?2 IS NULL OR attempt = ?2) ORDER BY answers.number",
            (phase, attempt),
        )
        return dict(rows)

    def asked(self) -> dict[int, tuple[str, str, float]]:
        """Return phase, reason and probability of the first question on each image, by its position."""
        rows = self._database.execute("SELECT position, phase, reason, probability FROM questions ORDER BY number DESC")
        return {position: (phase, reason, probability) for position, phase, reason, probability in rows}

    def freeze(
        self, attempt: int, order: NDArray[np.int64], labels: Sequence[str], probability_wrong: NDArray[np.float64]
    ) -> None:
        """Record the frozen order of images with the model's labels, from the most certain one.

        Args:
            attempt: number of the attempt.
            order: positions of the images, int64 [R].
            labels: label of each of them by the model.
            probability_wrong: estimated probability that it is wrong, float64 [R].
        """
        rows = [
            (attempt, rank, position, label, probability)
            for rank, (position, label, probability) in enumerate(
                zip(order.tolist(), labels, probability_wrong.tolist(), strict=True)
            )
        ]
        with self._transaction():
            self._database.executemany("INSERT INTO frozen VALUES (?, ?, ?, ?, ?)", rows)

    def frozen(self, attempt: int) -> list[tuple[int, str, float]]:
        """Return position, label by the model and estimated probability that it is wrong, in the frozen order."""
        return list(
            self._database.execute(
                "SELECT position, label, probability_wrong FROM frozen WHERE attempt = ? ORDER BY rank", (attempt,)
            )
        )

    def _transaction(self) -> _Transaction:
        return _Transaction(self._database)


class _Transaction:
    """Transaction that ends with a commit, or with a rollback after an exception."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        self._database.execute("COMMIT" if kind is None else "ROLLBACK")
