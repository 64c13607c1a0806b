"""The tree of errors: each says what was expected, what was found and what to do. Imports nothing.

Whatever Saccade refuses to do for a reason that its user can mend is a `SaccadeError`; the command line prints it
without a traceback and exits with 1. Anything else that is raised is a fault of Saccade's.
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import TypeGuard


def type_in_words(value: object) -> str:
    """The type of a value that should have another type, for `found`: no contents, which may be long or private."""
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"a value of the type {name}"


def is_whole_number(value: object) -> TypeGuard[int]:
    """Whether a value counts something: an integer of Python or NumPy, and no truth value."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def number_in_words(value: object) -> str:
    """What was given instead of the number that is expected, for `found`: a number, or the type of something else."""
    return str(value) if isinstance(value, Real) else type_in_words(value)


class SaccadeError(Exception):
    """Something that the user can mend.

    Args:
        problem: one plain sentence saying what is wrong.
        expected: what was expected instead, if that helps.
        found: what was found.
        remedy: what to do about it.
        code: a name for the problem, such as "one-class", by which programs distinguish errors of one class; "" where
            no program does.
    """

    def __init__(
        self,
        problem: str,
        *,
        expected: str | None = None,
        found: str | None = None,
        remedy: str | None = None,
        code: str = "",
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.expected = expected
        self.found = found
        self.remedy = remedy
        self.code = code

    def __str__(self) -> str:
        lines = [self.problem]
        lines += [f"  expected: {self.expected}"] if self.expected else []
        lines += [f"  found: {self.found}"] if self.found else []
        lines += [f"  what to do: {self.remedy}"] if self.remedy else []
        return "\n".join(lines)


class DataError(SaccadeError):
    """The images, or their arrangement in folders, can't be used."""


class DataNotFoundError(DataError):
    """Nothing of that name or at that path, or a download that can't be had."""


class ArchiveError(DataError):
    """An archive that is damaged, or that would write where it must not, or too much."""


class ImageError(DataError):
    """One image that can't be read; `problem` is the reason, without the image's name."""


class RecipeError(SaccadeError):
    """An unknown recipe, an unknown key, or a value that a key can't take."""


class RunError(SaccadeError):
    """A run directory that is missing, incomplete, damaged, or in the way."""


class KerasError(SaccadeError):
    """Keras can't be loaded, or is set up in a way that Saccade can't work with."""


class TrainingError(SaccadeError):
    """A training that can't start with this data and this recipe, or that can't go on."""


class TuningError(SaccadeError):
    """A tuning that can't start, or that is another one than it is asked to go on with."""


class EvaluationError(SaccadeError):
    """An evaluation that would not mean what it says: other classes, a missing split, images left out."""


class ExportError(SaccadeError):
    """An export that failed or does not agree with its run; nothing is left behind."""


class ServerError(SaccadeError):
    """A server that can't be reached, or that does not answer as one of Saccade's does."""
