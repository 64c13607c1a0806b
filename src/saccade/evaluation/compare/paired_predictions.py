"""The answers of several runs to the same pictures, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saccade.errors import EvaluationError
from saccade.runs.predictions import Answers
from saccade.runs.run import Run


@dataclass(frozen=True, eq=False)
class PairedAnswers:
    """What each of several runs said of the pictures that all of them answered.

    Attributes:
        hashes: content hashes, hexadecimal, in the first run's order.
        labels: the true classes, int64 [n].
        probabilities: of each run, float32 [n, classes].
        answered: pictures that each run answered, those that others did not included.
    """

    hashes: tuple[str, ...]
    labels: NDArray[np.int64]
    probabilities: tuple[NDArray[np.float32], ...]
    answered: tuple[int, ...]

    def correct(self, run: int) -> NDArray[np.bool_]:
        """Which pictures a run, by its place, was right on, bool [n]; the first class on a tie, as everywhere."""
        return np.asarray(self.probabilities[run].argmax(axis=1) == self.labels)


def pair_answers(runs: Sequence[Run], answers: Sequence[Answers]) -> PairedAnswers:
    """Pairs answers picture by picture, by the pictures' contents.

    Args:
        runs: at least one.
        answers: of each, to its own pictures.

    Raises:
        EvaluationError: the runs have other classes, no two pictures in common, or other true classes for a picture.
    """
    _require_same_classes(runs)
    places = [_places(answer) for answer in answers]
    common = [key for key in places[0] if all(key in others for others in places[1:])]
    if len(common) < 2:
        raise EvaluationError(
            "these runs have not answered the same pictures, so that they can't be compared",
            expected="at least two pictures that all of them answered",
            found=", ".join(f"'{run.name}' {len(answer.labels):,}" for run, answer in zip(runs, answers, strict=True))
            + f" pictures of '{runs[0].data_name}' and others; {len(common)} in common",
            remedy="name data that all of them can answer: --data DATA",
        )
    rows = [np.array([place[key] for key in common]) for place in places]
    labels = answers[0].labels[rows[0]]
    for run, answer, row in zip(runs, answers, rows, strict=True):
        if not np.array_equal(answer.labels[row], labels):
            raise EvaluationError(
                "the same pictures have other true classes in the runs' data",
                found=f"{int((answer.labels[row] != labels).sum())} such pictures in '{run.name}'",
                remedy="name the data whose classes are right: --data DATA",
            )
    return PairedAnswers(
        hashes=tuple(picture.hex() for picture, _ in common),
        labels=labels,
        probabilities=tuple(answer.probabilities[row] for answer, row in zip(answers, rows, strict=True)),
        answered=tuple(len(answer.labels) for answer in answers),
    )


def _require_same_classes(runs: Sequence[Run]) -> None:
    first = runs[0]
    for run in runs[1:]:
        if run.class_names != first.class_names:
            raise EvaluationError(
                "these runs know other classes, so that their answers can't be compared",
                expected=f"the {len(first.class_names)} classes of '{first.name}': {_few(first.class_names)}",
                found=f"the {len(run.class_names)} classes of '{run.name}': {_few(run.class_names)}",
                remedy="compare runs that were trained on the same classes",
            )


def _places(answers: Answers) -> dict[tuple[bytes, int], int]:
    """Where each picture stands. A picture that stands there twice is told from itself by a count."""
    seen: Counter[bytes] = Counter()
    places = {}
    for place, row in enumerate(answers.hashes):
        picture = row.tobytes()
        places[picture, seen[picture]] = place
        seen[picture] += 1
    return places


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
