"""Error classes. An error names the problem, what was expected, what was found and what to do.

An error that the user can correct is a `SaccadeError`: the command line prints it without a traceback and exits with
code 1. Any other exception is a defect of Saccade.
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import TypeGuard


def type_in_words(value: object) -> str:
    """Return the type of a value in words, for `found`, without the contents, which may be long or private."""
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"a value of the type {name}"


def is_whole_number(value: object) -> TypeGuard[int]:
    """Return whether a value is an integer of Python or NumPy, and not a bool."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def number_in_words(value: object) -> str:
    """Return a value in words, for `found` where a number is expected: the number, or the type of another value."""
    return str(value) if isinstance(value, Real) else type_in_words(value)


class SaccadeError(Exception):
    """An error that the user can correct.

    Args:
        problem: one plain sentence on the problem.
        expected: description of a valid input; None where that does not help.
        found: description of the input; None where that does not help.
        remedy: advice on the correction; None where there is none.
        code: name of the problem, such as "one-class", by which code distinguishes errors of one class; "" where no
            code does.
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
    """Images, or an arrangement of images in folders, that can't be used."""


class DataNotFoundError(DataError):
    """Data of a name or at a path that does not exist, or a download that failed."""


class ArchiveError(DataError):
    """An archive that is damaged, would write outside its folder, or is too large."""


class ImageError(DataError):
    """One image that can't be read; `problem` is the reason, without the image's name."""


class RecipeError(SaccadeError):
    """An unknown recipe, an unknown key, or a value that a key can't take."""


class RunError(SaccadeError):
    """A run directory that is missing, incomplete or damaged, or that would be overwritten."""


class KerasError(SaccadeError):
    """A Keras installation that can't be loaded, or a configuration of Keras that Saccade does not support."""


class TrainingError(SaccadeError):
    """A training that can't start with its data and its recipe, or that can't continue."""


class TuningError(SaccadeError):
    """A tuning that can't start, or that differs from the study that it should continue."""


class EvaluationError(SaccadeError):
    """An evaluation whose result would be misleading: other classes, a missing split, missing images."""


class ExportError(SaccadeError):
    """An export that failed or that disagrees with its run; no file of it is left."""


class ServerError(SaccadeError):
    """A server that can't be reached, or whose responses are not those of a Saccade server."""


class ClusterError(SaccadeError):
    """A Ray cluster that can't be reached, or a node of it that can't do the work; the message names the node."""
